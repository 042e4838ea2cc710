import assert from "node:assert/strict";
import { createHmac, createPublicKey } from "node:crypto";
import { after, before, test } from "node:test";
import { AssumeRoleCommand, AssumeRoleWithWebIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import type { AssumeRoleWithWebIdentityCommandInput, AssumeRoleWithWebIdentityCommandOutput } from "@aws-sdk/client-sts";
import type { OidcSettings } from "#metadata/identity-providers.ts";
import { putIdentityProvider } from "#metadata/identity-providers.ts";
import type { JWTPayload } from "jose";
import { makeIssuerKey, startFakeIssuer } from "../../../test/fake-issuer.ts";
import type { FakeIssuer } from "../../../test/fake-issuer.ts";
import { allowing, startStsServer, trusting } from "../../../test/sts-fixture.ts";
import type { StsServer } from "../../../test/sts-fixture.ts";

let sts: StsServer;
let issuer: FakeIssuer;
let client: STSClient;
let providerArn: string;
let roleArn: string;
const audience = "sts.amazonaws.com";
const subject = "repo:org/app:ref:refs/heads/main";
const noJwt = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)";
const noKey =
  "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements";
const denied = "Not authorized to perform sts:AssumeRoleWithWebIdentity";

before(async () => {
  issuer = await startFakeIssuer();
  sts = await startStsServer({ trustedHosts: [issuer.host] });
  // Nobody's credentials: the operation is not signed.
  const nobody = { accessKeyId: "none", secretAccessKey: "none" };
  client = new STSClient({ endpoint: sts.server.url, region: sts.server.region, credentials: nobody, maxAttempts: 1 });
  providerArn = await addProvider(issuer.host, {});
  roleArn = await addRole("Deployer", {
    StringEquals: { [`${issuer.host}:aud`]: audience },
    StringLike: { [`${issuer.host}:sub`]: "repo:org/app:*" },
  });
});

after(async () => {
  assert.deepEqual(sts.server.errors, []);
  client.destroy();
  await sts.close();
  await issuer.close();
});

async function addProvider(name: string, settings: Partial<OidcSettings>): Promise<string> {
  const { accountId, core } = sts.server;
  const outcome = await putIdentityProvider(core.metadata, {
    accountId,
    kind: "oidc",
    name,
    tags: {},
    now: 0,
    limit: 100,
    settings: { url: name, clientIds: [audience], thumbprints: [], ...settings },
  });
  assert.equal(outcome.outcome, "created");
  return `arn:aws:iam::${accountId}:oidc-provider/${name}`;
}

async function addRole(
  name: string,
  condition: object | undefined,
  actions: readonly string[] = ["sts:AssumeRoleWithWebIdentity"],
  provider = providerArn,
): Promise<string> {
  const role = { name, trust: [trusting({ Federated: provider }, actions, condition)], inline: [allowing(["sts:*"])] };
  return (await sts.addRole(role)).arn;
}

const nowSeconds = (): number => Math.floor(sts.server.core.clock.now() / 1000);
const sign = (claims: JWTPayload = {}, by: Parameters<FakeIssuer["sign"]>[2] = {}): Promise<string> =>
  issuer.sign({ aud: audience, sub: subject, ...claims }, nowSeconds(), by);

function assume(
  token: string,
  input: Partial<AssumeRoleWithWebIdentityCommandInput> = {},
): Promise<AssumeRoleWithWebIdentityCommandOutput> {
  const command = { RoleArn: roleArn, RoleSessionName: "GitHubActions", WebIdentityToken: token, ...input };
  return client.send(new AssumeRoleWithWebIdentityCommand(command));
}

/** Code and message of a refusal. */
async function refusalOf(work: Promise<unknown>): Promise<readonly [string, string]> {
  try {
    await work;
  } catch (error) {
    const { name, message } = error as Error;
    return [name, message];
  }
  throw new Error("the token was accepted");
}

const invalid = "InvalidIdentityTokenException";
const parts = (token: string): [string, string, string] => token.split(".") as [string, string, string];
const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

test("a good token is good for a session of the role", async () => {
  const answer = await assume(await sign());
  assert.equal(answer.SubjectFromWebIdentityToken, subject);
  assert.deepEqual([answer.Audience, answer.Provider, answer.PackedPolicySize], [audience, providerArn, undefined]);
  const arn = `arn:aws:sts::${sts.server.accountId}:assumed-role/Deployer/GitHubActions`;
  assert.equal(answer.AssumedRoleUser?.Arn, arn);
  assert.deepEqual(await sts.whoIs(answer.Credentials), { arn, userId: answer.AssumedRoleUser?.AssumedRoleId });
});

