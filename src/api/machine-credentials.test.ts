import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import type { IdentityContext } from "#identity/context.ts";
import { addRoleToInstanceProfile, createInstanceProfile } from "#identity/instance-profile.ts";
import { enrolMachine, findMachineGrant, issueMachineCredentials, listEnrolledMachines, revokeMachine } from "#identity/machine.ts";
import type { MachineGrant } from "#identity/machine.ts";
import { createOidcProvider } from "#identity/oidc-provider.ts";
import { createRole } from "#identity/role.ts";
import { startInProcess } from "#server/testing/in-process.ts";
import type { Answer, InProcessServer } from "#server/testing/in-process.ts";
import type { JWTPayload } from "jose";
import { makeIssuerKey, startFakeIssuer } from "../../test/fake-issuer.ts";
import type { FakeIssuer } from "../../test/fake-issuer.ts";
import { trusting } from "../../test/sts-fixture.ts";

/** What SDKs read. */
interface Given {
  readonly AccessKeyId: string;
  readonly SecretAccessKey: string;
  readonly Token: string;
  readonly Expiration: string;
  readonly RoleArn: string;
  readonly AccountId: string;
}

let running: InProcessServer;
let issuer: FakeIssuer;
/** Where nobody listens. */
let away: FakeIssuer;
let ctx: IdentityContext;
const audience = "sts.amazonaws.com";
const subject = "system:serviceaccount:build:runner";
const denied = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
const roleArn = "arn:aws:iam::000000000000:role/ci/runner";

before(async () => {
  issuer = await startFakeIssuer();
  away = await startFakeIssuer();
  await away.close();
  running = await startInProcess({ SUPERCARGO_TRUSTED_HOSTS: `${issuer.host},${away.host}` });
  ctx = { core: running.server.foundation.core, accountId: "000000000000" };
  await createOidcProvider(ctx, { name: issuer.host, clientIds: [audience], thumbprints: [], tags: [] });
  const federated = { Federated: `arn:aws:iam::000000000000:oidc-provider/${issuer.host}` };
  const isRunner = { StringEquals: { [`${issuer.host}:aud`]: audience, [`${issuer.host}:sub`]: subject } };
  await addRole("runner", "/ci/", trusting(federated, ["sts:AssumeRoleWithWebIdentity"], isRunner));
  await addRole("node", "/", trusting({ Service: "ec2.amazonaws.com" }, ["sts:AssumeRole"]));
  await createInstanceProfile(ctx, { name: "nodes", path: "/", tags: [] });
  await addRoleToInstanceProfile(ctx, "nodes", "node");
});

after(async () => {
  await running.close();
  await issuer.close();
});

async function addRole(name: string, path: string, statement: object): Promise<void> {
  const trustDocument = JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
  await createRole(ctx, {
    name,
    path,
    trustDocument,
    description: undefined,
    maxSessionSeconds: undefined,
    boundaryArn: undefined,
    tags: [],
  });
}

const nowSeconds = (): number => Math.floor(ctx.core.clock.now() / 1000);
const sign = (claims: JWTPayload = {}): Promise<string> => issuer.sign({ aud: audience, sub: subject, ...claims }, nowSeconds());
const ask = (below: string, authorization?: string, headers: Record<string, string> = {}): Promise<Answer> =>
  running.ask("GET", `/v1/credentials${below}`, { headers: { ...headers, ...(authorization !== undefined && { authorization }) } });

/** Status, code and message of a refusal. */
async function refusalOf(asked: Promise<Answer>): Promise<readonly [number, string, string]> {
  const answer = await asked;
  const { Code, Message } = answer.json<{ Code: string; Message: string }>();
  return [answer.status, Code, Message];
}

async function arnOf(given: Given): Promise<string | undefined> {
  const credentials = { accessKeyId: given.AccessKeyId, secretAccessKey: given.SecretAccessKey, sessionToken: given.Token };
  const client = new STSClient({ endpoint: `http://${running.host}`, region: "us-east-1", credentials, maxAttempts: 1 });
  try {
    return (await client.send(new GetCallerIdentityCommand({}))).Arn;
  } finally {
    client.destroy();
  }
}

test("a token of an identity provider is good for a role that trusts it, named by its ARN or by path and name", async () => {
  for (const below of [`/${roleArn}`, `/${encodeURIComponent(roleArn)}`, "/ci/runner", "/ci%2Frunner?x=1"]) {
    const answer = await ask(below, await sign());
    assert.equal(answer.status, 200, `${below}: ${answer.text}`);
    assert.equal(answer.headers["cache-control"], "no-store");
    const given = answer.json<Given>();
    assert.deepEqual([given.RoleArn, given.AccountId], [roleArn, "000000000000"]);
    const lifetimeMs = Date.parse(given.Expiration) - ctx.core.clock.now();
    assert.ok(lifetimeMs > 3_590_000 && lifetimeMs <= 3_600_000, given.Expiration);
    assert.equal(await arnOf(given), "arn:aws:sts::000000000000:assumed-role/runner/system-serviceaccount-build-runner");
  }
});

