/** The features of ECR beyond pushing and pulling, used against it: copies, templates, the archive, mounts, and pages of others. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { sql } from "kysely";
import { namedTagKey } from "#access/condition-keys.ts";
import { makeIdentity, makeUserKey } from "#access/testing/identities.ts";
import { putAccountSetting } from "#registry/account-setting.ts";
import { putRegistryPolicy } from "#registry/registry-policy.ts";
import { archiveManifests } from "#registry/storage-class.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { makeImage, makeIndex } from "../fixtures/oci-content.ts";
import type { ManifestContent } from "../fixtures/oci-content.ts";
import { startRegistryServer } from "../registry-server.ts";
import type { Answer, RegistryServer, RequestOptions } from "../registry-server.ts";
import { callEcr, callJson } from "../signed-call.ts";
import { callersOf, deny, foreignAccount } from "./callers.ts";
import type { HeldCredentials, MatrixCaller } from "./callers.ts";

let server: RegistryServer;
let callers: ReturnType<typeof callersOf>;
let registry: { readonly accountId: string; readonly region: string };
const image = makeImage({ seed: "first" });
const other = makeImage({ seed: "second" });

before(async () => {
  server = await startRegistryServer();
  callers = callersOf(server);
  registry = { accountId: server.accountId, region: server.region };
  for (const name of ["team/shop", "team/hidden"]) {
    await server.createRepository(name);
    await server.push(name, image, "latest");
    await server.push(name, other);
  }
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

const arn = (name: string): string => `arn:aws:ecr:${server.region}:${server.accountId}:repository/${name}`;
const context = () => ({ core: server.core, actor: server.principal, requestId: "test" });
const allow = (action: string | readonly string[], name = "*"): object => ({
  Effect: "Allow",
  Action: action,
  Resource: name === "*" ? "*" : arn(name),
});

/** The exception of an answer, or `ok`. */
const outcomeOf = (answer: Answer): string => (answer.status === 200 ? "ok" : answer.json<{ __type: string }>().__type);

async function call(operation: string, input: object, credentials: HeldCredentials = server.credentials): Promise<string> {
  return outcomeOf(await callEcr(server, operation, input, { credentials }));
}

function ask(caller: MatrixCaller, method: string, target: string, options: RequestOptions = {}): Promise<Answer> {
  return server.request(method, target, { ...options, authorization: callers.authorizationOf(caller) });
}

async function tags(): Promise<unknown> {
  return (await sql`select repository_id, name, manifest_id, tagged_at from tag order by tag_id`.execute(server.core.metadata.read)).rows;
}

const replicaOf = (manifest: ManifestContent, repositoryName: string, more: object = {}): object => ({
  registryId: server.accountId,
  repositoryName,
  sourceRegistryId: server.accountId,
  sourceRegion: "us-east-1",
  imageDigest: manifest.digest,
  imageManifest: manifest.bytes.toString("utf8"),
  imageManifestMediaType: manifest.mediaType,
  imageTags: [{ imageTag: "latest", version: server.core.clock.now() + 1_000 }],
  ...more,
});

async function own(caller: MatrixCaller, operation: "StartReplica" | "PutReplica", input: object): Promise<string> {
  const { credentials } = caller;
  return outcomeOf(await callJson(server, `Supercargo_V1.${operation}`, input, { credentials, service: "ecr" }));
}

const startOf = (repositoryName: string, more: object = {}): object => {
  const { registryId, sourceRegistryId, sourceRegion } = replicaOf(image, repositoryName) as Record<string, string>;
  return { registryId, repositoryName, sourceRegistryId, sourceRegion, imageTags: [], layerDigests: [], ...more };
};

