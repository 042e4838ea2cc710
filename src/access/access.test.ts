import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { AuthFault } from "#aws/sigv4.ts";
import type { AuthFaultCode, RequestFacts } from "#aws/sigv4.ts";
import { presign, signRequest } from "#aws/sigv4-signer.ts";
import type { SigningOptions } from "#aws/sigv4-signer.ts";
import { openDatabase } from "#metadata/database.ts";
import type { Database } from "#metadata/database.ts";
import { makeInstanceKey } from "#sealing/instance-key.ts";
import { createSealer } from "#sealing/sealer.ts";
import type { Sealer } from "#sealing/sealer.ts";
import { silentLog } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import { AccessFault, authenticateToken, beginSignedRequest, createAccess, issueToken, principalStillActive } from "./access.ts";
import type { Access, AccessFaultKind } from "./access.ts";
import { makeAccessKey } from "#identity/key-material.ts";
import type { AccessKey } from "#identity/key-material.ts";
import type { Principal } from "./principal.ts";
import { ensureRootKey, resetRootKey } from "./root-key.ts";
import type { RootKeyDeps } from "./root-key.ts";

const accountId = "123456789012";
const start = Date.UTC(2026, 0, 15, 12, 0, 0);
const services = ["ecr"];
const body = '{"repositoryName":"a"}';
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

interface Bench {
  readonly access: Access;
  readonly metadata: Database;
  readonly sealer: Sealer;
  readonly clock: { time: number };
  readonly rootKey: AccessKey;
  readonly deps: RootKeyDeps;
  /** Another process on the same database. */
  readonly another: (options?: { readonly dev?: boolean; readonly sealer?: Sealer }) => Access;
  readonly setStatus: (status: "Active" | "Inactive") => Promise<void>;
}

async function withBench(options: { readonly dev: boolean }, run: (bench: Bench) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "access-"));
  const metadata = await openDatabase({ kind: "sqlite", file: join(folder, "test.sqlite") }, { log: silentLog });
  const sealer = createSealer([makeInstanceKey(systemRandom)], systemRandom);
  const clock = { time: start, now: () => clock.time };
  const deps = { metadata, sealer, random: systemRandom, clock, accountId };
  const common = { metadata, sealer, clock, random: systemRandom, log: silentLog, defaultAccountId: accountId };
  const open = (more: object): Access => createAccess({ ...common, dev: options.dev, regions: ["us-east-1", "eu-west-1"], ...more });
  try {
    const { created } = await ensureRootKey(deps, {});
    assert.ok(created);
    await run({
      access: open({}),
      metadata,
      sealer,
      clock,
      rootKey: created,
      deps,
      another: (more = {}) => open(more),
      setStatus: (status) =>
        metadata.transaction(async (tx) => {
          await tx.updateTable("access_key").set({ status }).execute();
          await tx
            .updateTable("epoch")
            .set((row) => ({ value: row("value", "+", 1) }))
            .execute();
        }),
    });
  } finally {
    await metadata.close();
    rmSync(folder, { recursive: true });
  }
}

const plainRequest: RequestFacts = {
  method: "POST",
  target: "/",
  rawHeaders: [
    "Host",
    "localhost:4600",
    "Content-Type",
    "application/x-amz-json-1.1",
    "X-Amz-Target",
    "AmazonEC2ContainerRegistry_V20150921.X",
  ],
};

function signed(key: AccessKey, changes: Partial<SigningOptions> = {}): RequestFacts {
  const options = { credentials: key, region: "us-east-1", service: "ecr", now: start, bodySha256: sha256(body), ...changes };
  return { ...plainRequest, rawHeaders: signRequest(plainRequest, options) };
}

async function whoSigned(access: Access, request: RequestFacts, sent = body): Promise<Principal> {
  return (await beginSignedRequest(access, request, { services })).confirm(sha256(sent));
}

