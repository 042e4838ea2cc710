import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  BatchGetImageCommand,
  CreatePullThroughCacheRuleCommand,
  CreateRepositoryCreationTemplateCommand,
  DeletePullThroughCacheRuleCommand,
  DeleteRepositoryCommand,
  DescribePullThroughCacheRulesCommand,
  ECRClient,
  GetDownloadUrlForLayerCommand,
  UpdatePullThroughCacheRuleCommand,
  ValidatePullThroughCacheRuleCommand,
} from "@aws-sdk/client-ecr";
import type { CreatePullThroughCacheRuleCommandInput } from "@aws-sdk/client-ecr";
import { hasServiceLinkedRole } from "#identity/service-linked-role.ts";
import { deleteRole } from "#metadata/roles.ts";
import { createSecret, findSecret } from "#secrets/secret.ts";
import { secretArn } from "#secrets/secret-id.ts";
import { putSecretPolicy } from "#secrets/secret-policy.ts";
import { startUpstreamDouble } from "#pullthrough/testing/upstream-double.ts";
import type { UpstreamDouble } from "#pullthrough/testing/upstream-double.ts";
import { makeImage } from "../../../test/fixtures/oci-content.ts";
import { allowing, startStsServer, trusting } from "../../../test/sts-fixture.ts";
import type { SigningKey, StsServer } from "../../../test/sts-fixture.ts";

let sts: StsServer;
let upstream: UpstreamDouble;
let root: ECRClient;
let credentialArn: string;
const secretName = "ecr-pullthroughcache/hub";

before(async () => {
  upstream = await startUpstreamDouble();
  sts = await startStsServer({ trustedHosts: [upstream.host], domain: "cr.example" });
  root = clientOf(sts.server.credentials);
  credentialArn = await addSecret(secretName, '{"username":"alice","accessToken":"secret"}');
});

after(async () => {
  root.destroy();
  assert.deepEqual(sts.server.errors, []);
  await sts.close();
  await upstream.close();
});

function clientOf(credentials: SigningKey | { accessKeyId: string; secretAccessKey: string }, region = sts.server.region): ECRClient {
  return new ECRClient({ endpoint: sts.server.url, region, credentials, maxAttempts: 1 });
}

async function addSecret(name: string, text: string): Promise<string> {
  const { core, accountId, region } = sts.server;
  const ctx = { core, accountId, region };
  const made = await createSecret(ctx, {
    name,
    description: undefined,
    tags: [],
    value: { kind: "string", bytes: Buffer.from(text) },
    token: undefined,
  });
  return secretArn(made.secret);
}

const create = (input: Partial<CreatePullThroughCacheRuleCommandInput>, client = root) =>
  client.send(new CreatePullThroughCacheRuleCommand({ ecrRepositoryPrefix: "x1", upstreamRegistryUrl: "quay.io", ...input }));
const validate = (ecrRepositoryPrefix: string) => root.send(new ValidatePullThroughCacheRuleCommand({ ecrRepositoryPrefix }));
const refusedAs = (name: string, message?: RegExp) => (error: Error) => {
  assert.equal(error.name, name, error.message);
  if (message !== undefined) assert.match(error.message, message);
  return true;
};

test("a rule is made, described, changed and deleted", async () => {
  const made = await create({ ecrRepositoryPrefix: "life/", upstreamRegistryUrl: "registry-1.docker.io", credentialArn });
  const { $metadata: _made, createdAt, ...shown } = made;
  assert.ok(createdAt instanceof Date);
  const expected = {
    ecrRepositoryPrefix: "life/",
    upstreamRegistryUrl: "registry-1.docker.io",
    registryId: sts.server.accountId,
    upstreamRegistry: "docker-hub",
    credentialArn,
  };
  assert.deepEqual(shown, expected);
  const named = await root.send(new DescribePullThroughCacheRulesCommand({ ecrRepositoryPrefixes: ["life"] }));
  assert.deepEqual(named.pullThroughCacheRules, [{ ...expected, createdAt }]);
  await assert.rejects(create({ ecrRepositoryPrefix: "life" }), refusedAs("PullThroughCacheRuleAlreadyExistsException", /'life'/));
  const update = (more: object) => root.send(new UpdatePullThroughCacheRuleCommand({ ecrRepositoryPrefix: "life", ...more }));
  await assert.rejects(update({}), refusedAs("InvalidParameterException", /^Invalid input: Please set either credential arn or role arn/));
  const other = await addSecret("ecr-pullthroughcache/other", '{"username":"bob","accessToken":"x"}');
  const { $metadata: _updated, updatedAt, ...changed } = await update({ credentialArn: other });
  assert.ok(updatedAt instanceof Date);
  assert.deepEqual(changed, {
    ecrRepositoryPrefix: "life/",
    registryId: sts.server.accountId,
    credentialArn: other,
  });
  const gone = await root.send(new DeletePullThroughCacheRuleCommand({ ecrRepositoryPrefix: "life" }));
  assert.deepEqual([gone.credentialArn, gone.upstreamRegistryUrl], [other, "registry-1.docker.io"]);
  for (const call of [
    update({ credentialArn }),
    validate("life"),
    root.send(new DeletePullThroughCacheRuleCommand({ ecrRepositoryPrefix: "life" })),
  ])
    await assert.rejects(call, refusedAs("PullThroughCacheRuleNotFoundException", /prefix 'life' does not exist in the registry with id/));
});

