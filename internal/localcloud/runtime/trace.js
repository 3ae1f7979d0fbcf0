// Tells the runtime what became of each call of a worker: outcome, logs, exceptions. It sends what has piled up while it
// was sending, so that a busy worker costs few requests.
const waiting = [];
let sending = false;

export default {
  async tail(events, env, ctx) {
    const { version } = ctx.props;
    for (const event of events) {
      waiting.push(JSON.stringify({ version, event: plain(event) }));
    }
    if (sending) {
      return;
    }
    sending = true;
    try {
      while (waiting.length > 0) {
        const batch = waiting.splice(0, 200);
        await env.SINK.fetch("http://trace/", { method: "POST", body: "[" + batch.join(",") + "]" });
      }
    } finally {
      sending = false;
    }
  },
};

// The members of a trace item that tail sessions show, the optional ones only when there are some.
function plain(event) {
  return {
    outcome: event.outcome,
    entrypoint: event.entrypoint,
    executionModel: event.executionModel,
    eventTimestamp: event.eventTimestamp,
    event: event.event,
    exceptions: event.exceptions,
    logs: event.logs,
    diagnosticsChannelEvents: event.diagnosticsChannelEvents,
    truncated: event.truncated,
  };
}
