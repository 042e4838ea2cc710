import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { findManifest } from "#metadata/manifests.ts";
import type { Digest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import type { RegistryContext } from "./context.ts";
import { createPullNotes, createPullTimeExclusion, findPullTimes } from "./pull-time.ts";
import type { PullNotes } from "./pull-time.ts";
import { createRepository } from "./repository.ts";
import type { ManualClock, TestRegistry } from "./testing/test-registry.ts";
import { createManualClock, openTestRegistry, pushManifest, registry } from "./testing/test-registry.ts";

const folder = mkdtempSync(join(tmpdir(), "pull-time-"));
const name = "pulled/app" as RepositoryName;
const principalArn = "arn:aws:iam::111111111111:user/somebody";
let opened: TestRegistry;
let ctx: RegistryContext;
let clock: ManualClock;
let manifestId: number;

before(async () => {
  clock = createManualClock();
  opened = await openTestRegistry({ databaseFile: join(folder, "db"), storage: createMemoryDriver({ clock }), clock });
  ({ ctx } = opened);
  await createRepository(ctx, registry, name);
  const digest: Digest = await pushManifest(ctx, name, { config: "config", tags: ["latest"] });
  const found = await findManifest(ctx.core.metadata, { ...registry, name }, { kind: "digest", digest });
  manifestId = found.manifest?.manifestId ?? 0;
});
after(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

/** Notes of their own, over this database or one that may refuse. */
function notes(warnings: object[], isBroken: () => boolean = () => false): PullNotes {
  const { metadata, log } = ctx.core;
  const transaction: typeof metadata.transaction = async (work) =>
    isBroken() ? Promise.reject(new Error("broken")) : metadata.transaction(work);
  return createPullNotes({ metadata: { ...metadata, transaction }, clock, log: { ...log, warn: (fields) => void warnings.push(fields) } });
}

async function pulledAt(): Promise<number | undefined> {
  return (await findPullTimes(ctx, [{ manifestId }])).get(manifestId);
}

test("notes are written down together, the latest of each manifest", async () => {
  const pulls = notes([]);
  pulls.note({ registry, manifestId, principalArn });
  clock.advance(1_000);
  pulls.note({ registry, manifestId, principalArn: "arn:aws:iam::111111111111:root" });
  pulls.note({ registry, manifestId: undefined, principalArn });
  pulls.note({ registry, manifestId: Promise.reject(new Error("it was not stored")), principalArn });
  assert.equal(await pulledAt(), undefined);
  const latest = clock.now();
  await Promise.all([pulls.flush(), pulls.flush()]);
  assert.equal(await pulledAt(), latest);
});

test("pulls of the service itself and of excluded principals are none", async () => {
  const before = await pulledAt();
  const excluded = "arn:aws:iam::111111111111:role/path/robot";
  await createPullTimeExclusion(ctx, registry, excluded);
  clock.advance(1_000);
  const pulls = notes([]);
  pulls.note({ registry, manifestId, principalArn: excluded });
  pulls.note({ registry, manifestId, principalArn: "arn:aws:iam::111111111111:role/aws-service-role/ecr.amazonaws.com/X" });
  await pulls.flush();
  assert.equal(await pulledAt(), before);
  // The same role is somebody else's concern in another registry.
  pulls.note({ registry: { ...registry, region: "us-east-1" }, manifestId, principalArn: excluded });
  await pulls.flush();
  assert.equal(await pulledAt(), clock.now());
});

test("what could not be written down is written later, and at the end", async () => {
  const warnings: object[] = [];
  let isBroken = true;
  const pulls = notes(warnings, () => isBroken);
  clock.advance(1_000);
  const at = clock.now();
  pulls.note({ registry, manifestId, principalArn });
  await pulls.flush();
  assert.equal(warnings.length, 1);
  assert.notEqual(await pulledAt(), at);
  isBroken = false;
  clock.advance(1_000);
  await pulls.close();
  assert.equal(await pulledAt(), at);
  pulls.note({ registry, manifestId, principalArn });
  await pulls.flush();
  assert.equal(await pulledAt(), at);
});

test("notes are bounded", async () => {
  const warnings: { pulls?: number }[] = [];
  const pulls = notes(warnings);
  for (let id = 0; id < 20_010; id += 1) pulls.note({ registry, manifestId: 1_000_000 + id, principalArn });
  clock.advance(1_000);
  // A manifest that is noted already takes no room.
  pulls.note({ registry, manifestId: 1_000_000, principalArn });
  await pulls.flush();
  assert.deepEqual(
    warnings.map(({ pulls: count }) => count),
    [10],
  );
});
