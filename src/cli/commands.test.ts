/** Commands in a process of their own, beside a running server and without one. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  BatchDeleteImageCommand,
  CreateRepositoryCommand,
  DeleteRepositoryCommand,
  DescribeRepositoriesCommand,
} from "@aws-sdk/client-ecr";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { ownDataFolder, dataFolderAt } from "#server/data-folder.ts";
import { createEcrClient, registryPassword } from "../../test/aws-client.ts";
import { runTool } from "../../test/clients/tool.ts";
import type { ToolResult } from "../../test/clients/tool.ts";
import { createOciClient } from "../../test/oci-client.ts";
import type { OciClient } from "../../test/oci-client.ts";
import { freePort, startServerProcess } from "../../test/server-process.ts";
import type { ServerProcess } from "../../test/server-process.ts";

const main = new URL("main.ts", import.meta.url).pathname;
let data: string;
let port: number;
let server: ServerProcess;
let oci: OciClient;
before(async () => {
  data = mkdtempSync(join(tmpdir(), "supercargo-commands-"));
  port = await freePort();
  server = await startServerProcess({ folder: data, port });
  const client = createEcrClient(server.url);
  await client.send(new CreateRepositoryCommand({ repositoryName: "hello" }));
  oci = createOciClient(server.url, await registryPassword(client));
});
after(async () => {
  await server.close();
  rmSync(data, { recursive: true });
});

function run(...words: string[]): Promise<ToolResult> {
  return runTool([process.execPath, main, ...words, "--data", data], { timeoutMs: 30_000 });
}

/** Runs a command that must succeed and answers the JSON it printed. */
async function report(...words: string[]): Promise<Record<string, unknown>> {
  const result = await run(...words);
  assert.deepEqual([result.status, result.stderr], [0, ""]);
  return JSON.parse(result.stdout) as Record<string, unknown>;
}

/** Deletes an image by its tag, as the API does it. */
async function deleteImage(tag: string): Promise<void> {
  const answer = await createEcrClient(server.url).send(
    new BatchDeleteImageCommand({ repositoryName: "hello", imageIds: [{ imageTag: tag }] }),
  );
  assert.deepEqual(answer.failures, []);
}

for (const isRunning of [true, false]) {
  const how = isRunning ? "through the running server" : "without a server";
  /** Ends the server for a command, when that is how it is tried. */
  const alone = async <T>(work: () => Promise<T>): Promise<T> => {
    if (!isRunning) await server.kill("SIGTERM");
    try {
      return await work();
    } finally {
      if (!isRunning) server = await startServerProcess({ folder: data, port });
    }
  };

  test(`restore and purge, ${how}`, async () => {
    const pushed = await oci.pushImage("hello", "1", [Buffer.from(`layer ${how}`)]);
    await deleteImage("1");
    assert.deepEqual(await oci.listTags("hello"), []);
    const results = await alone(async () => {
      const restored = await report("restore", "hello", "--tag", "1");
      const again = await run("restore", "hello", "--tag", "1");
      return { restored, again };
    });
    assert.deepEqual([results.restored["restored"], results.restored["digest"]], ["tag", pushed.digest]);
    assert.deepEqual([results.again.status, results.again.stdout], [1, ""]);
    assert.match(results.again.stderr, /^supercargo: [^\n]*the tag '1' of 'hello'[^\n]*\n$/);
    assert.equal((await oci.verifyImage("hello", "1")).digest, pushed.digest);

    await deleteImage("1");
    const [purged, gone] = await alone(async () => [
      await report("purge", "hello", "--digest", pushed.digest),
      await run("restore", "hello", "--digest", pushed.digest),
    ]);
    assert.ok(Number(purged["purged"]) > 0);
    assert.equal(gone.status, 1);
    assert.match(gone.stderr, /^supercargo: no deletion of sha256:[0-9a-f]+ of 'hello' can be found/);
  });

  test(`a deleted repository comes back, ${how}`, async () => {
    const client = createEcrClient(server.url);
    await client.send(new CreateRepositoryCommand({ repositoryName: "whole" }));
    await client.send(new DeleteRepositoryCommand({ repositoryName: "whole" }));
    assert.deepEqual(await alone(() => report("restore", "whole")), { restored: "repository" });
    await client.send(new DescribeRepositoriesCommand({ repositoryNames: ["whole"] }));
    await client.send(new DeleteRepositoryCommand({ repositoryName: "whole" }));
  });

  test(`gc with and without a grace, ${how}`, async () => {
    const { digest } = await oci.pushBlob("hello", Buffer.from(`unreferenced ${how}`));
    const [gentle, now] = await alone(async () => [await report("gc"), await report("gc", "--grace", "0")]);
    assert.equal(gentle["deletedCopies"], 0);
    assert.ok(Number(now["deletedCopies"]) > 0);
    assert.equal((await oci.request("HEAD", `/v2/hello/blobs/${digest}`)).status, 404);
  });

  test(`root reset, ${how}`, async () => {
    assert.equal((await oci.request("GET", "/v2/")).status, 200);
    const result = await alone(() => run("root", "reset"));
    assert.equal(result.status, 0);
    assert.match(result.stdout, /^The new root access key was written to .*root-access-key\.env\n$/);
    const text = readFileSync(join(data, "root-access-key.env"), "utf8");
    assert.match(text, /^export AWS_ACCESS_KEY_ID='AKIA\w+'\nexport AWS_SECRET_ACCESS_KEY='[^']+'\n$/);
    // The server of this test is given its root key, and what is given wins at each start.
    if (isRunning) assert.equal((await oci.request("GET", "/v2/")).status, 401);
    await server.kill("SIGTERM");
    server = await startServerProcess({ folder: data, port });
    oci = createOciClient(server.url, await registryPassword(createEcrClient(server.url)));
  });
}

