const code = "one";
export default {
  async fetch(request, env) {
    const headers = { "x-version-id": env.VERSION.id };
    const url = new URL(request.url);
    if (url.pathname === "/write") {
      await env.DB.prepare("INSERT INTO users (name) VALUES ('x')").run();
    }
    const row = await env.DB.prepare("SELECT count(*) AS n FROM users").first();
    return Response.json({ code, rows: row.n }, { headers });
  },
};
