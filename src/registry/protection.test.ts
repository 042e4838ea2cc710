import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { KmsContext } from "#kms/context.ts";
import { createKey, destroyDueKeys, disableKey, enableKey, scheduleKeyDeletion } from "#kms/key.ts";
import { deleteGrant, listGrants } from "#kms/grant.ts";
import { listBlobsForFsck } from "#metadata/garbage.ts";
import { readManifestBytes, resolveManifest } from "#metadata/manifests.ts";
import { digestOf } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Tag } from "#oci/tag.ts";
import { createKeyService } from "#server/key-service.ts";
import { systemRandom } from "#std/random.ts";
import { StorageError } from "#storage/driver.ts";
import type { StorageDriver } from "#storage/driver.ts";
import { createFilesystemDriver } from "#storage/filesystem.ts";
import { checkBlob, checkBlobs, getBlob, mountBlob } from "./blob.ts";
import type { RegistryContext } from "./context.ts";
import { runFsck } from "./fsck.ts";
import { runGarbageCollection } from "./gc.ts";
import { findManifestFacts, getManifest, putManifest } from "./manifest.ts";
import { getManifests } from "./manifest-batch.ts";
import { createRepository, deleteRepository } from "./repository.ts";
import type { ManualClock, TestRegistry } from "./testing/test-registry.ts";
import {
  createManualClock,
  incoming,
  manifestOf,
  openTestRegistry,
  pushBlob,
  pushManifest,
  readAll,
  refusal,
  registry,
  sha256,
} from "./testing/test-registry.ts";
import { restore } from "./undo.ts";
import { appendUpload, completeUpload, getUpload, startUpload, uploadWhole } from "./upload.ts";

const dayMs = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), "protection-"));
const secretText = "nobody reads this on the disk";
let clock: ManualClock;
let storage: StorageDriver;
let opened: TestRegistry;
let ctx: RegistryContext;
let kms: KmsContext;