const authFault =
  (code: AuthFaultCode, text?: RegExp) =>
  (error: unknown): boolean =>
    error instanceof AuthFault && error.code === code && (text === undefined || text.test(error.message));

const accessFault =
  (kind: AccessFaultKind, region?: string) =>
  (error: unknown): boolean =>
    error instanceof AccessFault && error.kind === kind && error.region === region;

const basic = (password: string, user = "AWS"): string => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

test("a signed request is its key's owner", () =>
  withBench({ dev: false }, async ({ access, rootKey }) => {
    for (const declareBody of [false, true]) {
      const principal = await whoSigned(access, signed(rootKey, { declareBody }));
      const { keyVersion, keys, ...rest } = principal;
      assert.match(String(keys["aws:PrincipalOrgID"]), /^o-[a-z2-7]{10}$/);
      assert.deepEqual(rest, {
        kind: "root",
        accountId,
        principalId: accountId,
        arn: `arn:aws:iam::${accountId}:root`,
        accessKeyId: rootKey.accessKeyId,
        caller: { kind: "root", accountId, arn: `arn:aws:iam::${accountId}:root` },
        grants: { identity: [] },
      });
      assert.match(keyVersion ?? "", /^.{12}$/);
    }
    assert.equal((await whoSigned(access, signed(rootKey, { region: "eu-west-1" }))).accountId, accountId);
  }));

test("a presigned request is its key's owner until it expires", () =>
  withBench({ dev: false }, async ({ access, rootKey, clock }) => {
    const request: RequestFacts = { method: "GET", target: "/?Action=GetCallerIdentity", rawHeaders: ["Host", "localhost:4600"] };
    const options = { credentials: rootKey, region: "us-east-1", service: "ecr", now: start, bodySha256: sha256(""), expiresSeconds: 60 };
    const target = presign(request, options);
    assert.equal((await whoSigned(access, { ...request, target }, "")).accountId, accountId);
    await assert.rejects(whoSigned(access, { ...request, target: `${target}&More=1` }, ""), authFault("invalid-signature"));
    clock.time += 60_001;
    await assert.rejects(whoSigned(access, { ...request, target }, ""), authFault("request-expired"));
  }));

test("what is altered on the way is noticed", () =>
  withBench({ dev: false }, async ({ access, rootKey }) => {
    const good = signed(rootKey);
    const change = (name: string, value: string): RequestFacts => ({
      ...good,
      rawHeaders: good.rawHeaders.map((text, index) => (good.rawHeaders[index - 1] === name ? value : text)),
    });
    const altered: readonly RequestFacts[] = [
      { ...good, method: "PUT" },
      { ...good, target: "/other" },
      { ...good, target: "/?a=b" },
      change("Host", "elsewhere:4600"),
      change("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DeleteRepository"),
      change("Content-Type", "text/plain"),
    ];
    for (const request of altered) await assert.rejects(whoSigned(access, request), authFault("invalid-signature"));
    await assert.rejects(whoSigned(access, good, `${body} `), authFault("invalid-signature"));
    await assert.rejects(whoSigned(access, signed(rootKey, { declareBody: true }), `${body} `), authFault("invalid-signature"));
    const otherSecret = { ...rootKey, secretAccessKey: makeAccessKey(systemRandom, accountId).secretAccessKey };
    await assert.rejects(whoSigned(access, signed(otherSecret)), authFault("invalid-signature"));
  }));

test("a wrong signature over a declared body is refused before the body is asked for", () =>
  withBench({ dev: false }, async ({ access, rootKey }) => {
    const request = signed({ ...rootKey, secretAccessKey: "wrong" }, { declareBody: true });
    await assert.rejects(beginSignedRequest(access, request, { services }), authFault("invalid-signature"));
  }));

