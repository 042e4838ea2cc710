import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { silentLog } from "#std/log.ts";
import { postgresMissing, startPostgres } from "../../test/postgres.ts";
import type { PostgresServer } from "../../test/postgres.ts";
import { openDatabase } from "./database.ts";
import { metadataContract } from "./metadata-contract.ts";

const folder = mkdtempSync(join(tmpdir(), "supercargo-metadata-"));
after(() => rmSync(folder, { recursive: true, force: true }));

let opened = 0;
metadataContract("SQLite", () => openDatabase({ kind: "sqlite", file: join(folder, `contract-${(opened += 1)}.db`) }, { log: silentLog }));

const missing = postgresMissing();
if (missing === undefined) {
  let server: PostgresServer | undefined;
  metadataContract("Postgres", async () => {
    server ??= await startPostgres();
    return openDatabase({ kind: "postgres", url: await server.url("metadata_contract") }, { log: silentLog });
  });
  after(() => server?.stop());
} else {
  test("metadata on Postgres", { skip: missing });
}