test("an account of its own, with a root key that nobody else has", async () => {
  const result = await run("account", "create", "--id", "210987654321", "--name", "second");
  assert.deepEqual([result.status, result.stderr], [0, ""]);
  const text = readFileSync(join(data, "root-access-key.env.210987654321"), "utf8");
  const [accessKeyId = "", secretAccessKey = ""] = [...text.matchAll(/='([^']+)'/g)].map((match) => match[1]);
  const sts = new STSClient({ endpoint: server.url, region: "us-east-1", credentials: { accessKeyId, secretAccessKey }, maxAttempts: 1 });
  assert.equal((await sts.send(new GetCallerIdentityCommand({}))).Arn, "arn:aws:iam::210987654321:root");
  sts.destroy();
  const again = await run("account", "create", "--id", "210987654321");
  assert.deepEqual([again.status, again.stderr], [1, "supercargo: the account 210987654321 exists already\n"]);
  const listed = await run("account", "list");
  assert.match(
    listed.stdout,
    /^\{"accountId":"000000000000","createdAt":\d+\}\n\{"accountId":"210987654321","name":"second","createdAt":\d+\}\n$/,
  );
  const typo = await run("root", "reset", "--account", "210987654322");
  assert.deepEqual([typo.status, typo.stdout], [1, ""]);
});

test("fsck looks on beside a running server and finds what is damaged", async () => {
  const layer = Buffer.from("a layer that will rot");
  await oci.pushImage("hello", "rotten", [layer]);
  const sound = await report("fsck", "--read-bytes");
  assert.equal(sound["problemCount"], 0);
  assert.ok(Number(sound["readBytes"]) > layer.length);
  const hex = createHash("sha256").update(layer).digest("hex");
  const stored = readdirSync(join(data, "storage"), { recursive: true, encoding: "utf8" }).find((name) => name.includes(hex));
  writeFileSync(join(data, "storage", stored ?? ""), Buffer.from("a layer that has rotten".slice(0, layer.length)));
  assert.equal((await report("fsck"))["problemCount"], 0);
  const result = await run("fsck", "--read-bytes");
  assert.equal(result.status, 1);
  const { problems } = JSON.parse(result.stdout) as { problems: { kind: string; digest: string }[] };
  assert.deepEqual(
    problems.map(({ kind, digest }) => [kind, digest]),
    [["digest-mismatch", `sha256:${hex}`]],
  );
});

test("a command changes no key and no mark of the registry that it works on", async () => {
  await server.kill("SIGTERM");
  const environment = {
    SUPERCARGO_ROOT_ACCESS_KEY_ID: "AKIAOFSOMEBODYELSE00",
    SUPERCARGO_ROOT_SECRET_ACCESS_KEY: "somebody/Elses+Key0123456789",
    SUPERCARGO_ACCOUNT: "999999999999",
    SUPERCARGO_DEV: "1",
  };
  const result = await runTool([process.execPath, main, "gc", "--data", data], { environment, timeoutMs: 30_000 });
  assert.equal(result.status, 0, result.stderr);
  server = await startServerProcess({ folder: data, port });
  assert.equal((await oci.request("GET", "/v2/")).status, 200, "the token of before still works");
});

test("a folder that another command owns is not written to", async () => {
  await server.kill("SIGTERM");
  const lock = ownDataFolder(dataFolderAt(data));
  const result = await run("gc");
  lock.release();
  server = await startServerProcess({ folder: data, port });
  assert.equal(result.status, 1);
  assert.match(
    result.stderr,
    /^supercargo: .* is in use by a server that is just starting or stopping, or by another command; try again\n$/,
  );
});