test("the order of checks: form, scope, key, clock, signature", () =>
  withBench({ dev: false }, async ({ access, rootKey, clock }) => {
    const nobody = makeAccessKey(systemRandom, accountId);
    const begin = (request: RequestFacts): Promise<unknown> => beginSignedRequest(access, request, { services });
    await assert.rejects(begin(plainRequest), authFault("missing"));
    await assert.rejects(
      begin({ ...plainRequest, rawHeaders: [...plainRequest.rawHeaders, "Authorization", "AWS4-HMAC-SHA256 x"] }),
      authFault("incomplete"),
    );
    clock.time += 3_600_000;
    await assert.rejects(begin(signed(nobody, { region: "mars-1" })), authFault("invalid-signature", /valid Region, not 'mars-1'/));
    await assert.rejects(begin(signed(nobody, { service: "s3" })), authFault("invalid-signature", /correct service: 'ecr'/));
    await assert.rejects(begin(signed(nobody)), authFault("unrecognized-client"));
    await assert.rejects(begin(signed({ ...rootKey, secretAccessKey: "wrong" })), authFault("invalid-signature", /^Signature expired/));
    clock.time = start - 3_600_000;
    await assert.rejects(begin(signed(rootKey)), authFault("invalid-signature", /^Signature not yet current/));
  }));

test("a session token with a long-term key is refused", () =>
  withBench({ dev: false }, async ({ access, rootKey }) => {
    const credentials = { ...rootKey, sessionToken: "FwoGsomething" };
    await assert.rejects(whoSigned(access, signed(rootKey, { credentials })), authFault("unrecognized-client"));
  }));

test("a replaced or disabled key stops at once, also between begin and confirm", () =>
  withBench({ dev: false }, async ({ access, rootKey, deps, setStatus }) => {
    const request = signed(rootKey);
    await whoSigned(access, request);
    await setStatus("Inactive");
    await assert.rejects(whoSigned(access, request), authFault("unrecognized-client"));
    await setStatus("Active");
    await whoSigned(access, request);
    const begun = await beginSignedRequest(access, request, { services });
    const next = await resetRootKey(deps);
    await assert.rejects(begun.confirm(sha256(body)), authFault("unrecognized-client"));
    assert.equal((await whoSigned(access, signed(next))).accessKeyId, next.accessKeyId);
  }));

test("a secret that changes under the same id: the old one stops at once", () =>
  withBench({ dev: false }, async ({ access, deps }) => {
    const given = { accessKeyId: "GIVENBYTHEOPERATOR01", secretAccessKey: "the first secret" };
    await ensureRootKey(deps, { given });
    const principal = await whoSigned(access, signed(given));
    const { password } = issueToken(access, principal, "us-east-1");
    await authenticateToken(access, basic(password), "us-east-1");
    await ensureRootKey(deps, { given: { ...given, secretAccessKey: "the second secret" } });
    await assert.rejects(whoSigned(access, signed(given)), authFault("invalid-signature"));
    await assert.rejects(authenticateToken(access, basic(password), "us-east-1"), accessFault("invalid"));
  }));

test("a token is short, has no colon, and is its principal for twelve hours", () =>
  withBench({ dev: false }, async ({ access, rootKey, clock, another }) => {
    const principal = await whoSigned(access, signed(rootKey));
    const { password, expiresAt } = issueToken(access, principal, "us-east-1");
    assert.equal(expiresAt, start + 12 * 3_600_000);
    assert.ok(password.length < 400);
    assert.match(password, /^[A-Za-z0-9_-]+$/);
    const forms = [basic(password), `Bearer ${Buffer.from(`AWS:${password}`).toString("base64")}`];
    for (const header of [...forms, ...forms]) assert.deepEqual(await authenticateToken(access, header, "us-east-1"), principal);
    assert.deepEqual(await authenticateToken(another(), basic(password), "us-east-1"), principal);
    clock.time = expiresAt - 1;
    await authenticateToken(access, basic(password), "us-east-1");
    clock.time = expiresAt;
    for (let n = 0; n < 2; n += 1) await assert.rejects(authenticateToken(access, basic(password), "us-east-1"), accessFault("expired"));
    await assert.rejects(authenticateToken(another(), basic(password), "us-east-1"), accessFault("expired"));
  }));

