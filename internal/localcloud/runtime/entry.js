// The way in for events that are no HTTP requests. Only a worker can call another worker's queue() and scheduled()
// handlers; the runtime reaches this one by HTTP, with a key that only it knows.
export default {
  async fetch(request, env) {
    if (request.headers.get("x-penstock-key") !== env.KEY) {
      return new Response(null, { status: 403 });
    }
    const { pathname } = new URL(request.url);
    if (pathname === "/ready") {
      console.error("penstock: ready");
      return new Response(null, { status: 204 });
    }
    const event = await request.json();
    const version = env[event.version];
    if (pathname === "/scheduled") {
      const { outcome } = await version.scheduled({ cron: event.cron, scheduledTime: new Date(event.time) });
      return Response.json({ outcome });
    }
    if (pathname === "/queue") {
      const result = await version.queue(event.queue, event.messages.map(message));
      return Response.json({
        outcome: result.outcome,
        ackAll: result.ackAll,
        retryBatch: result.retryBatch,
        explicitAcks: result.explicitAcks,
        retryMessages: result.retryMessages,
      });
    }
    return new Response(null, { status: 404 });
  },
};

function message({ id, time, contentType, body, attempts }) {
  const bytes = Uint8Array.from(atob(body), (c) => c.charCodeAt(0));
  const base = { id, timestamp: new Date(time), attempts };
  switch (contentType) {
    case "json":
      return { ...base, body: JSON.parse(new TextDecoder().decode(bytes)) };
    case "text":
      return { ...base, body: new TextDecoder().decode(bytes) };
    case "bytes":
      return { ...base, body: bytes };
    default:
      return { ...base, serializedBody: bytes };
  }
}
