import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { makeArtifact, makeImage } from "../../test/fixtures/oci-content.ts";
import { callersOf } from "../../test/authorization/callers.ts";
import { makeRole } from "#access/testing/identities.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { Answer, RegistryServer } from "../../test/registry-server.ts";
import { callEcr } from "../../test/signed-call.ts";

let server: RegistryServer;
let callers: ReturnType<typeof callersOf>;

const service = "ecr.amazonaws.com";
const trusting = { Effect: "Allow", Principal: { Service: service }, Action: "sts:AssumeRole" };

before(async () => {
  server = await startRegistryServer();
  callers = callersOf(server);
});
after(async () => {
  await server.close();
  assert.deepEqual(server.errors, []);
});

async function ecr<T>(operation: string, input: object): Promise<T> {
  const answer = await callEcr(server, operation, input);
  assert.equal(answer.status, 200, answer.body.toString());
  return answer.json<T>();
}

async function template(prefix: string, more: object = {}): Promise<void> {
  await ecr("CreateRepositoryCreationTemplate", { prefix, appliedFor: ["CREATE_ON_PUSH"], ...more });
}

async function exists(repositoryName: string): Promise<boolean> {
  return (await callEcr(server, "DescribeRepositories", { repositoryNames: [repositoryName] })).status === 200;
}

const post = (name: string, query = "", options: object = {}): Promise<Answer> =>
  server.request("POST", `/v2/${name}/blobs/uploads/${query}`, options);

test("each way to begin a push creates the repository, once", async () => {
  await template("made");
  const image = makeImage();
  const { config } = image;
  assert.equal((await post("made/upload")).status, 202);
  assert.equal((await post("made/whole", `?digest=${config.digest}`, { body: config.bytes })).status, 201);
  assert.equal((await server.request("GET", `/v2/made/whole/blobs/${config.digest}`)).body.compare(config.bytes), 0);
  assert.equal((await post("made/mount", `?mount=${config.digest}&from=made/whole`)).status, 201);
  const lone = makeArtifact({ layers: [], extra: { config: { mediaType: "a/b", digest: config.digest, size: config.bytes.byteLength } } });
  const put = { body: lone.bytes, headers: { "Content-Type": lone.mediaType } };
  // The repository is there now, and what the manifest names is not in it.
  assert.equal((await server.request("PUT", "/v2/made/manifest/manifests/latest", put)).code, "MANIFEST_BLOB_UNKNOWN");
  for (const name of ["made/upload", "made/whole", "made/mount", "made/manifest"]) assert.equal(await exists(name), true, name);
  await server.push("made/image", image, "latest");
  const many = await Promise.all(Array.from({ length: 20 }, () => post("made/together")));
  assert.deepEqual(new Set(many.map(({ status }) => status)), new Set([202]));
});

test("only a push creates, and only where a template for pushes covers the name", async () => {
  await template("quiet");
  await template("other", { appliedFor: ["REPLICATION", "PULL_THROUGH_CACHE"] });
  const image = makeImage();
  for (const [method, path] of [
    ["GET", "quiet/app/manifests/latest"],
    ["HEAD", "quiet/app/manifests/latest"],
    ["GET", `quiet/app/blobs/${image.digest}`],
    ["GET", "quiet/app/tags/list"],
    ["DELETE", "quiet/app/manifests/latest"],
    ["PUT", `quiet/app/blobs/uploads/x?digest=${image.digest}`],
  ] as const)
    assert.equal((await server.request(method, `/v2/${path}`)).status, 404, path);
  assert.equal((await callEcr(server, "InitiateLayerUpload", { repositoryName: "quiet/app" })).status, 400);
  assert.equal(await exists("quiet/app"), false);
  for (const name of ["other/app", "quiet", "quieter/app"]) {
    const answer = await post(name);
    assert.deepEqual([answer.status, answer.code], [404, "NAME_UNKNOWN"], name);
    assert.equal(await exists(name), false);
  }
});