test("what cannot be a rule is refused in ECR's words", async () => {
  const closed = await addSecret("ecr-pullthroughcache/closed", '{"username":"a","accessToken":"b"}');
  const ctx = { core: sts.server.core, accountId: sts.server.accountId, region: sts.server.region };
  const secret = await findSecret(ctx, closed);
  assert.ok(secret !== undefined);
  const denial = { Version: "2012-10-17", Statement: { Effect: "Deny", Principal: "*", Action: "*", Resource: "*" } };
  await putSecretPolicy(ctx, secret, { document: JSON.stringify(denial), principals: {} });
  const cases: readonly (readonly [Partial<CreatePullThroughCacheRuleCommandInput>, string, RegExp])[] = [
    [
      { upstreamRegistryUrl: "https://quay.io" },
      "UnsupportedUpstreamRegistryException",
      /^The upstream registry URL https:\/\/quay\.io is invalid/,
    ],
    [{ upstreamRegistryUrl: "169.254.169.254" }, "UnsupportedUpstreamRegistryException", /is invalid/],
    [{ upstreamRegistryUrl: "localhost:1" }, "UnsupportedUpstreamRegistryException", /is invalid/],
    [{ upstreamRegistryUrl: "http://10.0.0.1" }, "UnsupportedUpstreamRegistryException", /is invalid/],
    [{ upstreamRegistryUrl: "ghcr.io" }, "UnsupportedUpstreamRegistryException", /requires authentication/],
    [
      { credentialArn: credentialArn.replace("hub", "nil") },
      "SecretNotFoundException",
      /was not found\. Update the pull through cache rule/,
    ],
    [{ credentialArn: credentialArn.replace("eu-central-1", "us-east-1") }, "SecretNotFoundException", /was not found/],
    [{ credentialArn: closed }, "UnableToAccessSecretException", /cannot be accessed/],
    [{ ecrRepositoryPrefix: "ROOT", upstreamRepositoryPrefix: "team" }, "InvalidParameterException", /upstreamRepositoryPrefix/],
  ];
  for (const [input, name, message] of cases) await assert.rejects(create(input), refusedAs(name, message), JSON.stringify(input));
});

test("there are fifty rules at most, listed in pages", async () => {
  const { rules } = await fillRules();
  await assert.rejects(create({ ecrRepositoryPrefix: "one-more" }), refusedAs("LimitExceededException", /which is '50'$/));
  const seen: (string | undefined)[] = [];
  let nextToken: string | undefined;
  do {
    const page = await root.send(new DescribePullThroughCacheRulesCommand({ maxResults: 20, nextToken }));
    seen.push(...(page.pullThroughCacheRules ?? []).map(({ ecrRepositoryPrefix }) => ecrRepositoryPrefix));
    ({ nextToken } = page);
  } while (nextToken !== undefined);
  assert.deepEqual(seen, rules);
  for (const ecrRepositoryPrefix of rules) await root.send(new DeletePullThroughCacheRuleCommand({ ecrRepositoryPrefix }));
});

async function fillRules(): Promise<{ rules: string[] }> {
  const rules = Array.from({ length: 50 }, (_one, at) => `p${String(at).padStart(2, "0")}`);
  for (const ecrRepositoryPrefix of rules) await create({ ecrRepositoryPrefix });
  return { rules };
}

