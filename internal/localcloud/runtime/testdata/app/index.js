import { DurableObject } from "cloudflare:workers";
import greeting from "./greeting.txt";

export class Counter extends DurableObject {
  async add() {
    const n = ((await this.ctx.storage.get("n")) ?? 0) + 1;
    await this.ctx.storage.put("n", n);
    return n;
  }
  async fetch(request) {
    const [client, server] = Object.values(new WebSocketPair());
    server.accept();
    server.addEventListener("message", (e) => server.send("do:" + e.data));
    return new Response(null, { status: 101, webSocket: client });
  }
}

async function seen(env, key, value) {
  await env.KV.put(key, JSON.stringify(value));
}

const routes = {
  "/version": (_, env) => Response.json(env.VERSION),
  "/env": (request, env) =>
    Response.json({
      plain: env.PLAIN,
      secret: env.SECRET,
      json: env.JSON,
      greeting,
      url: request.url,
      ip: request.headers.get("cf-connecting-ip"),
      colo: request.cf?.colo,
    }),
  "/do": async (_, env) => Response.json({ n: await env.COUNTER.getByName("one").add(), version: env.VERSION.id }),
  "/ws": (request, env) => env.COUNTER.getByName("ws").fetch(request),
  "/kv": async (_, env) => {
    await env.KV.put("a/b c?", "value", { metadata: { m: "ü" }, expirationTtl: 60 });
    await env.KV.put("json", JSON.stringify({ x: 1 }));
    const withMetadata = await env.KV.getWithMetadata("a/b c?");
    const list = await env.KV.list({ limit: 1 });
    const rest = await env.KV.list({ cursor: list.cursor });
    const bulk = await env.KV.get(["json", "absent"], "json");
    await env.KV.delete("a/b c?");
    return Response.json({
      value: withMetadata.value,
      metadata: withMetadata.metadata,
      gone: await env.KV.get("a/b c?"),
      first: list.keys,
      complete: [list.list_complete, rest.list_complete],
      bulk: Object.fromEntries(bulk),
    });
  },
  "/r2": async (_, env) => {
    const put = await env.R2.put("k", "0123456789", {
      httpMetadata: { contentType: "text/plain", cacheExpiry: new Date(1e12) },
      customMetadata: { a: "b" },
      md5: "781e5e245d69b566979b86e28d23f2c7",
    });
    const got = await env.R2.get("k", { range: { offset: 2, length: 3 } });
    const unchanged = await env.R2.get("k", { onlyIf: { etagDoesNotMatch: put.etag } });
    const refused = await env.R2.put("k", "other", { onlyIf: { etagMatches: "nope" } });
    let digest;
    await env.R2.put("bad", "x", { md5: "781e5e245d69b566979b86e28d23f2c7" }).catch((e) => (digest = e.message));
    const upload = await env.R2.createMultipartUpload("big", { customMetadata: { parts: "2" } });
    const one = await upload.uploadPart(1, new Uint8Array(5 * 1024 * 1024));
    const two = await upload.uploadPart(2, "tail");
    const big = await upload.complete([one, two]);
    const list = await env.R2.list({ include: ["customMetadata"] });
    const result = {
      text: await got.text(),
      range: got.range,
      type: got.httpMetadata.contentType,
      expiry: got.httpMetadata.cacheExpiry.getTime(),
      custom: got.customMetadata,
      noBody: "body" in unchanged,
      refused,
      digest,
      big: big.size,
      list: list.objects.map((o) => [o.key, o.size, o.customMetadata]),
      head: (await env.R2.head("k")).etag === put.etag,
    };
    await env.R2.delete(["k", "big"]);
    return Response.json({ ...result, gone: await env.R2.get("k") });
  },
  "/d1": async (_, env) => {
    await env.DB.exec("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v TEXT, b BLOB)");
    const insert = await env.DB.prepare("INSERT INTO t (v, b) VALUES (?, ?)").bind("x", new Uint8Array([1, 2])).run();
    const batch = await env.DB.batch([
      env.DB.prepare("INSERT INTO t (v) VALUES (?1)").bind("y"),
      env.DB.prepare("SELECT count(*) AS n FROM t"),
    ]);
    let error;
    await env.DB.batch([env.DB.prepare("DELETE FROM t"), env.DB.prepare("SELECT * FROM nope")]).catch(
      (e) => (error = e.message),
    );
    return Response.json({
      changes: insert.meta.changes,
      lastRow: insert.meta.last_row_id,
      n: batch[1].results[0].n,
      first: await env.DB.prepare("SELECT v, b FROM t ORDER BY id").first(),
      raw: await env.DB.prepare("SELECT v FROM t ORDER BY id").raw({ columnNames: true }),
      error,
      after: await env.DB.prepare("SELECT count(*) AS n FROM t").first("n"),
    });
  },
  "/send": async (request, env) => {
    await env.QUEUE.send({ hello: "json" });
    await env.QUEUE.send("text", { contentType: "text" });
    await env.QUEUE.sendBatch([
      { body: new Map([["v8", 1]]), contentType: "v8" },
      { body: "poison", contentType: "text" },
    ]);
    return new Response("sent");
  },
  "/backlog": async (_, env) => {
    const before = await env.PARKED.metrics();
    const sent = await env.PARKED.send("12345", { contentType: "text", delaySeconds: 600 });
    const after = await env.PARKED.metrics();
    return Response.json({ before, sent: sent?.metadata?.metrics?.backlogCount, count: after.backlogCount, bytes: after.backlogBytes, dated: after.oldestMessageTimestamp instanceof Date });
  },
  "/cache": async (request) => {
    await caches.default.put("https://example.com/a", new Response("x"));
    return Response.json({ hit: (await caches.default.match("https://example.com/a")) !== undefined });
  },
  "/other": (_, env) => env.OTHER.fetch("https://other.example/version"),
  "/slow": async () => {
    await scheduler.wait(300);
    return new Response("slow");
  },
  "/stream": () => {
    const { readable, writable } = new TransformStream();
    const writer = writable.getWriter();
    (async () => {
      await writer.write(new TextEncoder().encode("one\n"));
      await scheduler.wait(200);
      await writer.write(new TextEncoder().encode("two\n"));
      await writer.close();
    })();
    return new Response(readable);
  },
  "/log": () => {
    console.log("printed by the app");
    return new Response("ok");
  },
  "/throw": () => {
    throw new Error("boom");
  },
  "/echo": async (request) => new Response(await request.text()),
};

export default {
  async fetch(request, env) {
    const route = routes[new URL(request.url).pathname];
    return route ? route(request, env) : new Response("not found", { status: 404 });
  },
  async queue(batch, env) {
    for (const m of batch.messages) {
      if (m.body === "poison") {
        m.retry();
        continue;
      }
      const body = m.body instanceof Map ? ["map", ...m.body.keys()] : m.body;
      await seen(env, "queue:" + m.id, { queue: batch.queue, body, attempts: m.attempts });
    }
  },
  async scheduled(controller, env) {
    await seen(env, "cron", { cron: controller.cron, at: controller.scheduledTime });
  },
};
