/** What others' pull-through caches were broken by: secrets shown to hosts of an attacker's choice, rights that outlive their end, and ways into the own network. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { sql } from "kysely";
import { makeIdentity, makeUserKey } from "#access/testing/identities.ts";
import { moveIdentityEpoch } from "#metadata/identity-epoch.ts";
import { startUpstreamDouble } from "#pullthrough/testing/upstream-double.ts";
import type { UpstreamDouble } from "#pullthrough/testing/upstream-double.ts";
import { putRegistryPolicy } from "#registry/registry-policy.ts";
import { secretArn } from "#secrets/secret-id.ts";
import { putSecretPolicy } from "#secrets/secret-policy.ts";
import { createSecret } from "#secrets/secret.ts";
import { makeImage } from "../fixtures/oci-content.ts";
import { callEcr } from "../signed-call.ts";
import { allowing, startStsServer, trusting } from "../sts-fixture.ts";
import type { SigningKey, StsServer } from "../sts-fixture.ts";
import { foreignAccount } from "./callers.ts";

let sts: StsServer;
let upstream: UpstreamDouble;
/** Another server that this one could reach. */
let elsewhere: UpstreamDouble;
let openUrl: string;
let secret: string;
const password = "upstream-password-of-others";

before(async () => {
  [upstream, elsewhere] = [await startUpstreamDouble(), await startUpstreamDouble()];
  openUrl = `http://${upstream.host}`;
  sts = await startStsServer({ trustedHosts: [upstream.host, elsewhere.host], domain: "cr.example" });
  secret = await addSecret("ecr-pullthroughcache/hub");
  // The first rule makes the service's role, which needs a right of its own.
  assert.equal(await call("CreatePullThroughCacheRule", rule({})), "ok");
  // The first rule makes the role of the service, which is not what these attackers may not do.
  assert.equal(await call("CreatePullThroughCacheRule", rule({})), "ok");
});
afterEach(() => upstream.misbehave(undefined));
after(async () => {
  assert.deepEqual(sts.server.errors, []);
  await sts.close();
  await Promise.all([upstream.close(), elsewhere.close()]);
});

async function addSecret(name: string, policy?: object): Promise<string> {
  const { core, accountId, region } = sts.server;
  const ctx = { core, accountId, region };
  const bytes = Buffer.from(JSON.stringify({ username: "alice", accessToken: password }));
  const made = await createSecret(ctx, { name, description: undefined, tags: [], value: { kind: "string", bytes }, token: undefined });
  if (policy !== undefined) await putSecretPolicy(ctx, made.secret, { document: JSON.stringify(policy), principals: {} });
  return secretArn(made.secret);
}

/** Calls an operation, and answers its exception, with the sentence, or `ok`. */
async function call(operation: string, input: object, credentials?: SigningKey, region = sts.server.region): Promise<string> {
  const answer = await callEcr(sts.server, operation, input, { region, ...(credentials !== undefined && { credentials }) });
  if (answer.status === 200) return "ok";
  const { __type: type, message } = answer.json<{ __type: string; message?: string }>();
  return `${type}: ${message}`;
}

const withoutLetters = (arn: string): string => arn.slice(0, -"-AbCdEf".length);
let rules = 0;
const rule = (more: object) => ({ ecrRepositoryPrefix: `rule${++rules}`, upstreamRegistryUrl: openUrl, ...more });

