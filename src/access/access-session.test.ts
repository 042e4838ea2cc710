import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { AuthFault } from "#aws/sigv4.ts";
import type { AuthFaultCode, RequestFacts } from "#aws/sigv4.ts";
import { presign, signRequest } from "#aws/sigv4-signer.ts";
import { issueSession } from "#identity/session.ts";
import type { IssuedCredentials, SessionRequest } from "#identity/session.ts";
import { moveIdentityEpoch } from "#metadata/identity-epoch.ts";
import { openDatabase } from "#metadata/database.ts";
import type { Database } from "#metadata/database.ts";
import { makeInstanceKey } from "#sealing/instance-key.ts";
import { createSealer } from "#sealing/sealer.ts";
import { silentLog } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import { AccessFault, authenticateToken, beginSignedRequest, createAccess, issueToken, principalStillActive } from "./access.ts";
import type { Access, AccessFaultKind } from "./access.ts";
import type { AccessKey } from "#identity/key-material.ts";
import type { Principal } from "./principal.ts";
import { ensureRootKey } from "./root-key.ts";
import { makeIdentity, makeRole, makeUserKey, removeUser } from "./testing/identities.ts";
import type { MadeIdentity } from "./testing/identities.ts";

const accountId = "123456789012";
const start = Date.UTC(2026, 0, 15, 12, 0, 0);
const region = "us-east-1";
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

interface Bench {
  readonly access: Access;
  readonly dev: Access;
  readonly metadata: Database;
  readonly clock: { time: number };
  readonly user: MadeIdentity;
  readonly userKey: AccessKey;
  readonly issue: (request: Partial<SessionRequest>) => Promise<IssuedCredentials>;
}

async function withBench(run: (bench: Bench) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "access-session-"));
  const metadata = await openDatabase({ kind: "sqlite", file: join(folder, "test.sqlite") }, { log: silentLog });
  const sealer = createSealer([makeInstanceKey(systemRandom)], systemRandom);
  const clock = { time: start, now: () => clock.time };
  const core = { metadata, sealer, clock, random: systemRandom };
  const open = (dev: boolean): Access => createAccess({ ...core, log: silentLog, dev, defaultAccountId: accountId, regions: [region] });
  try {
    await ensureRootKey({ ...core, accountId }, {});
    const user = await makeIdentity(metadata, { accountId, kind: "user", name: "alice", path: "/team/" });
    const owner = { identityId: user.identityId, name: "alice" };
    const usual: SessionRequest = { kind: "user", owner, sessionName: "", lifetimeSeconds: 3600, policies: undefined };
    await run({
      access: open(false),
      dev: open(true),
      metadata,
      clock,
      user,
      userKey: await makeUserKey(metadata, sealer, accountId, user.identityId),
      issue: (request) => issueSession({ core, accountId }, { ...usual, ...request }),
    });
  } finally {
    await metadata.close();
    rmSync(folder, { recursive: true });
  }
}

type Credentials = AccessKey & { readonly sessionToken?: string };

async function whoSigned({ access, clock }: Bench, credentials: Credentials, by: Access = access): Promise<Principal> {
  const request: RequestFacts = { method: "POST", target: "/", rawHeaders: ["Host", "localhost:4600"] };
  const rawHeaders = signRequest(request, { credentials, region, service: "ecr", now: clock.time, bodySha256: sha256("") });
  return (await beginSignedRequest(by, { ...request, rawHeaders }, { services: ["ecr"] })).confirm(sha256(""));
}

const fault =
  (code: AuthFaultCode) =>
  (error: unknown): boolean =>
    error instanceof AuthFault && error.code === code;
const tokenFault =
  (kind: AccessFaultKind) =>
  (error: unknown): boolean =>
    error instanceof AccessFault && error.kind === kind;
const basic = (password: string): string => `Basic ${Buffer.from(`AWS:${password}`).toString("base64")}`;

test("a user's key and a session of it are the same user", () =>
  withBench(async (bench) => {
    const byKey = await whoSigned(bench, bench.userKey);
    assert.equal(byKey.kind, "user");
    assert.equal(byKey.arn, `arn:aws:iam::${accountId}:user/team/alice`);
    assert.equal(byKey.principalId, bench.user.uniqueId);
    assert.equal(byKey.keys["aws:username"], "alice");
    const bySession = await whoSigned(bench, await bench.issue({}));
    assert.deepEqual(bySession.caller, byKey.caller);
    assert.equal(bySession.principalId, byKey.principalId);
    assert.equal(bySession.session?.kind, "user");
    assert.equal(byKey.session, undefined);
  }));

test("temporary credentials need their own token, and long-term ones take none", () =>
  withBench(async (bench) => {
    const [one, other] = [await bench.issue({}), await bench.issue({})];
    const refused: readonly Credentials[] = [
      { accessKeyId: one.accessKeyId, secretAccessKey: one.secretAccessKey },
      { ...one, sessionToken: other.sessionToken },
      { ...one, sessionToken: `${one.sessionToken}A` },
      { ...one, sessionToken: "" },
      { ...bench.userKey, sessionToken: one.sessionToken },
      { ...one, accessKeyId: "ASIAAAAAAAAAAAAAAAAA" },
    ];
    for (const credentials of refused) await assert.rejects(whoSigned(bench, credentials), fault("unrecognized-client"));
    await assert.rejects(whoSigned(bench, { ...one, secretAccessKey: other.secretAccessKey }), fault("invalid-signature"));
    assert.equal((await whoSigned(bench, one)).accessKeyId, one.accessKeyId);
  }));