test("tokens of every algorithm that AWS takes are taken", async () => {
  for (const algorithm of ["RS384", "RS512", "ES256", "ES384", "ES512"]) {
    const key = await makeIssuerKey(`key-${algorithm}`, algorithm);
    issuer.keys.push(key);
    sts.server.advance(31_000);
    assert.ok((await assume(await sign({}, { key }))).Credentials, algorithm);
    issuer.keys.pop();
  }
});

test("a token says what the trust policy asks for, or the role is not to be had", async () => {
  assert.deepEqual(await refusalOf(assume(await sign({ sub: "repo:org/other:ref:refs/heads/main" }))), ["AccessDenied", denied]);
  const missing = `arn:aws:iam::${sts.server.accountId}:role/Missing`;
  assert.deepEqual(await refusalOf(assume(await sign(), { RoleArn: missing })), ["AccessDenied", denied]);
  const closed = (await sts.addRole({ name: "ForUsersOnly" })).arn;
  assert.deepEqual(await refusalOf(assume(await sign(), { RoleArn: closed })), ["AccessDenied", denied]);
  const user = await sts.addUser({ name: "alice", inline: [allowing(["sts:*"])] });
  const asUser = sts.client(user).send(new AssumeRoleCommand({ RoleArn: roleArn, RoleSessionName: "session" }));
  assert.equal((await refusalOf(asUser))[0], "AccessDenied");
});

test("what a token claims wrongly is named", async () => {
  const now = nowSeconds();
  const bad: readonly (readonly [JWTPayload, string, string | RegExp])[] = [
    [{ aud: "other" }, invalid, "Incorrect token audience"],
    [{ aud: [] }, invalid, "Incorrect token audience"],
    [{ azp: "other" }, invalid, "Incorrect token audience"],
    [
      { exp: now - 61, iat: now - 600 },
      "ExpiredTokenException",
      /^Token expired: current date\/time \d+ must be before the expiration date\/time \d+$/,
    ],
    [{ iat: now + 120 }, invalid, /'iat'/],
    [{ iat: now - 0.5 }, invalid, /'iat'/],
    [{ nbf: now + 120 }, invalid, /'nbf'/],
    [{ sub: "" }, invalid, /'sub'/],
    [{ "https://aws.amazon.com/source_identity": "a b" }, invalid, /source_identity/],
    [{ "https://aws.amazon.com/tags": "team" }, invalid, /tags/],
    [{ "https://aws.amazon.com/tags": { principal_tags: { team: ["a", "b"] } } }, invalid, /tags/],
    [{ "https://aws.amazon.com/tags": { principal_tags: { "<b>": ["a"] } } }, invalid, /tags/],
    [{ iss: "https://issuer.example" }, invalid, "No OpenIDConnect provider found in your account for https://issuer.example"],
    [{ iss: `${issuer.url}/` }, invalid, `No OpenIDConnect provider found in your account for ${issuer.url}/`],
    [{ iss: "javascript:alert(1)" }, invalid, noJwt],
  ];
  for (const [claims, code, message] of bad) {
    const [name, text] = await refusalOf(assume(await sign(claims)));
    assert.equal(name, code, JSON.stringify(claims));
    if (typeof message === "string") assert.equal(text, message);
    else assert.match(text, message);
  }
  const elsewhere = "arn:aws:iam::222233334444:role/Deployer";
  assert.match((await refusalOf(assume(await sign(), { RoleArn: elsewhere })))[1], /^No OpenIDConnect provider found/);
});