before(async () => {
  clock = createManualClock();
  storage = await createFilesystemDriver({ folder: join(folder, "bytes"), random: systemRandom });
  opened = await openTestRegistry({ databaseFile: join(folder, "db"), storage, clock, keys: createKeyService });
  ({ ctx } = opened);
  kms = { core: ctx.core, ...registry, resolvePrincipals: async () => ({ ok: true, resolved: {} }) };
});
after(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

const newKey = () => createKey(kms, { description: "", policy: undefined, tags: [], lockOutCheck: undefined });
const types = ["KMS", "KMS_DSSE"] as const;

async function repository(text: string, type: "KMS" | "KMS_DSSE", kmsKey?: string): Promise<RepositoryName> {
  const name = text as RepositoryName;
  await createRepository(ctx, registry, name, { encryption: { type, kmsKey } });
  return name;
}

async function readBlob(name: RepositoryName, content: string | Uint8Array, span?: { first: number; last: number }): Promise<Buffer> {
  const stored = await (await getBlob(ctx, registry, name, sha256(content))).open(span);
  assert.equal(stored.kind, "bytes");
  const chunks: Uint8Array[] = [];
  for await (const chunk of stored.stream) chunks.push(chunk as Uint8Array);
  const whole = Buffer.concat(chunks);
  assert.equal(whole.length, stored.sizeBytes);
  return whole;
}

const byTag = (tag: string) => ({ kind: "tag", tag: tag as Tag }) as const;

/** What lies in the driver, segments and copies. */
async function everythingStored(): Promise<string> {
  const texts: string[] = [];
  for await (const { key } of storage.listSegments()) texts.push(await readAll(await storage.readSegment(key)));
  for await (const { key, sizeBytes } of storage.listStored()) {
    const stored = await storage.read(key, sizeBytes);
    if (stored.kind === "bytes") texts.push(await readAll(stored.stream));
  }
  return texts.join("\n");
}

for (const type of types) {
  test(`${type}: what is pushed comes back, and neither disk nor database holds it in the clear`, async () => {
    const { keyId } = await newKey();
    const name = await repository(`round/${type.toLowerCase()}`, type, keyId);
    await pushManifest(ctx, name, { config: secretText, layers: ["", "a layer"], tags: ["v1"] });
    const bytes = manifestOf(secretText, ["", "a layer"]);
    const { bytes: got } = await getManifest(ctx, registry, name, byTag("v1"));
    assert.deepEqual(Buffer.from(got), Buffer.from(bytes));
    assert.equal((await readBlob(name, secretText)).toString(), secretText);
    assert.equal((await readBlob(name, secretText, { first: 7, last: 11 })).toString(), "reads");
    assert.equal((await readBlob(name, "")).length, 0);
    assert.ok(!(await everythingStored()).includes(secretText));
    const row = await resolveManifest(ctx.core.metadata, { ...registry, name }, byTag("v1"));
    assert.ok(typeof row !== "string");
    const sealed = await readManifestBytes(ctx.core.metadata, row.manifestId);
    assert.ok(!Buffer.from(sealed ?? []).includes("schemaVersion"));
    assert.equal(ctx.core.manifests.sizeBytes, 0, "nothing is kept that could outlive the key");
    await assert.rejects(createRepository(ctx, registry, name, { encryption: { type, kmsKey: keyId } }), refusal("repository-exists"));
  });

  test(`${type}: an upload in several appends, over several frames, on a process that was restarted`, async () => {
    const { keyId } = await newKey();
    const name = await repository(`appends/${type.toLowerCase()}`, type, keyId);
    const content = systemRandom.bytes(300_001);
    const digest = digestOf("sha256", content);
    const { uploadId } = await startUpload(ctx, registry, name);
    await appendUpload(ctx, registry, name, uploadId, incoming(content.subarray(0, 65_536)));
    await appendUpload(ctx, registry, name, uploadId, incoming(content.subarray(65_536, 65_537)));
    assert.equal((await getUpload(ctx, registry, name, uploadId)).receivedBytes, 65_537);
    await completeUpload(opened.restart(), registry, name, uploadId, { digest, incoming: incoming(content.subarray(65_537)) });
    assert.ok((await readBlob(name, content)).equals(content));
    for (const [first, last] of [
      [0, 0],
      [65_535, 65_536],
      [131_072, 300_000],
      [299_999, 300_000],
    ] as const)
      assert.ok((await readBlob(name, content, { first, last })).equals(content.subarray(first, last + 1)), `${first}-${last}`);
    let segments = 0;
    for await (const entry of storage.listSegments()) if (entry.owner === uploadId) segments += 1;
    assert.equal(segments, 0);
    await uploadWhole(ctx, registry, name, { digest, incoming: incoming(content) });
    assert.ok((await readBlob(name, content)).equals(content), "a second copy joins the first");
  });

  test(`${type}: a key that is disabled stops everything, and lets everything go on when it is enabled again`, async () => {
    const key = await newKey();
    const name = await repository(`stop/${type.toLowerCase()}`, type, key.keyId);
    const digest = await pushManifest(ctx, name, { config: "stopped", tags: ["v1"] });
    const { uploadId } = await startUpload(ctx, registry, name);
    const blob = await getBlob(ctx, registry, name, sha256("stopped"));
    const uses: Readonly<Record<string, () => Promise<unknown>>> = {
      "ask for a manifest": () => findManifestFacts(ctx, registry, name, byTag("v1")),
      "ask for a blob": () => checkBlob(ctx, registry, name, sha256("stopped")),
      "pull a manifest": () => getManifest(ctx, registry, name, byTag("v1")),
      "pull a blob": () => blob.open(),
      "push a manifest": () => putManifest(ctx, registry, name, { bytes: manifestOf("stopped", [], { x: 1 }), tags: [], plane: "oci" }),
      "push it again": () => putManifest(ctx, registry, name, { bytes: manifestOf("stopped", []), tags: [], plane: "oci" }),
      "push a blob": () => pushBlob(ctx, name, "another"),
      "start an upload": () => startUpload(ctx, registry, name),
      append: () => appendUpload(ctx, registry, name, uploadId, incoming("x")),
      complete: () => completeUpload(ctx, registry, name, uploadId, { digest: sha256("xx"), incoming: incoming("x") }),
    };
    await disableKey(kms, key);
    for (const [use, run] of Object.entries(uses)) await assert.rejects(run, refusal("key-unusable"), use);
    assert.equal((await checkBlobs(ctx, registry, name, [sha256("stopped")])).size, 1, "ECR's listings are facts");
    const { failures } = await getManifests(ctx, registry, name, [{ digest }]);
    assert.deepEqual(
      failures.map(({ code }) => code),
      ["key-unusable"],
    );
    const other = `stop-too/${type.toLowerCase()}` as RepositoryName;
    const refused = createRepository(ctx, registry, other, { encryption: { type, kmsKey: key.keyId } });
    await assert.rejects(refused, refusal("key-unusable"));
    await enableKey(kms, key);
    for (const [use, run] of Object.entries(uses)) await assert.doesNotReject(run, use);
  });
}

test("the key is the default one when none is named, and its ARN is shown", async () => {
  const created = await createRepository(ctx, registry, "default/one" as RepositoryName, {
    encryption: { type: "KMS", kmsKey: undefined },
  });
  assert.match(created.kmsKeyArn ?? "", /^arn:aws:kms:eu-central-1:111111111111:key\/[0-9a-f-]{36}$/);
  const again = await createRepository(ctx, registry, "default/two" as RepositoryName, {
    encryption: { type: "KMS", kmsKey: "alias/aws/ecr" },
  });
  assert.equal(again.kmsKeyArn, created.kmsKeyArn);
  const missing = createRepository(ctx, registry, "default/three" as RepositoryName, { encryption: { type: "KMS", kmsKey: "alias/none" } });
  await assert.rejects(missing, refusal("key-unusable"));
});

test("blobs are shared under one key and type, and with nobody else", async () => {
  const [key, other] = [await newKey(), await newKey()];
  const one = await repository("share/one", "KMS", key.keyId);
  const two = await repository("share/two", "KMS", key.keyId);
  const strangers = [await repository("share/three", "KMS", other.keyId), await repository("share/four", "KMS_DSSE", key.keyId)];
  await createRepository(ctx, registry, "share/plain" as RepositoryName);
  const digest = await pushBlob(ctx, one, "shared");
  const mount = (target: RepositoryName) => mountBlob(ctx, registry, target, { digest, from: one, mayRead: () => true });
  assert.equal((await mount(two))?.digest, digest);
  assert.equal((await readBlob(two, "shared")).toString(), "shared");
  for (const target of [...strangers, "share/plain" as RepositoryName]) assert.equal(await mount(target), undefined, target);
  // One stored copy for both.
  await pushBlob(ctx, two, "shared");
  const rows = await listBlobsForFsck(ctx.core.metadata, { limit: 1_000 });
  assert.equal(rows.filter((row) => row.digest === digest && row.state === "live").length, 1);
});

test("each repository stands on its own grant; a new one begins a new domain when no old one can be opened", async () => {
  const key = await newKey();
  const one = await repository("grant/one", "KMS", key.keyId);
  const two = await repository("grant/two", "KMS", key.keyId);
  const digest = await pushBlob(ctx, one, "granted");
  await mountBlob(ctx, registry, two, { digest, from: one, mayRead: () => true });
  const grants = await listGrants(ctx.core, { keyId: key.keyId }, { after: 0, limit: 100 });
  assert.deepEqual(
    grants.map(({ operations, constraint }) => [operations.join(), constraint?.context["aws:ecr:arn"]?.split("/").at(-1)]),
    [
      ["GenerateDataKey,Decrypt", "one"],
      ["DescribeKey,RetireGrant", "one"],
      ["GenerateDataKey,Decrypt", "two"],
      ["DescribeKey,RetireGrant", "two"],
    ],
  );
  await deleteGrant(ctx.core, key, grants[0]?.grantId ?? "");
  await assert.rejects(readBlob(one, "granted"), refusal("key-unusable"));
  assert.equal((await readBlob(two, "granted")).toString(), "granted");
  await deleteGrant(ctx.core, key, grants[2]?.grantId ?? "");
  await assert.rejects(readBlob(two, "granted"), refusal("key-unusable"));
  const three = await repository("grant/three", "KMS", key.keyId);
  await pushBlob(ctx, three, "granted");
  assert.equal((await readBlob(three, "granted")).toString(), "granted");
  await assert.rejects(readBlob(two, "granted"), refusal("key-unusable"));
});

test("a key that is deleted takes everything with it", async () => {
  const key = await newKey();
  const name = await repository("deleted/key", "KMS", key.keyId);
  await pushBlob(ctx, name, "lost");
  await scheduleKeyDeletion(kms, key, 7);
  await assert.rejects(readBlob(name, "lost"), refusal("key-unusable"));
  clock.advance(8 * dayMs);
  assert.equal(await destroyDueKeys(ctx.core, { limit: 10 }), 1);
  await assert.rejects(startUpload(ctx, registry, name), refusal("key-unusable"));
});

test("a deleted repository comes back as it was; its grants retire when it is gone for good", async () => {
  const key = await newKey();
  const name = await repository("undone/one", "KMS", key.keyId);
  await pushManifest(ctx, name, { config: "undone", tags: ["v1"] });
  await deleteRepository(ctx, registry, name, { force: true });
  await restore(ctx, registry, name, {});
  assert.equal((await readBlob(name, "undone")).toString(), "undone");
  await deleteRepository(ctx, registry, name, { force: true });
  const countGrants = async () => (await listGrants(ctx.core, { keyId: key.keyId }, { after: 0, limit: 100 })).length;
  await runGarbageCollection(ctx.core, { graceMs: 0 });
  assert.equal(await countGrants(), 2);
  clock.advance(8 * dayMs);
  await runGarbageCollection(ctx.core, { graceMs: 0 });
  await runGarbageCollection(ctx.core, { graceMs: 0 });
  assert.equal(await countGrants(), 0);
});

test("fsck knows the sizes of encrypted copies, reads them while the key allows, and sees what was altered", async () => {
  await runGarbageCollection(ctx.core, { graceMs: 0 });
  const before = (await runFsck(ctx.core, { readBytes: false })).problems;
  assert.deepEqual(before, []);
  const key = await newKey();
  const name = await repository("fsck/one", "KMS_DSSE", key.keyId);
  await pushManifest(ctx, name, { config: "checked" });
  const about = async () =>
    (await runFsck(ctx.core, { readBytes: true })).problems.filter(
      ({ digest }) => digest === sha256("checked") || digest === sha256(manifestOf("checked", [])),
    );
  assert.deepEqual(await about(), []);
  await disableKey(kms, key);
  assert.deepEqual(
    (await about()).map(({ kind, what }) => [kind, what]),
    [
      ["unreadable", "blob"],
      ["unreadable", "manifest"],
    ],
  );
  await enableKey(kms, key);
  const row = (await listBlobsForFsck(ctx.core.metadata, { limit: 1_000 })).find(({ digest }) => digest === sha256("checked"));
  damage(row?.storageKey ?? "");
  assert.deepEqual(
    (await about()).map(({ kind, what }) => [kind, what]),
    [["unreadable", "blob"]],
  );
  await assert.rejects(readBlob(name, "checked"), (error) => error instanceof StorageError && error.kind === "corrupt");
});

/** Turns one bit of a stored copy, as a failing disk would. */
function damage(storageKey: string): void {
  const [algorithm = "", file = ""] = storageKey.split("/");
  const path = join(folder, "bytes", "blobs", algorithm, file.slice(0, 2), file);
  const bytes = readFileSync(path);
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}