test("validation reads the secret and asks the upstream", async () => {
  const url = `http://${upstream.host}`;
  await create({ ecrRepositoryPrefix: "valid", upstreamRegistryUrl: url, credentialArn });
  await create({ ecrRepositoryPrefix: "nobody", upstreamRegistryUrl: url });
  const basic = `Basic ${Buffer.from("alice:secret").toString("base64")}`;
  upstream.misbehave((request, response) => {
    if (request.headers.authorization === basic) return false;
    response.writeHead(401, { "www-authenticate": "Basic" }).end();
    return true;
  });
  const { $metadata: _metadata, ...shown } = await validate("valid");
  assert.deepEqual(shown, {
    ecrRepositoryPrefix: "valid",
    registryId: sts.server.accountId,
    upstreamRegistryUrl: url,
    credentialArn,
    isValid: true,
  });
  assert.equal((await validate("nobody")).isValid, true, "without credentials it only has to answer");
  const failures: readonly (readonly [number, RegExp])[] = [
    [401, /denied the credentials/],
    [429, /limits requests/],
    [500, /status 500/],
  ];
  for (const [status, failure] of failures) {
    upstream.misbehave((_request, response) => response.writeHead(status).end());
    const answer = await validate("valid");
    assert.equal(answer.isValid, false);
    assert.match(answer.failure ?? "", failure);
  }
  const broken = await addSecret("ecr-pullthroughcache/broken", '{"username":"alice"}');
  await create({ ecrRepositoryPrefix: "broken", upstreamRegistryUrl: url, credentialArn: broken });
  assert.match((await validate("broken")).failure ?? "", /'username' and 'accessToken'/);
  upstream.misbehave((_request, response) => response.destroy());
  assert.match((await validate("nobody")).failure ?? "", /cannot be reached/);
  upstream.misbehave(undefined);
});

test("who pulls first needs the permissions for it, and gets none by it", async () => {
  await create({ ecrRepositoryPrefix: "guarded", upstreamRegistryUrl: `http://${upstream.host}` });
  const image = makeImage({ seed: "guarded" });
  upstream.serve("app", { manifest: image, blobs: [image.config, ...image.layers], tags: ["v1"] });
  const pull = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
  const get = async (key: SigningKey) =>
    clientOf(key).send(new BatchGetImageCommand({ repositoryName: "guarded/app", imageIds: [{ imageTag: "v1" }] }));
  const reader = await sts.addUser({ name: "reader", inline: [allowing(pull)] });
  await assert.rejects(get(reader), refusedAs("RepositoryNotFoundException"));
  const creator = await sts.addUser({ name: "creator", inline: [allowing([...pull, "ecr:CreateRepository"])] });
  assert.deepEqual(
    (await get(creator)).failures?.map(({ failureCode }) => failureCode),
    ["ImageNotFound"],
  );
  const puller = await sts.addUser({
    name: "puller",
    inline: [allowing([...pull, "ecr:CreateRepository", "ecr:BatchImportUpstreamImage"])],
  });
  const got = await get(puller);
  assert.deepEqual(
    got.images?.map(({ imageManifest }) => imageManifest),
    [image.bytes.toString()],
  );
  const [layer] = image.layers;
  const ask = new GetDownloadUrlForLayerCommand({ repositoryName: "guarded/app", layerDigest: layer?.digest });
  const { downloadUrl } = await clientOf(puller).send(ask);
  const path = new URL(downloadUrl ?? "").pathname;
  assert.deepEqual((await sts.server.request("GET", path)).body, layer?.bytes);
  assert.equal((await get(reader)).images?.length, 1, "what is here is for everybody who may read here");
  const remove = clientOf(puller).send(new DeleteRepositoryCommand({ repositoryName: "guarded/app", force: true }));
  await assert.rejects(remove, refusedAs("AccessDeniedException"));
});

test("who pulls first gives the repository the tags of its template, and needs to be allowed to", async () => {
  await create({ ecrRepositoryPrefix: "tagged", upstreamRegistryUrl: `http://${upstream.host}` });
  const image = makeImage({ seed: "tagged" });
  upstream.serve("app", { manifest: image, blobs: [image.config, ...image.layers], tags: ["v2"] });
  const trust = trusting({ Service: "ecr.amazonaws.com" }, ["sts:AssumeRole"]);
  const making = ["ecr:CreateRepository", "ecr:TagResource"];
  const role = await sts.addRole({ name: "Tagger", trust: [trust], inline: [allowing(making)] });
  await root.send(
    new CreateRepositoryCreationTemplateCommand({
      prefix: "tagged",
      appliedFor: ["PULL_THROUGH_CACHE"],
      resourceTags: [{ Key: "team", Value: "red" }],
      customRoleArn: role.arn,
    }),
  );
  const base = allowing(["ecr:BatchGetImage", "ecr:BatchImportUpstreamImage"]);
  const withTag = (actions: readonly string[], team: string) => ({
    ...allowing(actions),
    Condition: { StringEquals: { "aws:RequestTag/team": team } },
  });
  const get = new BatchGetImageCommand({ repositoryName: "tagged/app", imageIds: [{ imageTag: "v2" }] });
  const refused = [
    [allowing(["ecr:CreateRepository"])],
    [allowing(["ecr:CreateRepository"]), withTag(["ecr:TagResource"], "blue")],
    [withTag(making, "blue")],
  ];
  for (const [place, inline] of refused.entries()) {
    const user = await sts.addUser({ name: `untagged${place}`, inline: [base, ...inline] });
    await assert.rejects(clientOf(user).send(get), refusedAs("RepositoryNotFoundException"));
  }
  const tagger = await sts.addUser({ name: "tagger", inline: [base, withTag(making, "red")] });
  assert.equal((await clientOf(tagger).send(get)).images?.length, 1);
});