test("a signature counts only by a key that the issuer publishes", async () => {
  const stranger = await makeIssuerKey("first");
  const named = await makeIssuerKey("unknown");
  const good = await sign();
  const [head, body, signature] = parts(good);
  const publicPem = createPublicKey({ key: issuer.keys[0]?.publicJwk ?? {}, format: "jwk" }).export({ type: "spki", format: "pem" });
  const hmacHead = encode({ alg: "HS256", kid: "first" });
  const hmac = createHmac("sha256", publicPem).update(`${hmacHead}.${body}`).digest("base64url");
  const forged = encode({ iss: issuer.url, aud: audience, sub: "repo:org/app:forged", iat: nowSeconds(), exp: nowSeconds() + 600 });
  const location = "http://127.0.0.1:1/keys";
  const cases: readonly (readonly [string, string, string])[] = [
    ["another key under the same name", await sign({}, { key: stranger }), "The signature of the ID Token provided is not valid."],
    ["another body", `${head}.${forged}.${signature}`, "The signature of the ID Token provided is not valid."],
    ["a key that nobody knows", await sign({}, { key: named }), noKey],
    [
      "an embedded key",
      await sign({}, { key: stranger, header: { jwk: stranger.publicJwk } }),
      "The signature of the ID Token provided is not valid.",
    ],
    ["an embedded key without a name", await sign({}, { key: named, header: { jwk: named.publicJwk } }), noKey],
    ["a key from elsewhere", await sign({}, { key: named, header: { jku: location, x5u: location } }), noKey],
    ["no algorithm", `${encode({ alg: "none", kid: "first" })}.${body}.`, noJwt],
    ["HMAC with the public key", `${hmacHead}.${body}.${hmac}`, noJwt],
    ["an unknown critical header", await signWithCritical(), noJwt],
    ["two parts", `${head}.${body}`, noJwt],
    ["no token", "abcd", noJwt],
    ["an access token", "gho_16C7e42F292c6912E7710c838347Ae178B4a", noJwt],
  ];
  for (const [what, token, message] of cases) assert.deepEqual(await refusalOf(assume(token)), [invalid, message], what);
  assert.ok((await assume(good)).Credentials);
  assert.ok(!issuer.asked.some((path) => path.includes("unknown")));
});

/** `crit` obliges a reader to know what it lists; jose's signer will not write what it does not know, so this one is put together by hand. */
async function signWithCritical(): Promise<string> {
  const [, body, signature] = parts(await sign());
  return `${encode({ alg: "RS256", kid: "first", crit: ["x"], x: 1 })}.${body}.${signature}`;
}

test("an issuer's keys may change, and it is asked no more than it must be", async () => {
  sts.server.advance(31_000);
  await assume(await sign());
  const next = await makeIssuerKey("next");
  issuer.keys.push(next);
  sts.server.advance(31_000);
  issuer.asked.length = 0;
  const token = await sign({}, { key: next });
  await Promise.all(Array.from({ length: 5 }, () => assume(token)));
  assert.deepEqual(issuer.asked, ["/.well-known/openid-configuration", "/keys"]);
  const unknown = await sign({}, { key: await makeIssuerKey("nobody") });
  for (let count = 0; count < 5; count++) assert.equal((await refusalOf(assume(unknown)))[1], noKey);
  assert.equal(issuer.asked.length, 2);
  issuer.keys.pop();
  sts.server.advance(601_000);
  assert.equal((await refusalOf(assume(await sign({}, { key: next }))))[1], noKey, "a key that was withdrawn is forgotten");
});

test("an issuer that cannot be asked is no proof", async () => {
  const other = await startFakeIssuer();
  const signOther = () => other.sign({ aud: audience, sub: subject }, nowSeconds());
  await addProvider(other.host, {});
  assert.deepEqual(await refusalOf(assume(await signOther())), [invalid, noKey], "not on the operator's list");
  assert.deepEqual(other.asked, []);
  await other.close();
  sts.server.advance(700_000);
  issuer.discovery["issuer"] = "https://issuer.example";
  assert.deepEqual(await refusalOf(assume(await sign())), [invalid, noKey]);
  delete issuer.discovery["issuer"];
  sts.server.advance(6_000);
  issuer.discovery["jwks_uri"] = "http://127.0.0.1:1/keys";
  assert.deepEqual(await refusalOf(assume(await sign())), [invalid, noKey], "the keys are elsewhere, where nobody may be sent");
  issuer.discovery["jwks_uri"] = `${issuer.url}/nothing`;
  sts.server.advance(6_000);
  assert.deepEqual(await refusalOf(assume(await sign())), [invalid, noKey]);
  delete issuer.discovery["jwks_uri"];
  sts.server.advance(6_000);
  assert.ok((await assume(await sign())).Credentials);
});

test("an issuer that does not answer is worth another try", async () => {
  const gone = await startFakeIssuer();
  const away = await startStsServer({ trustedHosts: [gone.host] });
  const token = await gone.sign({ aud: audience, sub: subject }, Math.floor(away.server.core.clock.now() / 1000));
  const { accountId, core } = away.server;
  const settings = { url: gone.host, clientIds: [audience], thumbprints: [] };
  await putIdentityProvider(core.metadata, { accountId, kind: "oidc", name: gone.host, tags: {}, now: 0, limit: 1, settings });
  await gone.close();
  const command = { RoleArn: `arn:aws:iam::${accountId}:role/Any`, RoleSessionName: "session", WebIdentityToken: token };
  const sent = away.client({ accessKeyId: "none", secretAccessKey: "none" }).send(new AssumeRoleWithWebIdentityCommand(command));
  assert.equal((await refusalOf(sent))[0], "IDPCommunicationErrorException");
  await away.close();
});

