import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { findAccessKey, findRootKey } from "#metadata/accounts.ts";
import { readIdentityEpoch } from "#metadata/identity-epoch.ts";
import { openDatabase } from "#metadata/database.ts";
import { makeInstanceKey } from "#sealing/instance-key.ts";
import { createSealer } from "#sealing/sealer.ts";
import { silentLog } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import { openSecret } from "#identity/key-material.ts";
import { RootKeyUnusable, ensureRootKey, resetRootKey } from "./root-key.ts";
import type { RootKeyDeps } from "./root-key.ts";

const accountId = "123456789012";
const given = { accessKeyId: "GIVENBYTHEOPERATOR01", secretAccessKey: "given-secret-of-the-operator" };

async function withDeps(run: (deps: RootKeyDeps, folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "root-key-"));
  const metadata = await openDatabase({ kind: "sqlite", file: join(folder, "test.sqlite") }, { log: silentLog });
  const sealer = createSealer([makeInstanceKey(systemRandom)], systemRandom);
  try {
    await run({ metadata, sealer, random: systemRandom, clock: { now: () => 1_800_000_000_000 }, accountId }, folder);
  } finally {
    await metadata.close();
    rmSync(folder, { recursive: true });
  }
}

async function storedSecret({ metadata, sealer }: RootKeyDeps): Promise<[string | undefined, string | undefined]> {
  const row = await findRootKey(metadata, accountId);
  return [row?.accessKeyId, row && openSecret(sealer, row.accessKeyId, row.secretSealed)];
}

test("the first start makes a key and shows it, later ones keep it", () =>
  withDeps(async (deps) => {
    const { created } = await ensureRootKey(deps, {});
    assert.match(created?.accessKeyId ?? "", /^AKIA/);
    assert.deepEqual(await storedSecret(deps), [created?.accessKeyId, created?.secretAccessKey]);
    const epoch = await readIdentityEpoch(deps.metadata);
    assert.deepEqual(await ensureRootKey(deps, { given: undefined }), {});
    assert.deepEqual(await storedSecret(deps), [created?.accessKeyId, created?.secretAccessKey]);
    assert.equal(await readIdentityEpoch(deps.metadata), epoch);
  }));

test("a given key wins over a made one, and over an earlier given one", () =>
  withDeps(async (deps) => {
    const { created } = await ensureRootKey(deps, {});
    assert.deepEqual(await ensureRootKey(deps, { given }), {});
    assert.deepEqual(await storedSecret(deps), [given.accessKeyId, given.secretAccessKey]);
    assert.equal(await findAccessKey(deps.metadata, created?.accessKeyId ?? ""), undefined);

    const next = { ...given, secretAccessKey: "another-secret-same-id" };
    await ensureRootKey(deps, { given: next });
    assert.deepEqual(await storedSecret(deps), [next.accessKeyId, next.secretAccessKey]);
  }));

test("the same given key again changes nothing, so no cache is emptied", () =>
  withDeps(async (deps) => {
    await ensureRootKey(deps, { given });
    const epoch = await readIdentityEpoch(deps.metadata);
    await ensureRootKey(deps, { given });
    assert.equal(await readIdentityEpoch(deps.metadata), epoch);
    await ensureRootKey(deps, { given: { ...given, secretAccessKey: "x".repeat(20) } });
    assert.notEqual(await readIdentityEpoch(deps.metadata), epoch);
  }));

test("a reset makes another key and ends the old one", () =>
  withDeps(async (deps) => {
    const { created } = await ensureRootKey(deps, {});
    const epoch = await readIdentityEpoch(deps.metadata);
    const key = await resetRootKey(deps);
    assert.notEqual(key.accessKeyId, created?.accessKeyId);
    assert.deepEqual(await storedSecret(deps), [key.accessKeyId, key.secretAccessKey]);
    assert.equal(await findAccessKey(deps.metadata, created?.accessKeyId ?? ""), undefined);
    assert.notEqual(await readIdentityEpoch(deps.metadata), epoch);
  }));

test("another instance key: a start says so, a given key or a reset mends it", () =>
  withDeps(async (deps) => {
    await ensureRootKey(deps, {});
    const other = { ...deps, sealer: createSealer([makeInstanceKey(systemRandom)], systemRandom) };
    await assert.rejects(ensureRootKey(other, {}), RootKeyUnusable);
    await ensureRootKey(other, { given });
    assert.deepEqual(await storedSecret(other), [given.accessKeyId, given.secretAccessKey]);
    const key = await resetRootKey(deps);
    assert.deepEqual(await ensureRootKey(deps, {}), {});
    assert.deepEqual(await storedSecret(deps), [key.accessKeyId, key.secretAccessKey]);
  }));

test("a given id that is another account's key is refused in words", () =>
  withDeps(async (deps) => {
    await ensureRootKey({ ...deps, accountId: "999999999999" }, { given });
    await assert.rejects(ensureRootKey(deps, { given }), /belongs to account 999999999999/);
    assert.equal(await findRootKey(deps.metadata, accountId), undefined);
  }));

test("no file of the database ever holds a secret in the clear", () =>
  withDeps(async (deps, folder) => {
    const { created } = await ensureRootKey(deps, {});
    await ensureRootKey(deps, { given });
    const files = readdirSync(folder).map((name) => readFileSync(join(folder, name)));
    assert.ok(files.some((bytes) => bytes.includes(given.accessKeyId)));
    for (const secret of [created?.secretAccessKey ?? "", given.secretAccessKey])
      for (const bytes of files) assert.ok(secret !== "" && !bytes.includes(secret));
  }));