describe("the right to bring copies", () => {
  let replicator: MatrixCaller;
  before(async () => void (replicator = await callers.user("replicator", allow("ecr:ReplicateImage", "team/shop"))));

  test("is no other right, and other rights are not it", async () => {
    const before = await tags();
    const everythingElse = await callers.user("everything-else", allow("*"), deny("ecr:ReplicateImage"));
    assert.equal(await own(everythingElse, "StartReplica", startOf("team/shop")), "AccessDeniedException");
    assert.equal(await own(everythingElse, "PutReplica", replicaOf(other, "team/shop")), "AccessDeniedException");
    for (const name of ["team/hidden", "team/shop/x", "team"]) {
      assert.equal(await own(replicator, "StartReplica", startOf(name)), "AccessDeniedException", name);
      assert.equal(await own(replicator, "PutReplica", replicaOf(other, name)), "AccessDeniedException", name);
    }
    const [layer] = image.layers;
    assert.ok(layer !== undefined);
    const put = { body: other.bytes, headers: { "Content-Type": other.mediaType } };
    for (const [method, path, options] of [
      ["PUT", "manifests/latest", put],
      ["PUT", `manifests/${other.digest}?tag=latest`, put],
      ["GET", "manifests/latest"],
      ["DELETE", "manifests/latest"],
      ["GET", `blobs/${layer.digest}`],
      ["HEAD", `blobs/${layer.digest}`],
      ["DELETE", `blobs/${layer.digest}`],
      ["POST", `blobs/uploads/?digest=${layer.digest}`, { body: layer.bytes }],
      ["GET", "tags/list"],
    ] as const)
      assert.equal((await ask(replicator, method, `/v2/team/shop/${path}`, options)).status, 403, `${method} ${path}`);
    assert.equal((await ask(replicator, "POST", `/v2/team/shop/blobs/uploads/?mount=${layer.digest}&from=team/hidden`)).status, 202);
    assert.deepEqual(await tags(), before);
  });

  test("makes no repository without the right to make it", async () => {
    const caller = await callers.user("anywhere", allow("ecr:ReplicateImage"));
    assert.equal(await own(caller, "StartReplica", startOf("team/made")), "AccessDeniedException");
    assert.equal(await own(caller, "PutReplica", replicaOf(other, "team/made")), "RepositoryNotFoundException");
    assert.equal((await ask(caller, "POST", "/v2/team/made/blobs/uploads/")).status, 404);
  });

  test("moves no tag that a policy forbids, among however many", async () => {
    const before = await tags();
    const guard = { ...deny("ecr:ReplicateImage"), Condition: { StringEquals: { [namedTagKey]: "latest" } } };
    const caller = await callers.user("guarded", allow("ecr:ReplicateImage"), guard);
    const version = server.core.clock.now() + 1_000;
    for (const names of [["latest"], ["a", "latest"], ["latest", "a"], ["a", "latest", "b"]]) {
      const imageTags = names.map((imageTag) => ({ imageTag, version }));
      assert.equal(await own(caller, "PutReplica", replicaOf(other, "team/shop", { imageTags })), "AccessDeniedException", names.join());
      assert.equal(await own(caller, "StartReplica", startOf("team/shop", { imageTags: names })), "AccessDeniedException", names.join());
    }
    assert.deepEqual(await tags(), before);
  });

  test("takes no content for another, and no upload of others", async () => {
    const before = await tags();
    const wrong: readonly object[] = [
      { imageDigest: other.digest },
      { imageManifestMediaType: "application/vnd.oci.image.index.v1+json" },
      { imageTags: [{ imageTag: "latest", version: server.core.clock.now() + 2 * 86_400_000 }] },
      { imageTags: [{ imageTag: "../latest", version: 1 }] },
      {
        imageManifest: makeImage({ seed: "without its blobs" }).bytes.toString(),
        imageDigest: makeImage({ seed: "without its blobs" }).digest,
      },
    ];
    for (const more of wrong)
      assert.notEqual(await own(replicator, "PutReplica", replicaOf(image, "team/shop", more)), "ok", JSON.stringify(more));
    const opened = await server.request("POST", "/v2/team/shop/blobs/uploads/");
    const path = new URL(String(opened.headers.location), server.url).pathname;
    for (const [method, query] of [
      ["GET", ""],
      ["PATCH", ""],
      ["PUT", `?digest=${image.config.digest}`],
    ] as const)
      assert.equal((await ask(replicator, method, path + query)).status, 404, method);
    assert.equal((await ask(replicator, "DELETE", path)).status, 403);
    assert.deepEqual(await tags(), before);
  });

  test("is not lent by a peer's key to accounts of the peer that the destination has not let in", async () => {
    const before = await tags();
    const tenant = { sourceRegistryId: "333333333333" };
    const key = await callers.user("peer", allow(["ecr:ReplicateImage", "ecr:CreateRepository"]));
    assert.equal(await own(key, "StartReplica", startOf("team/shop", tenant)), "AccessDeniedException");
    assert.equal(await own(key, "StartReplica", startOf("team/tenant", tenant)), "AccessDeniedException");
    assert.equal(await own(key, "PutReplica", replicaOf(other, "team/shop", tenant)), "AccessDeniedException");
    assert.deepEqual(await tags(), before);
    const policy = async (...actions: readonly string[]): Promise<void> => {
      const principal = { AWS: `arn:aws:iam::${tenant.sourceRegistryId}:root` };
      const statement = { Sid: "Tenant", Effect: "Allow", Principal: principal, Action: actions, Resource: arn("team/*") };
      const document = JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
      await putRegistryPolicy(context(), registry, { document, principals: {} });
    };
    await policy("ecr:ReplicateImage");
    assert.equal(await own(key, "StartReplica", startOf("team/shop", tenant)), "ok");
    assert.equal(await own(key, "StartReplica", startOf("team/tenant", tenant)), "AccessDeniedException", "it makes no repository");
    await policy("ecr:ReplicateImage", "ecr:CreateRepository");
    assert.equal(await own(key, "StartReplica", startOf("team/tenant", tenant)), "ok");
    assert.equal(await own(key, "PutReplica", replicaOf(other, "team/shop", { ...tenant, imageTags: [] })), "ok");
  });
});

