/** The server on a real PostgreSQL: one node, and two that share the database and the data folder. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { BatchDeleteImageCommand, CreateRepositoryCommand } from "@aws-sdk/client-ecr";
import { createEcrClient, registryPassword } from "../../test/aws-client.ts";
import { mustRun, runTool } from "../../test/clients/tool.ts";
import { createOciClient, sha256 } from "../../test/oci-client.ts";
import { postgresMissing, startPostgres } from "../../test/postgres.ts";
import type { PostgresServer } from "../../test/postgres.ts";
import { startServerProcess } from "../../test/server-process.ts";
import type { ServerProcess } from "../../test/server-process.ts";

const missing = postgresMissing();
const available = missing === undefined ? {} : { skip: missing };
const main = new URL("../cli/main.ts", import.meta.url).pathname;
let folder: string;
let postgres: PostgresServer;
let environment: Record<string, string>;
let nodes: ServerProcess[];

before(async () => {
  if (missing !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "supercargo-nodes-"));
  postgres = await startPostgres();
  const keyFile = join(folder, "instance.key");
  await mustRun([process.execPath, main, "key", "make", keyFile]);
  environment = { SUPERCARGO_DATABASE_URL: await postgres.url("nodes"), SUPERCARGO_KEY_FILE: keyFile };
  // At once: one of them makes the tables, and both must agree on whose data folder it is.
  nodes = await Promise.all([1, 2].map(() => startServerProcess({ folder: join(folder, "data"), environment })));
});
after(async () => {
  if (missing !== undefined) return;
  await Promise.all(nodes.map((node) => node.close()));
  await postgres.stop();
  rmSync(folder, { recursive: true });
});

function cli(...words: string[]): Promise<string> {
  return mustRun([process.execPath, main, ...words, "--data", join(folder, "data")], { environment });
}

test("what one node takes the other gives, and an upload moves between them", available, async () => {
  const [first, second] = nodes as [ServerProcess, ServerProcess];
  const client = createEcrClient(first.url);
  await client.send(new CreateRepositoryCommand({ repositoryName: "shared" }));
  const password = await registryPassword(client);
  const { digest } = await createOciClient(first.url, password).pushImage("shared", "1", [randomBytes(100_000)]);
  assert.equal((await createOciClient(second.url, password).verifyImage("shared", "1")).digest, digest);

  const headers = { authorization: `Basic ${Buffer.from(`AWS:${password}`).toString("base64")}` };
  const [head, tail] = [randomBytes(50_000), randomBytes(60_000)];
  const bytes = Buffer.concat([head, tail]);
  let answer = await fetch(`${first.url}/v2/shared/blobs/uploads/`, { method: "POST", headers });
  for (const [node, body] of [
    [first, head],
    [second, tail],
  ] as const) {
    answer = await fetch(new URL(answer.headers.get("location") ?? "", node.url), { method: "PATCH", headers, body });
    assert.equal(answer.status, 202, await answer.text());
  }
  const last = new URL(answer.headers.get("location") ?? "", first.url);
  last.searchParams.set("digest", sha256(bytes));
  assert.equal((await fetch(last, { method: "PUT", headers })).status, 201);
  const blob = await fetch(`${second.url}/v2/shared/blobs/${sha256(bytes)}`, { headers });
  assert.ok(Buffer.from(await blob.arrayBuffer()).equals(bytes));
});

test("commands go to the database beside running nodes; there is no control socket to fight for", available, async () => {
  assert.throws(() => statSync(join(folder, "data", "control.sock")), /ENOENT/);
  const client = createEcrClient(nodes[0]?.url ?? "");
  await client.send(new BatchDeleteImageCommand({ repositoryName: "shared", imageIds: [{ imageTag: "1" }] }));
  assert.match(await cli("restore", "shared", "--tag", "1"), /"restored": "tag"/);
  assert.match(await cli("gc"), /"failures": 0/);
  assert.match(await cli("fsck", "--read-bytes"), /"problemCount": 0/);
  const password = await registryPassword(client);
  await createOciClient(nodes[1]?.url ?? "", password).verifyImage("shared", "1");

  await cli("root", "reset");
  for (const node of nodes) {
    const own = createOciClient(node.url, password);
    for (let waited = 0; (await own.request("GET", "/v2/")).status !== 401; waited += 50) {
      assert.ok(waited < 1_000, "a token of the old root key still works after a second");
      await sleep(50);
    }
  }
});

const refusals: readonly (readonly [what: string, folder: string, changed: Record<string, string>, words: RegExp])[] = [
  [
    "a node with another data folder",
    "elsewhere",
    {},
    /the blobs of this database are not in .*elsewhere: every node needs the same \(shared\) data folder/,
  ],
  [
    "--dev on a strict database",
    "data",
    { SUPERCARGO_DEV: "1" },
    /--dev uses only what --dev has made, and this database belongs to a strict registry.*SUPERCARGO_DATABASE_URL/,
  ],
  ["SQLite in a folder of blobs that Postgres knows", "data", { SUPERCARGO_DATABASE_URL: "" }, /data holds the blobs of another registry/],
  [
    "a key file that is not there",
    "data",
    { SUPERCARGO_KEY_FILE: "/nowhere/key" },
    /instance key \/nowhere\/key is missing: copy it from a node that works.*supercargo key make/,
  ],
  [
    "a server that is not there",
    "data",
    { SUPERCARGO_DATABASE_URL: "postgres://me:hidden@127.0.0.1:1/x" },
    /the database at 127\.0\.0\.1:1 cannot be opened: .*ECONNREFUSED/,
  ],
];
for (const [what, data, changed, words] of refusals) {
  test(`refused: ${what}`, available, async () => {
    const options = { folder: join(folder, data), environment: { ...environment, ...changed } };
    await assert.rejects(startServerProcess(options), (error) => {
      assert.match(String(error), /the server ended with 2/);
      assert.match(String(error), words);
      assert.ok(!String(error).includes("hidden"));
      return true;
    });
  });
}

test("a command from a folder that is not the registry's is refused before it can do harm", available, async () => {
  const result = await runTool([process.execPath, main, "gc", "--grace", "0", "--data", join(folder, "elsewhere")], { environment });
  assert.equal(result.status, 2);
  assert.match(result.stderr, /every node needs the same \(shared\) data folder/);
});
