import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ensureAccount, putRootKey } from "#metadata/accounts.ts";
import { openDatabase } from "#metadata/database.ts";
import { findSession } from "#metadata/sessions.ts";
import { makeInstanceKey } from "#sealing/instance-key.ts";
import { createSealer } from "#sealing/sealer.ts";
import { silentLog } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import type { IdentityCore } from "./context.ts";
import { IdentityError } from "./errors.ts";
import { openSecret } from "./key-material.ts";
import { issueSession, sessionTokenMatches } from "./session.ts";

const accountId = "123456789012";

async function withCore(run: (core: IdentityCore, clock: { time: number }) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "supercargo-identity-"));
  const metadata = await openDatabase({ kind: "sqlite", file: join(folder, "test.sqlite") }, { log: silentLog });
  const clock = { time: 1_700_000_000_000, now: () => clock.time };
  try {
    await ensureAccount(metadata, { accountId, now: 0 });
    await run({ metadata, clock, random: systemRandom, sealer: createSealer([makeInstanceKey(systemRandom)], systemRandom) }, clock);
  } finally {
    await metadata.close();
    rmSync(folder, { recursive: true });
  }
}

const usual = { kind: "root" as const, owner: undefined, sessionName: "", lifetimeSeconds: 900, policies: undefined };

test("credentials are shown once, and kept so that only they prove themselves", async () => {
  await withCore(async (core, clock) => {
    const ctx = { core, accountId };
    const [one, other] = [await issueSession(ctx, usual), await issueSession(ctx, usual)];
    assert.match(one.accessKeyId, /^ASIA[A-Z2-7]{16}$/);
    assert.match(one.secretAccessKey, /^[A-Za-z0-9+/]{40}$/);
    assert.match(one.sessionToken, /^SupercargoST[A-Za-z0-9+/]{64}$/);
    assert.equal(one.expiresAt, clock.time + 900_000);
    const row = await findSession(core.metadata, one.accessKeyId);
    assert.ok(row !== undefined);
    assert.equal(openSecret(core.sealer, one.accessKeyId, row.secretSealed), one.secretAccessKey);
    for (const secret of [one.secretAccessKey, one.sessionToken]) assert.ok(!JSON.stringify(row).includes(secret));
    assert.equal(sessionTokenMatches(row, one.sessionToken), true);
    for (const wrong of [other.sessionToken, "", `${one.sessionToken} `, row.tokenHash])
      assert.equal(sessionTokenMatches(row, wrong), false);
    assert.equal(sessionTokenMatches({ tokenHash: "" }, one.sessionToken), false);
  });
});

test("nobody gets a session of a role that is gone", async () => {
  await withCore(async (core) => {
    const request = { ...usual, kind: "role" as const, owner: { identityId: 4711, name: "Gone" } };
    await assert.rejects(issueSession({ core, accountId }, request), (error) => {
      assert.ok(error instanceof IdentityError);
      assert.deepEqual(error.refusal, { kind: "not-found", detail: { noun: "role", name: "Gone" } });
      return true;
    });
  });
});

test("root gets no session with a key that was replaced meanwhile", async () => {
  await withCore(async (core) => {
    const ctx = { core, accountId };
    await putRootKey(core.metadata, { accessKeyId: "AKIAOLD", accountId, secretSealed: "sealed", now: 0 });
    const { accessKeyId } = await issueSession(ctx, { ...usual, rootKeyId: "AKIAOLD" });
    await putRootKey(core.metadata, { accessKeyId: "AKIANEW", accountId, secretSealed: "sealed", now: 0 });
    assert.equal(await findSession(core.metadata, accessKeyId), undefined);
    await assert.rejects(issueSession(ctx, { ...usual, rootKeyId: "AKIAOLD" }), (error) => {
      assert.ok(error instanceof IdentityError);
      assert.deepEqual(error.refusal, { kind: "not-found", detail: { noun: "access-key", name: "AKIAOLD" } });
      return true;
    });
  });
});

test("sessions that expired a day ago make room for new ones", async () => {
  await withCore(async (core, clock) => {
    const ctx = { core, accountId };
    const old = await issueSession(ctx, usual);
    clock.time = old.expiresAt + 86_400_000;
    await issueSession(ctx, usual);
    assert.ok(await findSession(core.metadata, old.accessKeyId));
    clock.time += 1;
    await issueSession(ctx, usual);
    assert.equal(await findSession(core.metadata, old.accessKeyId), undefined);
  });
});