test("what AssumeRoleWithWebIdentity refuses is refused here, in its words", async () => {
  const other = await makeIssuerKey("first");
  const good = await sign();
  const cases: readonly (readonly [string, string | undefined, number, string, string | RegExp])[] = [
    ["/ci/runner", await sign({ sub: "system:serviceaccount:build:other" }), 403, "AccessDenied", denied],
    ["/ci/runner", await sign({ aud: "elsewhere" }), 400, "InvalidIdentityToken", "Incorrect token audience"],
    ["/ci/runner", await sign({ exp: nowSeconds() - 100 }), 400, "ExpiredTokenException", /^Token expired/],
    [
      "/ci/runner",
      await issuer.sign({ aud: audience, sub: subject }, nowSeconds(), { key: other }),
      400,
      "InvalidIdentityToken",
      /signature/,
    ],
    ["/ci/runner", await sign({ iss: "https://unknown.example" }), 400, "InvalidIdentityToken", /^No OpenIDConnect provider found/],
    ["/ci/runner", "SupercargoMTnotamachine", 400, "InvalidIdentityToken", /not a valid JWT/],
    ["/ci/runner", `Bearer ${good}`, 400, "InvalidIdentityToken", /not a valid JWT/],
    ["/ci/runner", "x", 400, "ValidationError", /webIdentityToken/],
    ["/ci/runner", undefined, 401, "UnauthorizedException", /Authorization header/],
    // No word on which roles there are.
    ["/runner", good, 403, "AccessDenied", denied],
    ["/none", good, 403, "AccessDenied", denied],
    ["/node", good, 403, "AccessDenied", denied],
    ["/arn:aws:iam::000000000000:user/runner", good, 400, "ValidationError", "Request ARN is invalid"],
    ["/arn:aws:iam::111111111111:role/runner", good, 400, "InvalidIdentityToken", /^No OpenIDConnect provider found/],
    ["/%00", good, 400, "ValidationError", /./],
    ["/%", good, 400, "ValidationError", "Request ARN is invalid"],
    [`/${"r".repeat(3000)}`, good, 400, "ValidationError", /roleArn/],
  ];
  for (const [below, token, status, code, words] of cases) {
    const [gotStatus, gotCode, message] = await refusalOf(ask(below, token));
    assert.deepEqual([gotStatus, gotCode], [status, code], `${below}: ${message}`);
    if (typeof words === "string") assert.equal(message, words);
    else assert.match(message, words);
  }
});

test("a provider that cannot be reached is no fault of the client's, so SDKs try again", async () => {
  await createOidcProvider(ctx, { name: away.host, clientIds: [audience], thumbprints: [], tags: [] });
  assert.deepEqual((await refusalOf(ask("/ci/runner", await sign({ iss: away.url })))).slice(0, 2), [503, "IDPCommunicationError"]);
});

test("a machine's own token stands at the path itself, and only there", async () => {
  const { token, machineId } = await enrolMachine(ctx, { profileName: "nodes", name: "one" });
  const given = (await ask("/", token)).json<Given>();
  assert.equal(await arnOf(given), `arn:aws:sts::000000000000:assumed-role/node/${machineId}`);
  assert.equal((await refusalOf(ask("", await sign())))[0], 401);
  assert.equal((await running.ask("POST", "/v1/credentials", { headers: { authorization: token } })).status, 405);
  assert.notEqual((await ask("s", token)).status, 200);
});

test("a tag tells whether credentials still stand, and makes none", async () => {
  const { token, machineId } = await enrolMachine(ctx, { profileName: "nodes", name: "two" });
  const first = await ask("", token);
  const { etag = "" } = first.headers;
  assert.match(etag, new RegExp(`^"AROA\\w+:${machineId}"$`));
  const uses = async (): Promise<number | undefined> => (await listEnrolledMachines(ctx, { after: "tw", limit: 1 }))[0]?.lastUsedAt;
  const usedAt = await uses();
  const again = await ask("", token, { "if-none-match": etag });
  assert.deepEqual([again.status, again.text, again.headers.etag, await uses()], [304, "", etag, usedAt]);
  assert.equal((await ask("", token, { "if-none-match": '"AROA:other"' })).status, 200);
  await revokeMachine(ctx, "two");
  assert.equal((await refusalOf(ask("", token, { "if-none-match": etag })))[0], 401);
});

test("machines are listed with their last use and the end of what they got", async () => {
  await enrolMachine(ctx, { profileName: "nodes", name: "unused" });
  const { token } = await enrolMachine(ctx, { profileName: "nodes", name: "used" });
  const { Expiration } = (await ask("", token)).json<Given>();
  const listed = await listEnrolledMachines(ctx, { after: "u", limit: 10 });
  const [unused, used] = ["unused", "used"].map((name) => listed.find((machine) => machine.name === name));
  assert.deepEqual([unused?.lastUsedAt, unused?.credentialsExpireAt], [undefined, undefined]);
  assert.ok(Math.abs((used?.credentialsExpireAt ?? 0) - Date.parse(Expiration)) <= 2_000);
});

test("who is revoked, or loses the role, while credentials are being made gets none", async () => {
  const grantOf = async (name: string): Promise<MachineGrant> => {
    const { token } = await enrolMachine(ctx, { profileName: "nodes", name });
    const grant = await findMachineGrant(ctx.core, token);
    assert.ok(typeof grant !== "string");
    return grant;
  };
  const revoked = await grantOf("late");
  await revokeMachine(ctx, "late");
  assert.equal(await issueMachineCredentials(ctx.core, revoked), "unknown-token");
  const sessions = ctx.core.metadata.read
    .selectFrom("session")
    .select("session_name")
    .where("session_name", "=", revoked.machine.machineId);
  assert.deepEqual(await sessions.execute(), []);
  const grant = await grantOf("later");
  assert.equal(await issueMachineCredentials(ctx.core, { ...grant, role: { ...grant.role, identityId: 999_999 } }), "no-role");
});
