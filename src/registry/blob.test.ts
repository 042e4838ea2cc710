import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { StorageDriver } from "#storage/driver.ts";
import { StorageError } from "#storage/driver.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import type { MountRequest } from "./blob.ts";
import { checkBlob, checkBlobs, createDownloadTicket, deleteBlob, getBlob, mountBlob, openDownloadTicket } from "./blob.ts";
import type { RegistryContext } from "./context.ts";
import { deleteManifest } from "./manifest.ts";
import { createRepository, deleteRepository } from "./repository.ts";
import type { ManualClock, TestRegistry } from "./testing/test-registry.ts";
import {
  createManualClock,
  openTestRegistry,
  pushBlob,
  pushManifest,
  readAll,
  refusal,
  registry,
  sha256,
} from "./testing/test-registry.ts";

const name = "team/app" as RepositoryName;
const target = "team/target" as RepositoryName;
const missing = "team/missing" as RepositoryName;
const hourMs = 3_600_000;
const folder = mkdtempSync(join(tmpdir(), "blob-"));
let clock: ManualClock;
let storage: StorageDriver;
let opened: TestRegistry;
let ctx: RegistryContext;

before(async () => {
  clock = createManualClock();
  storage = createMemoryDriver({ clock });
  opened = await openTestRegistry({ databaseFile: join(folder, "db"), storage, clock });
  ({ ctx } = opened);
  await createRepository(ctx, registry, name);
  await createRepository(ctx, registry, target);
});
after(async () => {
  await opened.close();
  rmSync(folder, { recursive: true });
});

test("a blob is read whole or in part, with what a manifest says of it", async () => {
  await pushManifest(ctx, name, { config: "config", layers: ["0123456789"] });
  const blob = await getBlob(ctx, registry, name, sha256("0123456789"));
  assert.deepEqual([blob.sizeBytes, blob.mediaType, blob.referenced], [10, "application/vnd.oci.image.layer.v1.tar", true]);
  for (const [span, expected] of [
    [undefined, "0123456789"],
    [{ first: 2, last: 4 }, "234"],
  ] as const) {
    const stored = await blob.open(span);
    assert.ok(stored.kind === "bytes");
    assert.equal(await readAll(stored.stream), expected);
  }
  await assert.rejects(getBlob(ctx, registry, target, sha256("0123456789")), refusal("blob-not-found"));
  await assert.rejects(getBlob(ctx, registry, missing, sha256("0123456789")), refusal("repository-not-found"));
});

test("bytes that are missing although a row promises them are an error, not a 404", async () => {
  const digest = await pushBlob(ctx, name, "to be lost");
  const blob = await getBlob(ctx, registry, name, digest);
  for await (const { key } of storage.listStored()) if (key.includes(digest)) await storage.delete(key);
  await assert.rejects(blob.open(), (error: unknown) => error instanceof StorageError && error.kind === "not-found");
  await deleteBlob(ctx, registry, name, digest);
  await assert.rejects(blob.open(), refusal("blob-not-found"));
});

test("a HEAD that says yes promises the blob for a grace, and writes no more often than needed", async () => {
  const digest = await pushBlob(ctx, name, "headed");
  let writes = 0;
  const { metadata } = ctx.core;
  const counting = { ...metadata, transaction: ((work) => ((writes += 1), metadata.transaction(work))) as typeof metadata.transaction };
  const counted: RegistryContext = { ...ctx, core: { ...ctx.core, metadata: counting } };
  clock.advance(9_999);
  assert.equal((await checkBlob(counted, registry, name, digest)).referenced, false);
  assert.equal(writes, 0);
  clock.advance(1);
  assert.equal((await checkBlobs(counted, registry, name, [digest, digest, sha256("absent")])).size, 1);
  assert.equal(writes, 1);
  clock.advance(24 * hourMs - 1);
  await checkBlob(ctx, registry, name, digest);
  clock.advance(24 * hourMs);
  await assert.rejects(checkBlob(ctx, registry, name, digest), refusal("blob-not-found"));
  await assert.rejects(checkBlobs(ctx, registry, missing, [digest]), refusal("repository-not-found"));
});

test("a promise that was made after a manifest was pushed outlives that manifest; one that is older goes with it", async () => {
  const blobs = ["kept config", "kept blob"].map((text) => sha256(text));
  const first = await pushManifest(ctx, name, { config: "kept config", layers: ["kept blob", "lost blob"] });
  clock.advance(60_000);
  for (const digest of blobs) await checkBlob(ctx, registry, name, digest);
  await deleteManifest(ctx, registry, name, first);
  await assert.rejects(checkBlob(ctx, registry, name, sha256("lost blob")), refusal("blob-not-found"));
  for (const digest of blobs) assert.equal((await checkBlob(ctx, registry, name, digest)).referenced, false);
});

