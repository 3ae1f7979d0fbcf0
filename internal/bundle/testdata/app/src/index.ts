import { DurableObject } from "cloudflare:workers";
import note from "./note.txt";
import add from "./add.wasm";
import { Buffer } from "node:buffer";

export class Counter extends DurableObject {
  async next(): Promise<number> {
    const n = ((await this.ctx.storage.get<number>("n")) ?? 0) + 1;
    await this.ctx.storage.put("n", n);
    return n;
  }
}
export default {
  async fetch(request: Request, env: any): Promise<Response> {
    const instance = await WebAssembly.instantiate(add);
    return Response.json({ note, version: env.CF_VERSION.id, b: Buffer.from("x").toString("hex"), i: String(instance) });
  },
  async queue(batch: any, env: any) { console.log(batch.messages.length); },
  async scheduled() { console.log("tick"); },
};