test("a role in a template does nothing new for who may not pass it", async () => {
  const roleArn = `arn:aws:iam::${server.accountId}:role/Maker`;
  const template = { prefix: "made", appliedFor: ["CREATE_ON_PUSH"], customRoleArn: roleArn };
  assert.equal(await call("CreateRepositoryCreationTemplate", template), "ok");
  const { credentials } = await callers.user("templates", allow("ecr:*"));
  const update = (more: object): Promise<string> => call("UpdateRepositoryCreationTemplate", { prefix: "made", ...more }, credentials);
  for (const more of [
    { resourceTags: [{ Key: "team", Value: "admin" }] },
    { encryptionConfiguration: { encryptionType: "KMS" } },
    { appliedFor: ["REPLICATION"] },
    { customRoleArn: roleArn },
  ])
    assert.equal(await update(more), "AccessDeniedException", JSON.stringify(more));
  assert.equal(await update({ description: "nothing that the role does" }), "ok");
  const passing = { Effect: "Allow", Action: "iam:PassRole", Resource: roleArn };
  const passer = await callers.user("passer", allow("ecr:*"), passing);
  const tag = { prefix: "made/", resourceTags: [{ Key: "team", Value: "admin" }] };
  assert.equal(await call("UpdateRepositoryCreationTemplate", tag, credentials), "AccessDeniedException", "however the prefix is written");
  assert.equal(await call("UpdateRepositoryCreationTemplate", tag, passer.credentials), "ok");
});

test("what is in the archive is read in no other way", async () => {
  const name = "cold/app";
  await server.createRepository(name);
  await server.createRepository("cold/other");
  const archived = makeImage({ seed: "archived" });
  const [layer] = archived.layers;
  assert.ok(layer !== undefined);
  await server.push(name, archived, "v1");
  const url = await callEcr(server, "GetDownloadUrlForLayer", { repositoryName: name, layerDigest: layer.digest });
  const ticket = new URL(url.json<{ downloadUrl: string }>().downloadUrl).pathname;
  assert.equal((await server.request("GET", ticket, { authorization: null })).status, 200);
  const { archived: done } = await archiveManifests(context(), registry, name as RepositoryName, [archived.digest]);
  assert.deepEqual(done, [archived.digest]);
  for (const method of ["GET", "HEAD"])
    for (const path of ["manifests/v1", `manifests/${archived.digest}`, `blobs/${layer.digest}`, `blobs/${archived.config.digest}`])
      assert.equal((await server.request(method, `/v2/${name}/${path}`)).status, 404, `${method} ${path}`);
  assert.equal((await server.request("GET", ticket, { authorization: null })).status, 404);
  for (const from of [`&from=${name}`, ""])
    assert.equal((await server.request("POST", `/v2/cold/other/blobs/uploads/?mount=${layer.digest}${from}`)).status, 202);
  assert.equal(await call("GetDownloadUrlForLayer", { repositoryName: name, layerDigest: layer.digest }), "LayerInaccessibleException");
  const batch = await callEcr(server, "BatchGetImage", { repositoryName: name, imageIds: [{ imageTag: "v1" }] });
  assert.deepEqual(batch.json<{ images: unknown[] }>().images, []);
  // Neither does another manifest open it: an index of it, or another image of the same layers.
  const index = makeIndex([archived]);
  const same = Buffer.from(JSON.stringify({ ...JSON.parse(archived.bytes.toString()), annotations: { again: "yes" } }));
  for (const [bytes, type] of [
    [index.bytes, index.mediaType],
    [same, archived.mediaType],
  ] as const) {
    const answer = await server.request("PUT", `/v2/${name}/manifests/v2`, { body: bytes, headers: { "Content-Type": type } });
    assert.equal(answer.status, 404, answer.message);
  }
});