test("a mount needs a source that holds the blob and that the caller may read; every failure is the same nothing", async () => {
  const digest = await pushBlob(ctx, name, "to be mounted");
  const deleted = "team/deleted" as RepositoryName;
  await createRepository(ctx, registry, deleted);
  await pushBlob(ctx, deleted, "in a deleted repository");
  await deleteRepository(ctx, registry, deleted, { force: true });
  let transactions = 0;
  const { metadata } = ctx.core;
  const counting = {
    ...metadata,
    transaction: ((work) => ((transactions += 1), metadata.transaction(work))) as typeof metadata.transaction,
  };
  const counted: RegistryContext = { ...ctx, core: { ...ctx.core, metadata: counting } };
  const yes = () => true;
  const failing: readonly MountRequest[] = [
    { digest, from: name, mayRead: () => false },
    { digest, from: name, mayRead: async () => false },
    { digest, from: missing, mayRead: yes },
    { digest, from: target, mayRead: yes },
    { digest: sha256("absent"), from: name, mayRead: yes },
    { digest: sha256("absent"), mayRead: yes },
    { digest, mayRead: (source) => source !== name },
    { digest: sha256("in a deleted repository"), from: deleted, mayRead: yes },
    { digest: sha256("in a deleted repository"), mayRead: yes },
  ];
  for (const request of failing) {
    transactions = 0;
    assert.equal(await mountBlob(counted, registry, target, request), undefined);
    assert.equal(transactions, 1);
  }
  const strangers = { accountId: "222222222222", region: registry.region };
  await createRepository(ctx, strangers, target);
  assert.equal(await mountBlob(ctx, strangers, target, { digest, from: name, mayRead: yes }), undefined);
  assert.equal(await mountBlob(ctx, strangers, target, { digest, mayRead: yes }), undefined);
  await assert.rejects(getBlob(ctx, registry, target, digest), refusal("blob-not-found"));
  for (const from of [name, undefined]) {
    const facts = await mountBlob(ctx, registry, target, { digest, from, mayRead: yes });
    assert.deepEqual(facts, { digest, sizeBytes: 13, referenced: false });
    await deleteBlob(ctx, registry, target, digest);
  }
  await assert.rejects(mountBlob(ctx, registry, missing, { digest, mayRead: yes }), refusal("repository-not-found"));
});

test("a blob is deleted unless a live manifest needs it", async () => {
  const manifest = await pushManifest(ctx, name, { config: "needed" });
  await assert.rejects(deleteBlob(ctx, registry, name, sha256("needed")), refusal("blob-referenced"));
  await deleteManifest(ctx, registry, name, manifest);
  await assert.rejects(deleteBlob(ctx, registry, name, sha256("needed")), refusal("blob-not-found"));
  await assert.rejects(deleteBlob(ctx, registry, missing, sha256("needed")), refusal("repository-not-found"));
});

test("a download ticket says who asked for what, for a quarter of an hour, and cannot be changed", async () => {
  await pushManifest(ctx, name, { config: "ticket" });
  const digest = sha256("ticket");
  const actor = { ...ctx.actor, accessKeyId: "AKIAONE" };
  const { ticket, expiresAt } = await createDownloadTicket({ ...ctx, actor }, registry, name, digest);
  assert.equal(expiresAt, clock.now() + 15 * 60_000);
  assert.deepEqual(openDownloadTicket(ctx.core, ticket), { registry, name, digest, actor });
  const anonymous = await createDownloadTicket(ctx, registry, name, digest);
  assert.deepEqual(openDownloadTicket(ctx.core, anonymous.ticket)?.actor, ctx.actor);
  for (let position = 0; position < ticket.length; position += 7) {
    const other = ticket[position] === "A" ? "B" : "A";
    assert.equal(openDownloadTicket(ctx.core, ticket.slice(0, position) + other + ticket.slice(position + 1)), undefined);
  }
  for (const forged of ["", "x", ticket.slice(1), `${ticket}A`, "A".repeat(100_000), ctx.core.sealer.seal("page:x", Buffer.from("[]"))]) {
    assert.equal(openDownloadTicket(ctx.core, forged), undefined);
  }
  clock.advance(15 * 60_000);
  assert.equal(openDownloadTicket(ctx.core, ticket), undefined);
  const loose = await pushBlob(ctx, name, "loose");
  await assert.rejects(createDownloadTicket(ctx, registry, name, loose), refusal("blob-unreferenced"));
  await assert.rejects(createDownloadTicket(ctx, registry, name, sha256("absent")), refusal("blob-not-found"));
});
