/** What stands in the audit log after requests on both planes, as `supercargo audit` finds it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { findAuditRecords } from "#cli/audit.ts";
import type { AuditFilter } from "#cli/audit.ts";
import { auditFiles } from "./audit-log.ts";
import { rootKey, startInProcess } from "./testing/in-process.ts";
import type { InProcessServer } from "./testing/in-process.ts";

interface AuditRecord {
  readonly eventName: string;
  readonly errorCode?: string;
  readonly userIdentity: { readonly type: string; readonly arn: string };
  readonly requestParameters: Readonly<Record<string, unknown>>;
  readonly resources?: readonly { readonly ARN: string }[];
  readonly additionalEventData?: { readonly decisions: readonly { readonly allowed: boolean }[] };
}

let running: InProcessServer;
let folder: string;
let password: string;
before(async () => {
  running = await startInProcess();
  folder = join(running.folder, "data", "audit");
  await running.call("CreateRepository", { repositoryName: "shop" });
  const { authorizationData } = await running.call<{ authorizationData: { authorizationToken: string }[] }>("GetAuthorizationToken", {});
  password = authorizationData[0]?.authorizationToken ?? "";
});
after(() => running.close());

async function records(filter: AuditFilter, atLeast: number): Promise<AuditRecord[]> {
  for (let waited = 0; ; waited += 50) {
    const lines = await Array.fromAsync(findAuditRecords(folder, filter));
    if (lines.length >= atLeast || waited > 3_000) return lines.map((line) => JSON.parse(line) as AuditRecord);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("an API call, with its input, its decision and who asked", async () => {
  const [record] = await records({ eventName: "CreateRepository" }, 1);
  assert.ok(record !== undefined);
  assert.deepEqual([record.userIdentity.type, record.userIdentity.arn], ["Root", "arn:aws:iam::000000000000:root"]);
  assert.deepEqual(record.requestParameters, { repositoryName: "shop" });
  assert.deepEqual(
    record.resources?.map(({ ARN }) => ARN),
    ["arn:aws:ecr:us-east-1:000000000000:repository/shop"],
  );
  assert.equal(record.additionalEventData?.decisions[0]?.allowed, true);
});

test("a pull that fails, in the words of the operation that it stands for", async () => {
  const answer = await running.ask("GET", "/v2/shop/manifests/1", { headers: { authorization: `Basic ${password}` } });
  assert.equal(answer.status, 404);
  const [record] = await records({ eventName: "batchgetimage", errorsOnly: true, resource: "repository/shop" }, 1);
  assert.equal(record?.errorCode, "MANIFEST_UNKNOWN");
  assert.equal(record?.requestParameters["reference"], "1");
});

test("filters leave out what does not match, and nobody finds a secret", async () => {
  assert.deepEqual(await records({ eventName: "PutImage" }, 0), []);
  assert.deepEqual(await records({ principal: "user/nobody" }, 0), []);
  assert.deepEqual(await records({ until: 0 }, 0), []);
  assert.ok((await records({ principal: rootKey.accessKeyId }, 2)).length >= 2);
  const text = auditFiles(folder)
    .map(({ path }) => readFileSync(path, "utf8"))
    .join("");
  for (const secret of [rootKey.secretAccessKey, password, Buffer.from(password, "base64").toString().slice(4)])
    assert.ok(!text.includes(secret));
});