test("where mounting is switched off, a mount tells nothing of what is elsewhere", async () => {
  const [layer] = image.layers;
  assert.ok(layer !== undefined);
  await server.createRepository("mount/target");
  const absent = `sha256:${"0".repeat(64)}`;
  const shape = async (query: string): Promise<string> => {
    const { status, headers, body } = await server.request("POST", `/v2/mount/target/blobs/uploads/?${query}`);
    const id = String(headers["docker-upload-uuid"]);
    const { date: _date, "x-amzn-requestid": _request, ...rest } = headers;
    return JSON.stringify([status, rest, body.toString()]).replaceAll(id, "<id>");
  };
  await putAccountSetting(context(), registry, "BLOB_MOUNTING", "DISABLED");
  const answers = [];
  for (const digest of [layer.digest, absent])
    for (const from of ["&from=team/hidden", "&from=team/never", ""]) answers.push(await shape(`mount=${digest}${from}`));
  assert.equal(new Set(answers).size, 1, answers.join("\n"));
  assert.match(answers[0] ?? "", /^\[202,/);
  await putAccountSetting(context(), registry, "BLOB_MOUNTING", "ENABLED");
});

test("a page token opens nothing but the next page of its own listing, for its own account", async () => {
  await server.addAccount(foreignAccount);
  const { metadata, sealer } = server.core;
  const { identityId } = await makeIdentity(metadata, { accountId: foreignAccount, kind: "user", name: "stranger", inline: [allow("*")] });
  const stranger = await makeUserKey(metadata, sealer, foreignAccount, identityId);
  for (const n of [1, 2]) {
    const prefix = `page${n}`;
    assert.equal(await call("CreatePullThroughCacheRule", { ecrRepositoryPrefix: prefix, upstreamRegistryUrl: "quay.io" }), "ok");
    assert.equal(await call("CreateRepositoryCreationTemplate", { prefix, appliedFor: ["REPLICATION"] }), "ok");
    const principalArn = `arn:aws:iam::${server.accountId}:user/page${n}`;
    assert.equal(await call("RegisterPullTimeUpdateExclusion", { principalArn }), "ok");
    for (const name of ["team/shop", "team/hidden"]) await server.push(name, makeImage({ seed: `referrer${n}`, subject: image }));
  }
  const referrers = (repositoryName: string) => ({ repositoryName, subjectId: { imageDigest: image.digest } });
  const listings: readonly (readonly [string, object])[] = [
    ["DescribePullThroughCacheRules", {}],
    ["DescribeRepositoryCreationTemplates", {}],
    ["ListPullTimeUpdateExclusions", {}],
    ["ListImageReferrers", referrers("team/shop")],
    ["ListImageReferrers", referrers("team/hidden")],
    ["ListImages", { repositoryName: "team/shop" }],
    ["DescribeRepositories", {}],
  ];
  const tokens: string[] = [];
  for (const [operation, input] of listings) {
    const { nextToken } = (await callEcr(server, operation, { ...input, maxResults: 1 })).json<{ nextToken?: string }>();
    assert.ok(nextToken !== undefined, operation);
    assert.equal(await call(operation, { ...input, nextToken }), "ok", operation);
    tokens.push(nextToken);
  }
  for (const [at, [operation, input]] of listings.entries()) {
    for (const [from, nextToken] of tokens.entries())
      if (from !== at) assert.equal(await call(operation, { ...input, nextToken }), "InvalidParameterException", `${operation} ${from}`);
    assert.notEqual(await call(operation, { ...input, nextToken: tokens[at] }, stranger), "ok", operation);
    const inOtherRegion = await callEcr(server, operation, { ...input, nextToken: tokens[at] }, { region: "us-east-1" });
    assert.notEqual(inOtherRegion.status, 200, operation);
    for (const nextToken of ["x", `${tokens[at]}x`, `${tokens[at]?.slice(0, -2)}`, "A".repeat(5_000)])
      assert.equal(await call(operation, { ...input, nextToken }), "InvalidParameterException", operation);
  }
});