test("a token is refused in another region with its own region named, whether it is cached or not", () =>
  withBench({ dev: false }, async ({ access, rootKey }) => {
    const principal = await whoSigned(access, signed(rootKey));
    const { password } = issueToken(access, principal, "eu-west-1");
    await assert.rejects(authenticateToken(access, basic(password), "us-east-1"), accessFault("wrong-region", "eu-west-1"));
    await authenticateToken(access, basic(password), "eu-west-1");
    await assert.rejects(authenticateToken(access, basic(password), "us-east-1"), accessFault("wrong-region", "eu-west-1"));
  }));

test("what is no token", () =>
  withBench({ dev: false }, async ({ access, rootKey, another, sealer }) => {
    const principal = await whoSigned(access, signed(rootKey));
    const { password } = issueToken(access, principal, "us-east-1");
    const foreign = another({ sealer: createSealer([makeInstanceKey(systemRandom)], systemRandom) });
    const rows: readonly (readonly [string | undefined, AccessFaultKind])[] = [
      [undefined, "missing"],
      ["", "missing"],
      ["Basic", "malformed"],
      ["Digest abc", "malformed"],
      [basic(password, "root"), "invalid"],
      [basic(password, "aws"), "invalid"],
      [basic(""), "invalid"],
      [basic(rootKey.secretAccessKey), "invalid"],
      [basic(rootKey.secretAccessKey, rootKey.accessKeyId), "invalid"],
      [basic(`${password.slice(0, -2)}AA`), "invalid"],
      [basic(issueToken(foreign, principal, "us-east-1").password), "invalid"],
      [basic(sealer.seal("page-token", Buffer.from("[1]"))), "invalid"],
    ];
    for (const [header, kind] of rows) {
      // Twice: a refusal must not leave anything behind that is accepted later.
      for (let n = 0; n < 2; n += 1)
        await assert.rejects(authenticateToken(access, header, "us-east-1"), accessFault(kind), String(header));
    }
    assert.equal(access.tokens.size, 0);
  }));

test("disabling or replacing the key ends its tokens at once, in every process", () =>
  withBench({ dev: false }, async ({ access, rootKey, another, deps, setStatus }) => {
    const principal = await whoSigned(access, signed(rootKey));
    const header = basic(issueToken(access, principal, "us-east-1").password);
    const nodes = [access, another()];
    const ask = (): Promise<PromiseSettledResult<Principal>[]> =>
      Promise.allSettled(nodes.map((node) => authenticateToken(node, header, "us-east-1")));
    const accepted = async (): Promise<boolean[]> => (await ask()).map(({ status }) => status === "fulfilled");
    assert.deepEqual(await accepted(), [true, true]);
    await setStatus("Inactive");
    assert.deepEqual(await accepted(), [false, false]);
    await setStatus("Active");
    assert.deepEqual(await accepted(), [true, true]);
    await resetRootKey(deps);
    assert.deepEqual(await accepted(), [false, false]);
  }));

test("a principal of earlier is still active only while its key is and is still its own", () =>
  withBench({ dev: false }, async ({ access, rootKey, setStatus }) => {
    const principal = await whoSigned(access, signed(rootKey));
    assert.deepEqual(await principalStillActive(access, principal), principal);
    assert.equal(await principalStillActive(access, { principalId: principal.principalId }), undefined);
    assert.equal(await principalStillActive(access, { ...principal, principalId: "999999999999" }), undefined);
    assert.equal(await principalStillActive(access, { ...principal, accessKeyId: "AKIANOBODYAAAAAAAAAA" }), undefined);
    await setStatus("Inactive");
    assert.equal(await principalStillActive(access, principal), undefined);
  }));

