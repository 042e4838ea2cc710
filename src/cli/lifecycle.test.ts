/** `supercargo lifecycle run` in a process of its own, beside a running server and without one. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  CreateRepositoryCommand,
  GetLifecyclePolicyPreviewCommand,
  PutLifecyclePolicyCommand,
  StartLifecyclePolicyPreviewCommand,
} from "@aws-sdk/client-ecr";
import type { ECRClient } from "@aws-sdk/client-ecr";
import { createEcrClient, registryPassword } from "../../test/aws-client.ts";
import { runTool } from "../../test/clients/tool.ts";
import type { ToolResult } from "../../test/clients/tool.ts";
import { createOciClient } from "../../test/oci-client.ts";
import type { OciClient } from "../../test/oci-client.ts";
import { startServerProcess } from "../../test/server-process.ts";
import type { ServerProcess } from "../../test/server-process.ts";

const main = new URL("main.ts", import.meta.url).pathname;
const rule = {
  rulePriority: 1,
  description: "the newest only",
  selection: { tagStatus: "any", countType: "imageCountMoreThan", countNumber: 1 },
  action: { type: "expire" },
};
let data: string;
let server: ServerProcess;
let client: ECRClient;
let oci: OciClient;

before(async () => {
  data = mkdtempSync(join(tmpdir(), "supercargo-lifecycle-"));
  server = await startServerProcess({ folder: data });
  client = createEcrClient(server.url);
  oci = createOciClient(server.url, await registryPassword(client));
  const lifecyclePolicyText = JSON.stringify({ rules: [rule] });
  for (const repositoryName of ["one", "two"]) {
    await client.send(new CreateRepositoryCommand({ repositoryName }));
    await client.send(new PutLifecyclePolicyCommand({ repositoryName, lifecyclePolicyText }));
    for (const tag of ["1", "2", "3"]) await oci.pushImage(repositoryName, tag, [Buffer.from(`${repositoryName} ${tag}`)]);
  }
  await client.send(new CreateRepositoryCommand({ repositoryName: "without" }));
});
after(async () => {
  client.destroy();
  await server.close();
  rmSync(data, { recursive: true, force: true });
});

const run = (...words: string[]): Promise<ToolResult> =>
  runTool([process.execPath, main, "lifecycle", "run", ...words, "--data", data], { timeoutMs: 30_000 });
const line = (repository: string, images: number, done: number): string =>
  `${JSON.stringify({ repository, images, rules: done === 0 ? [] : [{ priority: 1, action: "expire", done, held: 0 }] })}\n`;

test("a preview is made by the server's own worker", async () => {
  await client.send(new StartLifecyclePolicyPreviewCommand({ repositoryName: "one" }));
  for (let turn = 0; turn < 100; turn += 1) {
    const preview = await client.send(new GetLifecyclePolicyPreviewCommand({ repositoryName: "one" }));
    if (preview.status === "COMPLETE") return assert.equal(preview.summary?.expiringImageTotalCount, 2);
    await new Promise((resolve) => void setTimeout(resolve, 100));
  }
  assert.fail("it was not made in time");
});

test("policies run at once, through the running server and without it", async () => {
  const dry = await run("--dry-run");
  assert.deepEqual([dry.status, dry.stdout], [0, line("one", 3, 2) + line("two", 3, 2)]);
  assert.equal(dry.stderr, "2 repositories with 6 images: would expire 4 and archive 0, 0 held\n");
  assert.deepEqual(await oci.listTags("one"), ["1", "2", "3"]);
  const one = await run("--repository", "one");
  assert.deepEqual([one.status, one.stdout], [0, line("one", 3, 2)]);
  assert.deepEqual(await oci.listTags("one"), ["3"]);
  assert.deepEqual(await oci.listTags("two"), ["1", "2", "3"]);
  await server.kill("SIGTERM");
  const all = await run();
  assert.deepEqual([all.status, all.stdout], [0, line("one", 1, 0) + line("two", 3, 2)]);
  const records = readdirSync(join(data, "audit")).map((file) => readFileSync(join(data, "audit", file), "utf8"));
  assert.match(records.join(""), /"eventName":"LifecycleRun".*"repository":"one"/);
});

test("what cannot be meant is refused", async () => {
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [
      ["--repository", "without"],
      1,
      /no repository 'without' with a lifecycle policy in the registry of account 000000000000 in us-east-1/,
    ],
    [["--repository", "UPPER"], 2, /'UPPER' is not the name of a repository/],
  ];
  for (const [words, status, text] of cases) {
    const result = await run(...words);
    assert.equal(result.status, status);
    assert.match(result.stderr, text);
  }
});
