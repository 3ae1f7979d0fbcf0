export default {
  fetch(request, env) {
    return new Response(`${env.GREETING} from ${new URL(request.url).pathname}\n`);
  },
};
