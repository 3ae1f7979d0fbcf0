// D1 databases, each a SQLite Durable Object: workerd's rules for SQL there are D1's own.
import { DurableObject } from "cloudflare:workers";

export class Database extends DurableObject {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/close") {
      // Ends this object, and with it its connection; SQLite then folds the write-ahead log into the file.
      this.ctx.abort("closed, so that its file can be copied");
    }
    const statements = await request.json();
    let results;
    try {
      results = this.ctx.storage.transactionSync(() => statements.map((s) => this.run(s.sql, s.params)));
    } catch (e) {
      return Response.json({ error: e.message });
    }
    return Response.json({ results });
  }

  run(text, params) {
    const { sql } = this.ctx.storage;
    const size = sql.databaseSize;
    const before = this.counters();
    const cursor = sql.exec(text, ...params.map((p) => (Array.isArray(p) ? Uint8Array.from(p) : p)));
    const rows = [];
    for (const row of cursor.raw()) {
      rows.push(row.map((value) => (value instanceof ArrayBuffer ? Array.from(new Uint8Array(value)) : value)));
    }
    const after = this.counters();
    const sizeAfter = sql.databaseSize;
    const changes = after.changes - before.changes;
    return {
      columns: cursor.columnNames,
      rows,
      meta: {
        changes,
        last_row_id: after.lastRow,
        changed_db: changes !== 0 || after.lastRow !== before.lastRow || sizeAfter !== size,
        size_after: sizeAfter,
        rows_read: cursor.rowsRead,
        rows_written: cursor.rowsWritten,
      },
    };
  }

  counters() {
    const [[changes, lastRow]] = this.ctx.storage.sql.exec("SELECT total_changes(), last_insert_rowid()").raw();
    return { changes, lastRow };
  }
}

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
    const id = env.DATABASES.idFromString(request.headers.get("x-object"));
    return env.DATABASES.get(id).fetch(request);
  },
};