test("the first rule makes the role of the service, and its author must be allowed to", async () => {
  const { core, accountId } = sts.server;
  await deleteRole(core.metadata, { accountId, name: "AWSServiceRoleForECRPullThroughCache", isLinked: true });
  const author = await sts.addUser({ name: "author", inline: [allowing(["ecr:*"])] });
  const rule = { ecrRepositoryPrefix: "first-of-all", upstreamRegistryUrl: "public.ecr.aws" };
  await assert.rejects(create(rule, clientOf(author)), refusedAs("AccessDeniedException", /to perform: iam:CreateServiceLinkedRole/));
  const linker = await sts.addUser({ name: "linker", inline: [allowing(["ecr:*", "iam:CreateServiceLinkedRole"])] });
  await create(rule, clientOf(linker));
  assert.equal(await hasServiceLinkedRole({ core, accountId }, "pullthroughcache.ecr.amazonaws.com"), true);
  await create({ ...rule, ecrRepositoryPrefix: "second" }, clientOf(author));
});

test("what an upstream does not give is told image by image", async () => {
  await create({ ecrRepositoryPrefix: "failing", upstreamRegistryUrl: `http://${upstream.host}` });
  upstream.misbehave((request, response) => {
    const status = /s(\d+)$/.exec(request.url ?? "")?.[1];
    if (status === undefined) return false;
    response.writeHead(Number(status)).end();
    return true;
  });
  const imageIds = ["s403", "s429", "s503", "s404"].map((imageTag) => ({ imageTag }));
  const { failures, images } = await root.send(new BatchGetImageCommand({ repositoryName: "failing/app", imageIds }));
  assert.deepEqual(images, []);
  const codes = Object.fromEntries((failures ?? []).map(({ imageId, failureCode }) => [imageId?.imageTag, failureCode]));
  assert.deepEqual(codes, {
    s403: "UpstreamAccessDenied",
    s429: "UpstreamTooManyRequests",
    s503: "UpstreamUnavailable",
    s404: "ImageNotFound",
  });
  upstream.misbehave(undefined);
});

test("a registry of this deployment is an upstream for who has a role that may read there", async () => {
  const image = makeImage({ seed: "own-upstream" });
  await sts.server.createRepository("source/app");
  await sts.server.push("source/app", image, "v1");
  const elsewhere = clientOf(sts.server.credentials, "us-east-1");
  const trust = trusting({ Service: "pullthroughcache.ecr.amazonaws.com" }, ["sts:AssumeRole"]);
  const role = await sts.addRole({
    name: "Fetcher",
    trust: [trust],
    inline: [allowing(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"])],
  });
  const powerless = await sts.addRole({ name: "Powerless", trust: [trust] });
  const untrusting = await sts.addRole({ name: "Untrusting" });
  const upstreamRegistryUrl = `${sts.server.accountId}.dkr.ecr.${sts.server.region}.cr.example`;
  const pulled = async (prefix: string, customRoleArn: string | undefined) => {
    await create({ ecrRepositoryPrefix: prefix, upstreamRegistryUrl, upstreamRegistry: "ecr", customRoleArn }, elsewhere);
    const asked = new BatchGetImageCommand({ repositoryName: `${prefix}/source/app`, imageIds: [{ imageTag: "v1" }] });
    const { images, failures } = await elsewhere.send(asked);
    return images?.[0]?.imageManifest === image.bytes.toString() ? "pulled" : failures?.[0]?.failureCode;
  };
  assert.equal(await pulled("by-role", role.arn), "pulled");
  assert.equal(await pulled("by-account", undefined), "pulled");
  assert.equal(await pulled("powerless", powerless.arn), "UpstreamAccessDenied");
  assert.equal(await pulled("untrusting", untrusting.arn), "UpstreamAccessDenied");
  const check = async (ecrRepositoryPrefix: string) =>
    (await elsewhere.send(new ValidatePullThroughCacheRuleCommand({ ecrRepositoryPrefix }))).isValid;
  assert.deepEqual([await check("by-role"), await check("by-account"), await check("untrusting")], [true, true, false]);
  const writer = await sts.addUser({ name: "writer", inline: [allowing(["ecr:*"])] });
  const give = create({ ecrRepositoryPrefix: "given", upstreamRegistryUrl, customRoleArn: role.arn }, clientOf(writer, "us-east-1"));
  await assert.rejects(give, refusedAs("AccessDeniedException", /iam:PassRole/));
});