describe("a secret is shown to no host behind which who may not read it can stand", () => {
  const denied = /^AccessDeniedException: .* secretsmanager:GetSecretValue/;
  let author: SigningKey;
  before(async () => void (author = await sts.addUser({ name: "author", inline: [allowing(["ecr:*"])] })));

  test("neither by a new rule, nor by one that is changed", async () => {
    for (const credentialArn of [secret, withoutLetters(secret)]) {
      assert.match(await call("CreatePullThroughCacheRule", rule({ credentialArn }), author), denied);
      const bare = rule({});
      assert.equal(await call("CreatePullThroughCacheRule", bare, author), "ok");
      assert.match(await call("UpdatePullThroughCacheRule", { ...bare, credentialArn }, author), denied);
    }
    const azure = { upstreamRegistryUrl: "mine.azurecr.io", credentialArn: secret };
    assert.match(await call("CreatePullThroughCacheRule", rule(azure), author), denied);
    assert.match(
      await call("CreatePullThroughCacheRule", rule({ ...azure, upstreamRegistry: "azure-container-registry" }), author),
      denied,
    );
    assert.deepEqual(
      upstream.shown.filter((header) => header !== undefined),
      [],
    );
  });

  test("what denies the whole ARN denies the one without its last letters", async () => {
    const guard = { Effect: "Deny", Action: "secretsmanager:GetSecretValue", Resource: secret };
    const key = await sts.addUser({ name: "guarded", inline: [allowing(["*"]), guard] });
    for (const credentialArn of [secret, withoutLetters(secret)])
      assert.match(await call("CreatePullThroughCacheRule", rule({ credentialArn }), key), denied);
  });

  test("who may read it may show it, and hosts that all the world shares may be asked with it", async () => {
    const reader = await sts.addUser({ name: "reader", inline: [allowing(["ecr:*", "secretsmanager:GetSecretValue"])] });
    assert.equal(await call("CreatePullThroughCacheRule", rule({ credentialArn: secret }), reader), "ok");
    assert.equal(await call("CreatePullThroughCacheRule", rule({ credentialArn: secret, upstreamRegistryUrl: "ghcr.io" }), author), "ok");
  });

  test("who does not know of a rule does not learn of it", async () => {
    const nobody = await sts.addUser({ name: "nobody", inline: [allowing(["ecr:DescribeRepositories"])] });
    const there = rule({});
    assert.equal(await call("CreatePullThroughCacheRule", there, author), "ok");
    const [one, other] = [there, rule({})].map(({ ecrRepositoryPrefix }) => ({ ecrRepositoryPrefix, credentialArn: secret }));
    assert.ok(one !== undefined && other !== undefined);
    for (const operation of ["UpdatePullThroughCacheRule", "DeletePullThroughCacheRule", "ValidatePullThroughCacheRule"])
      assert.equal(await call(operation, one, nobody), await call(operation, other, nobody));
  });
});

test("the policy of a secret holds however a rule names the secret", async () => {
  const denial = { Version: "2012-10-17", Statement: { Effect: "Deny", Principal: "*", Action: "*", Resource: "*" } };
  const closed = await addSecret("ecr-pullthroughcache/closed", denial);
  for (const credentialArn of [closed, withoutLetters(closed)])
    assert.match(
      await call("CreatePullThroughCacheRule", rule({ credentialArn, upstreamRegistryUrl: "ghcr.io" })),
      /^UnableToAccessSecretException/,
    );
});

test("another account that may write rules gives away neither a role nor a secret of this one", async () => {
  const { core, accountId, region } = sts.server;
  await sts.server.addAccount(foreignAccount);
  const { identityId } = await makeIdentity(core.metadata, {
    accountId: foreignAccount,
    kind: "user",
    name: "guest",
    inline: [allowing(["*"])],
  });
  const guest = await makeUserKey(core.metadata, core.sealer, foreignAccount, identityId);
  const ctx = { core, actor: sts.server.principal, requestId: "test" };
  const statement = {
    Sid: "All",
    Effect: "Allow",
    Principal: { AWS: `arn:aws:iam::${foreignAccount}:root` },
    Action: "ecr:*",
    Resource: "*",
  };
  const document = JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
  await putRegistryPolicy(ctx, { accountId, region }, { document, principals: {} });
  const role = await sts.addRole({ name: "Theirs", trust: [trusting({ Service: "pullthroughcache.ecr.amazonaws.com" })] });
  const own = { upstreamRegistryUrl: `${accountId}.dkr.ecr.us-east-1.cr.example`, customRoleArn: role.arn };
  assert.equal(await call("CreatePullThroughCacheRule", { ...rule({}), registryId: accountId }, guest), "ok");
  for (const more of [own, { credentialArn: secret }])
    assert.match(await call("CreatePullThroughCacheRule", { ...rule(more), registryId: accountId }, guest), /^AccessDeniedException/);
});

