import { strict as assert } from 'node:assert';

/** Runs every check, prints one line for each, and returns false when any failed. */
export async function runChecks(checks) {
  let failures = 0;
  for (const [name, check] of Object.entries(checks)) {
    const startedAt = performance.now();
    const failure = await outcome(check);
    const took = `${Math.round(performance.now() - startedAt)} ms`;
    if (failure === undefined) {
      console.log(`ok   ${name} (${took})`);
    } else {
      failures += 1;
      console.log(`FAIL ${name} (${took}): ${failure}`);
    }
  }
  console.log(`${Object.keys(checks).length - failures} passed, ${failures} failed`);
  return failures === 0;
}

export function assertStatus(response, expected) {
  assert.equal(response.status, expected, `the answer is ${response.status}, expected ${expected}`);
}

/** The shape of all error answers: a message, a time and an id, and nothing about the inside. */
export async function assertErrorShape(response, status) {
  assertStatus(response, status);
  const body = await response.json();
  assert.equal(typeof body.error, 'string', 'error is missing');
  assert.match(body.requestId, /^[0-9a-f-]{36}$/, 'requestId is not a UUID');
  assert.ok(!Number.isNaN(Date.parse(body.timestamp)), 'timestamp is not a date');
  assert.equal(body.stack, undefined, 'the answer holds a stack trace');
}

async function outcome(check) {
  try {
    await check();
    return undefined;
  } catch (error) {
    // Refused connections to a name with two addresses have a code and no message.
    return (error.message || error.code).split('\n')[0];
  }
}
