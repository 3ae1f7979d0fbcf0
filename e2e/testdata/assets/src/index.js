export default { fetch: () => new Response("the code\n") };
