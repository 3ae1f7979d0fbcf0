export default { fetch(request, env) { return new Response("hello from the package", { headers: { "x-version-id": env.VERSION.id } }); } };