test("a role that has lost a right has lost it for the rules that name it", async () => {
  const [first, second] = [makeImage({ seed: "first" }), makeImage({ seed: "second" })];
  await sts.server.createRepository("source/app");
  await sts.server.push("source/app", first, "v1");
  await sts.server.push("source/app", second, "v2");
  const trust = [trusting({ Service: "pullthroughcache.ecr.amazonaws.com" }, ["sts:AssumeRole"])];
  const role = await sts.addRole({ name: "Fetcher", trust, inline: [allowing(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"])] });
  const upstreamRegistryUrl = `${sts.server.accountId}.dkr.ecr.${sts.server.region}.cr.example`;
  const input = { ecrRepositoryPrefix: "role", upstreamRegistryUrl, upstreamRegistry: "ecr", customRoleArn: role.arn };
  assert.equal(await call("CreatePullThroughCacheRule", input, undefined, "us-east-1"), "ok");
  const pull = async (imageTag: string): Promise<string | undefined> => {
    const asked = { repositoryName: "role/source/app", imageIds: [{ imageTag }] };
    const answer = await callEcr(sts.server, "BatchGetImage", asked, { region: "us-east-1" });
    const { images, failures } = answer.json<{ images?: object[]; failures?: { failureCode?: string }[] }>();
    return images?.length === 1 ? "pulled" : failures?.[0]?.failureCode;
  };
  assert.equal(await pull("v1"), "pulled");
  await sts.server.core.metadata.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    await sql`delete from inline_policy where identity_id = (select identity_id from identity where name = 'Fetcher')`.execute(tx);
  });
  assert.equal(await pull("v2"), "UpstreamAccessDenied");
});

describe("an upstream leads nowhere", () => {
  const inside = [
    "http://169.254.169.254/latest/meta-data/",
    "https://127.0.0.1:1/",
    "https://[::ffff:10.0.0.1]/",
    "https://2130706433/",
    "https://0x7f.1/",
    "file:///etc/passwd",
    "https://alice:pass@198.51.100.1/",
  ];
  let prefix: string;
  before(async () => {
    const made = rule({ credentialArn: secret });
    prefix = made.ecrRepositoryPrefix;
    assert.equal(await call("CreatePullThroughCacheRule", made), "ok");
  });
  const get = (tag: string) => sts.server.request("GET", `/v2/${prefix}/app/manifests/${tag}`);

  test("by redirects", async () => {
    for (const [at, location] of inside.entries()) {
      upstream.misbehave((_request, response) => response.writeHead(307, { location }).end());
      const answer = await get(`r${at}`);
      assert.ok(answer.status >= 400, location);
      assert.doesNotMatch(answer.body.toString(), /169\.254|127\.0|10\.0\.0|not public/, location);
    }
  });

  test("by the place where tokens are made, which is shown no password unless it is the registry's own", async () => {
    for (const [at, realm] of [...inside, `http://${elsewhere.host}/token`].entries()) {
      upstream.misbehave((_request, response) =>
        response.writeHead(401, { "www-authenticate": `Bearer realm="${realm}",service="x"` }).end(),
      );
      const answer = await get(`t${at}`);
      assert.ok(answer.status >= 400, realm);
      assert.doesNotMatch(answer.body.toString(), /169\.254|127\.0|10\.0\.0|not public/, realm);
    }
    assert.match(elsewhere.asked.join(), /^GET \/token\?service=x&scope=/);
    assert.deepEqual(elsewhere.shown, [undefined]);
  });

  test("and what was tried tells no password and no address in the change log", async () => {
    const { rows } = await sql<{ after: string | null }>`select after from change where kind = 'pull-through'`.execute(
      sts.server.core.metadata.read,
    );
    assert.ok(rows.length > inside.length);
    for (const { after: text } of rows) assert.doesNotMatch(text ?? "", new RegExp(`${password}|169\\.254|not public|\\bapp@`));
  });
});