test("keys that were uploaded are used instead of asking, for issuers with TLS", async () => {
  const key = await makeIssuerKey("cluster");
  const name = "kubernetes.default.svc";
  const arn = await addProvider(name, { jwks: { keys: [key.publicJwk] } });
  const RoleArn = await addRole("Cluster", { StringEquals: { [`${name}:sub`]: "system:serviceaccount:ci:builder" } }, undefined, arn);
  const claims = { sub: "system:serviceaccount:ci:builder", "kubernetes.io": { namespace: "ci" } };
  const answer = await assume(await sign({ ...claims, iss: `https://${name}` }, { key }), { RoleArn });
  assert.equal(answer.Provider, arn);
  const plain = await sign({ ...claims, iss: `http://${name}` }, { key });
  assert.deepEqual(await refusalOf(assume(plain, { RoleArn })), [
    invalid,
    `No OpenIDConnect provider found in your account for http://${name}`,
  ]);
});

test("every claim is a condition key, and who asked for the token is its audience", async () => {
  const prefix = issuer.host;
  const RoleArn = await addRole("Claims", {
    StringEquals: { [`${prefix}:environment`]: "prod", [`${prefix}:run`]: "42", [`${prefix}:oaud`]: "api", [`${prefix}:aud`]: audience },
    Bool: { [`${prefix}:ref_protected`]: "true" },
    "ForAnyValue:StringEquals": { [`${prefix}:amr`]: "mfa" },
    Null: { [`${prefix}:nested`]: "true", "aws:username": "true" },
  });
  const claims = { environment: "prod", run: 42, ref_protected: true, amr: ["pwd", "mfa"], nested: { a: 1 }, azp: audience, aud: "api" };
  assert.equal((await assume(await sign(claims), { RoleArn })).Audience, audience);
  for (const change of [{ environment: "dev" }, { ref_protected: false }, { amr: ["pwd"] }, { azp: undefined, aud: audience }])
    assert.equal((await refusalOf(assume(await sign({ ...claims, ...change }), { RoleArn })))[0], "AccessDenied", JSON.stringify(change));
});

test("tags and a source identity in the token are put on the session when the role allows it", async () => {
  const actions = ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"];
  const RoleArn = await addRole("Marked", { StringEquals: { "aws:RequestTag/team": "a", "sts:SourceIdentity": "alice" } }, actions);
  const claims = {
    "https://aws.amazon.com/tags": { principal_tags: { team: ["a"], cost: ["b"] }, transitive_tag_keys: ["team"] },
    "https://aws.amazon.com/source_identity": "alice",
  };
  const answer = await assume(await sign(claims), { RoleArn });
  assert.equal(answer.SourceIdentity, "alice");
  assert.ok(answer.PackedPolicySize);
  const condition = {
    StringEquals: {
      "aws:PrincipalTag/team": "a",
      "aws:PrincipalTag/cost": "b",
      "aws:FederatedProvider": providerArn,
      "aws:SourceIdentity": "alice",
    },
  };
  const next = (await sts.addRole({ name: "Onward", trust: [trusting({ AWS: sts.server.accountId }, undefined, condition)] })).arn;
  const onward = new AssumeRoleCommand({ RoleArn: next, RoleSessionName: "session" });
  assert.equal((await sts.client(answer.Credentials).send(onward)).SourceIdentity, "alice");
  assert.equal((await refusalOf(assume(await sign(claims))))[0], "AccessDenied", "the other role allows no tags");
});

test("a session from a token is bound as others are", async () => {
  const [name, message] = await refusalOf(assume(await sign(), { DurationSeconds: 3_601 }));
  assert.deepEqual([name, message], ["ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."]);
  assert.equal((await refusalOf(assume(await sign(), { Policy: "{}" })))[0], "MalformedPolicyDocumentException");
  assert.deepEqual(await refusalOf(assume(await sign(), { RoleArn: `arn:aws:iam::${sts.server.accountId}:user/alice` })), [
    "ValidationError",
    "Request ARN is invalid",
  ]);
});