test("who may not create gets the answer of a missing repository, with and without a template", async () => {
  await template("guarded", {
    resourceTags: [{ Key: "team", Value: "sea" }],
    customRoleArn: `arn:aws:iam::${server.accountId}:role/tagger`,
  });
  await makeRole(server.core.metadata, {
    accountId: server.accountId,
    name: "tagger",
    inline: [{ Effect: "Allow", Action: ["ecr:CreateRepository", "ecr:TagResource"], Resource: "*" }],
    trust: [trusting],
  });
  const push = { Effect: "Allow", Action: ["ecr:InitiateLayerUpload", "ecr:PutImage"], Resource: "*" };
  const create = { Effect: "Allow", Action: "ecr:CreateRepository", Resource: "*" };
  const tag = (team: string): object => ({
    Effect: "Allow",
    Action: "ecr:TagResource",
    Resource: "*",
    Condition: { StringEquals: { "aws:RequestTag/team": team } },
  });
  const rows: readonly (readonly [string, readonly object[], boolean])[] = [
    ["pusher", [push], false],
    ["creator", [push, create], false],
    ["stranger", [push, create, tag("land")], false],
    ["tagger", [push, create, tag("sea")], true],
  ];
  for (const [name, statements, isCreated] of rows) {
    const authorization = callers.authorizationOf(await callers.user(name, ...statements));
    const answers = [await post(`guarded/${name}`, "", { authorization }), await post(`nowhere/${name}`, "", { authorization })];
    assert.equal(answers[0]?.status, isCreated ? 202 : 404, name);
    assert.equal(await exists(`guarded/${name}`), isCreated, name);
    if (isCreated) continue;
    assert.equal(answers[0]?.message.replace("guarded", "nowhere"), answers[1]?.message);
  }
  const tags = await ecr<{ tags: object[] }>("ListTagsForResource", {
    resourceArn: `arn:aws:ecr:eu-central-1:${server.accountId}:repository/guarded/tagger`,
  });
  assert.deepEqual(tags.tags, [{ Key: "team", Value: "sea" }]);
});

test("everything that the template says is so from the beginning", async () => {
  const repositoryPolicy = JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Deny", Principal: "*", Action: "ecr:BatchDeleteImage" }],
  });
  const rule = {
    rulePriority: 1,
    selection: { tagStatus: "untagged", countType: "imageCountMoreThan", countNumber: 14 },
    action: { type: "expire" },
  };
  const lifecyclePolicy = JSON.stringify({ rules: [rule] });
  await template("full", {
    imageTagMutability: "IMMUTABLE_WITH_EXCLUSION",
    imageTagMutabilityExclusionFilters: [{ filterType: "WILDCARD", filter: "dev*" }],
    repositoryPolicy,
    lifecyclePolicy,
  });
  const image = makeImage();
  await server.push("full/app", image, "v1");
  const { repositories } = await ecr<{ repositories: object[] }>("DescribeRepositories", { repositoryNames: ["full/app"] });
  const [{ imageTagMutability, imageTagMutabilityExclusionFilters } = {}] = repositories as Record<string, unknown>[];
  assert.equal(imageTagMutability, "IMMUTABLE_WITH_EXCLUSION");
  assert.deepEqual(imageTagMutabilityExclusionFilters, [{ filterType: "WILDCARD", filter: "dev*" }]);
  const { policyText } = await ecr<{ policyText: string }>("GetRepositoryPolicy", { repositoryName: "full/app" });
  assert.equal(policyText, repositoryPolicy);
  const kept = await ecr<{ lifecyclePolicyText: string }>("GetLifecyclePolicy", { repositoryName: "full/app" });
  assert.equal(kept.lifecyclePolicyText, lifecyclePolicy);
  assert.equal((await server.request("DELETE", `/v2/full/app/manifests/${image.digest}`)).status, 403);
});
