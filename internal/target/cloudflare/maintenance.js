// What people get while the app is out of service. It has no dependencies and no bindings but its words.
const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const page = (message) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Under maintenance</title>
<style>
body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 1.1rem/1.5 system-ui, sans-serif; color: #222; background: #f6f6f4; }
main { max-width: 32rem; padding: 2rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #191919; } }
</style>
</head>
<body><main><h1>Under maintenance</h1><p>${escape(message)}</p></main></body>
</html>
`;

export default {
  fetch(request, env) {
    const message = env.PENSTOCK_MESSAGE;
    const asJSON = (request.headers.get("accept") ?? "").includes("application/json");
    const headers = {
      "content-type": asJSON ? "application/json" : "text/html; charset=utf-8",
      "retry-after": env.PENSTOCK_RETRY_AFTER,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "x-robots-tag": "noindex",
      "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    };
    const body = asJSON ? JSON.stringify({ error: "maintenance", message }) : page(message);
    return new Response(request.method === "HEAD" ? null : body, { status: 503, headers });
  },
  // It comes again when the app is said to be back: a queue gives up after its retries, so that they must not be spent on every
  // minute until then. Cloudflare takes 12 hours at most.
  queue(batch, env) {
    batch.retryAll({ delaySeconds: Math.min(43200, Math.max(60, Number(env.PENSTOCK_RETRY_AFTER))) });
  },
  scheduled() {},
};
