import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { openDatabase } from "#metadata/database.ts";
import { silentLog } from "#std/log.ts";
import { startServer } from "./serve.ts";
import { makeFolder, settingsFor } from "./testing/in-process.ts";

const quiet = { ...silentLog, flush() {} };
let folder: string;
beforeEach(() => {
  folder = makeFolder();
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Starts and stops on a folder; the settings are strict mode's unless told otherwise. */
async function run(data: string, environment: Readonly<Record<string, string>> = {}): Promise<void> {
  const server = await startServer(settingsFor(folder, { SUPERCARGO_DATA: join(folder, data), ...environment }), quiet, "");
  await server.stop();
}

test("a folder and its database know each other", async () => {
  await run("a");
  await run("a");
  const file = join(folder, "a", "registry.id");
  const registryId = readFileSync(file, "utf8");
  assert.match(registryId, /^[0-9a-f-]{36}\n$/);
  // Lost with a backup that left it out: the database in the folder still says whose it is.
  rmSync(file);
  await run("a");
  assert.equal(readFileSync(file, "utf8"), registryId);
});

test("the folder of archived blobs belongs to one registry, and is missed when it is not there", async () => {
  const cold = { SUPERCARGO_COLD_DATA: join(folder, "cold") };
  await run("a", cold);
  await run("a", cold);
  assert.equal(readFileSync(join(folder, "cold", "registry.id"), "utf8"), readFileSync(join(folder, "a", "registry.id"), "utf8"));
  await assert.rejects(run("b", cold), /cold holds archived blobs of another registry/);
  await assert.rejects(run("c", { SUPERCARGO_COLD_DATA: join(folder, "c", "storage") }), /cannot be the cold one too/);
  symlinkSync(join(folder, "a", "storage"), join(folder, "link"));
  await assert.rejects(run("a", { SUPERCARGO_COLD_DATA: join(folder, "link") }), /cannot be the cold one too/);
  const db = await openDatabase({ kind: "sqlite", file: join(folder, "a", "registry.sqlite") }, { log: silentLog });
  await db.transaction(async (tx) => {
    const blob = { account_id: "1", protection_domain: "AES256", digest: "d", size_bytes: 1, storage_key: "cold:k", created_at: 1 };
    await tx
      .insertInto("blob")
      .values({ ...blob, state: "live", tier: "cold" })
      .execute();
  });
  await db.close();
  await run("a", cold);
  rmSync(join(folder, "cold"), { recursive: true });
  await assert.rejects(run("a", cold), /archived blobs of this registry are not in .*cold: mount their disk/);
});

test("another registry's database in the folder is refused before garbage collection could take its blobs for orphans", async () => {
  await run("a");
  await run("b");
  cpSync(join(folder, "b", "registry.sqlite"), join(folder, "a", "registry.sqlite"));
  cpSync(join(folder, "b", "instance.key"), join(folder, "a", "instance.key"));
  await assert.rejects(run("a"), /a holds the blobs of another registry, whose database is not this one.*SUPERCARGO_DATA$/);
});

test("a folder whose database went away does not become a new registry", async () => {
  await run("a");
  rmSync(join(folder, "a", "registry.sqlite"));
  await assert.rejects(run("a"), /holds the blobs of another registry/);
  assert.equal(existsSync(join(folder, "a", "registry.sqlite")), false);
});

test("a file that is no database is refused in clear words", async () => {
  await run("a");
  writeFileSync(join(folder, "a", "registry.sqlite"), "hello ".repeat(1000));
  await assert.rejects(run("a"), /^SettingsError: the database .*registry\.sqlite cannot be opened: file is not a database$/);
});

test("--dev and strict mode keep to their own folders", async () => {
  await run("strict");
  await run("dev", { SUPERCARGO_DEV: "1" });
  await assert.rejects(
    run("strict", { SUPERCARGO_DEV: "1" }),
    /--dev uses only what --dev has made, and the data folder .*strict.*SUPERCARGO_DATA$/,
  );
  await assert.rejects(run("dev"), /dev was made by --dev, where anyone may write, and cannot become a strict registry.*SUPERCARGO_DATA$/);
  await run("strict");
  await run("dev", { SUPERCARGO_DEV: "1" });
});