test("--dev: any key is accepted, whatever its signature and clock; 12 digits name the account, a known key acts as its owner", () =>
  withBench({ dev: true }, async ({ access, rootKey, clock }) => {
    clock.time += 86_400_000;
    const rows: readonly (readonly [string, string])[] = [
      ["test", accountId],
      ["AKIAIOSFODNN7EXAMPLE", accountId],
      ["000000000000", "000000000000"],
      ["210987654321", "210987654321"],
      ["2109876543210", accountId],
      [rootKey.accessKeyId, accountId],
    ];
    for (const [accessKeyId, expected] of rows) {
      const key = { accessKeyId, secretAccessKey: "anything", sessionToken: "any" };
      const principal = await whoSigned(access, signed(key, { credentials: key, declareBody: true }), "another body");
      assert.deepEqual(
        [principal.accountId, principal.arn, principal.accessKeyId],
        [expected, `arn:aws:iam::${expected}:root`, accessKeyId],
      );
      const header = basic(issueToken(access, principal, "us-east-1").password);
      for (let n = 0; n < 2; n += 1) assert.deepEqual(await authenticateToken(access, header, "us-east-1"), principal);
      assert.deepEqual(await principalStillActive(access, principal), principal);
    }
  }));

test("--dev still wants a signature of the right form and scope, and tokens that it made", () =>
  withBench({ dev: true }, async ({ access }) => {
    const key = { accessKeyId: "test", secretAccessKey: "test" };
    await assert.rejects(whoSigned(access, plainRequest), authFault("missing"));
    await assert.rejects(whoSigned(access, signed(key, { region: "mars-1" })), authFault("invalid-signature"));
    await assert.rejects(whoSigned(access, signed({ ...key, accessKeyId: '"quoted"' })), authFault("unrecognized-client"));
    await assert.rejects(authenticateToken(access, basic("test"), "us-east-1"), accessFault("invalid"));
  }));

test("a token of a --dev key that does not exist is nothing in strict mode", () =>
  withBench({ dev: true }, async ({ access, another }) => {
    const principal = await whoSigned(access, signed({ accessKeyId: "test", secretAccessKey: "test" }));
    const header = basic(issueToken(access, principal, "us-east-1").password);
    await assert.rejects(authenticateToken(another({ dev: false }), header, "us-east-1"), accessFault("invalid"));
  }));

test("when the database cannot be asked, nobody lives on what was cached", () =>
  withBench({ dev: false }, async ({ access, rootKey, metadata }) => {
    const principal = await whoSigned(access, signed(rootKey));
    const header = basic(issueToken(access, principal, "us-east-1").password);
    await authenticateToken(access, header, "us-east-1");
    let isDown = false;
    const broken: Database = {
      ...metadata,
      readDataVersion() {
        if (isDown) throw new Error("unreachable");
        return metadata.readDataVersion();
      },
    };
    const node = createAccess({ ...access, metadata: broken, random: systemRandom, log: silentLog, regions: [...access.regions] });
    await authenticateToken(node, header, "us-east-1");
    isDown = true;
    await assert.rejects(authenticateToken(node, header, "us-east-1"), /unreachable/);
  }));

test("a key sealed under a lost instance key is unusable, and said so", () =>
  withBench({ dev: false }, async ({ access, rootKey, metadata }) => {
    const said: string[] = [];
    const node = createAccess({
      ...access,
      metadata,
      sealer: createSealer([makeInstanceKey(systemRandom)], systemRandom),
      random: systemRandom,
      regions: [...access.regions],
      log: { ...silentLog, error: (fields, message) => void said.push(`${message} ${JSON.stringify(fields)}`) },
    });
    await assert.rejects(whoSigned(node, signed(rootKey)), authFault("unrecognized-client"));
    assert.match(said.join(), /instance key that is not in the key file/);
    assert.ok(!said.join().includes(rootKey.secretAccessKey));
  }));