test("a presigned request carries the token in its query", () =>
  withBench(async (bench) => {
    const credentials = await bench.issue({});
    const request: RequestFacts = { method: "GET", target: "/?Action=GetCallerIdentity", rawHeaders: ["Host", "localhost:4600"] };
    const target = presign(request, { credentials, region, service: "ecr", now: start, bodySha256: sha256(""), expiresSeconds: 60 });
    const signed = await beginSignedRequest(bench.access, { ...request, target }, { services: ["ecr"] });
    assert.equal((await signed.confirm(sha256(""))).principalId, bench.user.uniqueId);
  }));

test("expired credentials are told so, if their token is right; also with --dev", () =>
  withBench(async (bench) => {
    const credentials = await bench.issue({ lifetimeSeconds: 900 });
    bench.clock.time += 899_999;
    await whoSigned(bench, credentials);
    bench.clock.time += 1;
    await assert.rejects(whoSigned(bench, credentials), fault("expired-token"));
    await assert.rejects(whoSigned(bench, { ...credentials, sessionToken: "other" }), fault("unrecognized-client"));
    await assert.rejects(whoSigned(bench, credentials, bench.dev), fault("expired-token"));
    assert.equal((await whoSigned(bench, await bench.issue({}), bench.dev)).principalId, bench.user.uniqueId);
  }));

test("a registry token lives no longer than the session it was asked for with", () =>
  withBench(async (bench) => {
    const principal = await whoSigned(bench, await bench.issue({ lifetimeSeconds: 900 }));
    const { password, expiresAt } = issueToken(bench.access, principal, region);
    assert.equal(expiresAt, start + 900_000);
    assert.deepEqual(await authenticateToken(bench.access, basic(password), region), principal);
    bench.clock.time = expiresAt;
    await assert.rejects(authenticateToken(bench.access, basic(password), region), tokenFault("expired"));
    assert.equal(await principalStillActive(bench.access, principal), undefined);
    assert.equal(await principalStillActive(bench.dev, principal), undefined);
    const long = await whoSigned(bench, await bench.issue({ lifetimeSeconds: 129_600 }));
    assert.equal(issueToken(bench.access, long, region).expiresAt, expiresAt + 43_200_000);
  }));

test("tokens of the longest names stay short", () =>
  withBench(async (bench) => {
    const name = "r".repeat(64);
    const role = await makeRole(bench.metadata, { accountId, name, trust: [] });
    const owner = { identityId: role.identityId, name };
    const principal = await whoSigned(bench, await bench.issue({ kind: "role", owner, sessionName: "s".repeat(64) }));
    assert.ok(issueToken(bench.access, principal, "us-isob-northeast-1").password.length < 400);
  }));

test("a deleted user's keys, sessions and tokens are refused at once", () =>
  withBench(async (bench) => {
    const credentials = await bench.issue({});
    const headers: string[] = [];
    for (const one of [bench.userKey, credentials])
      headers.push(basic(issueToken(bench.access, await whoSigned(bench, one), region).password));
    for (const header of headers) await authenticateToken(bench.access, header, region);
    await removeUser(bench.metadata, bench.user.identityId);
    for (const header of headers) await assert.rejects(authenticateToken(bench.access, header, region), tokenFault("invalid"));
    for (const one of [bench.userKey, credentials]) await assert.rejects(whoSigned(bench, one), fault("unrecognized-client"));
  }));

test("a renamed user is known by the new name at once", () =>
  withBench(async (bench) => {
    const header = basic(issueToken(bench.access, await whoSigned(bench, bench.userKey), region).password);
    await bench.metadata.transaction(async (tx) => {
      await moveIdentityEpoch(tx);
      await tx.updateTable("identity").set({ name: "bob", name_key: "bob" }).execute();
    });
    assert.equal((await authenticateToken(bench.access, header, region)).arn, `arn:aws:iam::${accountId}:user/team/bob`);
  }));

test("two keys of one user share its policies", () =>
  withBench(async (bench) => {
    const [one, other] = [await whoSigned(bench, bench.userKey), await whoSigned(bench, await bench.issue({}))];
    assert.equal(one.grants.identity, other.grants.identity);
  }));

test("the use of a long-term key is noted, once a minute at most", () =>
  withBench(async (bench) => {
    const lastUsed = async (): Promise<unknown> => {
      // Behind the note in the queue of writes.
      await bench.metadata.transaction(async () => {});
      const row = await bench.metadata.read
        .selectFrom("access_key")
        .select(["last_used_at", "last_used_service", "last_used_region"])
        .where("access_key_id", "=", bench.userKey.accessKeyId)
        .executeTakeFirstOrThrow();
      return [row.last_used_at, row.last_used_service, row.last_used_region];
    };
    assert.deepEqual(await lastUsed(), [null, null, null]);
    await whoSigned(bench, bench.userKey);
    assert.deepEqual(await lastUsed(), [start, "ecr", region]);
    bench.clock.time += 59_999;
    await whoSigned(bench, bench.userKey);
    assert.deepEqual(await lastUsed(), [start, "ecr", region]);
    bench.clock.time += 1;
    await whoSigned(bench, bench.userKey);
    assert.deepEqual(await lastUsed(), [start + 60_000, "ecr", region]);
  }));
