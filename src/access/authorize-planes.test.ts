/** Decisions as clients of both planes see them. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { issueSession } from "#identity/session.ts";
import type { Session } from "#metadata/sessions.ts";
import { putRepositoryPolicy } from "#metadata/resource-policies.ts";
import { makeBlob, makeImage } from "../../test/fixtures/oci-content.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { RegistryServer, RequestOptions } from "../../test/registry-server.ts";
import { callEcr } from "../../test/signed-call.ts";
import type { AccessKey } from "#identity/key-material.ts";
import { principalStillActive } from "./access.ts";
import type { Principal } from "./principal.ts";
import { documentOf, makeIdentity, makePolicy, makeUserKey, removeUser } from "./testing/identities.ts";
import type { IdentityOfTest } from "./testing/identities.ts";

const foreign = "222222222222";
const image = makeImage({ seed: 1 });
const pullOnly = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly";
const powerUser = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPowerUser";
const everything = [{ Effect: "Allow", Action: "ecr:*", Resource: "*" }];

let server: RegistryServer;

before(async () => {
  server = await startRegistryServer();
  for (const name of ["team/app", "team/shared", "secret/app"]) {
    await server.createRepository(name);
    await server.push(name, image, "v1");
  }
  await server.addAccount(foreign);
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

interface Client {
  readonly principal: Principal;
  readonly credentials: AccessKey;
  readonly identityId: number;
  readonly docker: RequestOptions;
}

let counter = 0;

async function makeClient(asked: Partial<IdentityOfTest>): Promise<Client> {
  const { metadata, sealer } = server.core;
  const accountId = asked.accountId ?? server.accountId;
  const user = await makeIdentity(metadata, { name: `user${(counter += 1)}`, ...asked, accountId, kind: "user" });
  const credentials = await makeUserKey(metadata, sealer, accountId, user.identityId);
  return clientOf(credentials, user.uniqueId, user.identityId);
}

async function clientOf(credentials: AccessKey, principalId: string, identityId: number): Promise<Client> {
  const principal = await principalStillActive(server.access, { principalId, accessKeyId: credentials.accessKeyId });
  assert.ok(principal);
  return { principal, credentials, identityId, docker: { authorization: server.authorization({ principal }) } };
}

const arnOf = (name: string): string => `arn:aws:ecr:${server.region}:${server.accountId}:repository/${name}`;

function sentence(client: Client, action: string, name: string, reason: string): string {
  return `User: ${client.principal.arn} is not authorized to perform: ${action} on resource: ${arnOf(name)} ${reason}`;
}

/** Status and text of a pull by tag, on the data plane and on the control plane. */
async function pulls(client: Client, name = "team/app"): Promise<readonly (readonly [number, string])[]> {
  const body = { registryId: server.accountId, repositoryName: name, imageIds: [{ imageTag: "v1" }] };
  const docker = await server.request("GET", `/v2/${name}/manifests/v1`, client.docker);
  const api = await callEcr(server, "BatchGetImage", body, { credentials: client.credentials });
  return [
    [docker.status, docker.message],
    [api.status, api.json<{ message?: string }>().message ?? ""],
  ];
}

const allowed = [
  [200, ""],
  [200, ""],
];

test("who may only pull pulls, and is refused a push in AWS's words on both planes", async () => {
  const client = await makeClient({ attached: [pullOnly] });
  assert.deepEqual(await pulls(client), allowed);
  const layer = image.layers[0]?.digest ?? "";
  for (const method of ["HEAD", "GET"])
    assert.equal((await server.request(method, `/v2/team/app/blobs/${layer}`, client.docker)).status, 200, method);
  const reason = (action: string): string => `because no identity-based policy allows the ${action} action`;
  const start = await server.request("POST", "/v2/team/app/blobs/uploads/", client.docker);
  const initiate = "ecr:InitiateLayerUpload";
  assert.deepEqual([start.status, start.code, start.message], [403, "DENIED", sentence(client, initiate, "team/app", reason(initiate))]);
  for (const [method, action] of [
    ["PUT", "ecr:PutImage"],
    ["DELETE", "ecr:BatchDeleteImage"],
  ] as const) {
    const answer = await server.request(method, "/v2/team/app/manifests/v1", { ...client.docker, body: image.bytes });
    assert.deepEqual([answer.status, answer.message], [403, sentence(client, action, "team/app", reason(action))]);
  }
  const put = { repositoryName: "team/app", imageManifest: image.bytes.toString("utf8"), imageTag: "v2" };
  const api = await callEcr(server, "PutImage", put, { credentials: client.credentials });
  const { __type, message } = api.json<{ __type: string; message: string }>();
  assert.equal(api.status, 400);
  assert.match(__type, /AccessDeniedException$/);
  assert.equal(message, sentence(client, "ecr:PutImage", "team/app", reason("ecr:PutImage")));
});

test("another account pulls what a repository policy opens to it, and nothing else", async () => {
  const key = { accountId: server.accountId, region: server.region, name: "team/shared" };
  const actions = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
  const document = documentOf([{ Effect: "Allow", Principal: { AWS: `arn:aws:iam::${foreign}:root` }, Action: actions }]);
  const author = { principalArn: "test", requestId: "test", now: 0 };
  await putRepositoryPolicy(server.core.metadata, { key, document, principals: {}, author });
  const client = await makeClient({ accountId: foreign, attached: [powerUser] });
  assert.deepEqual(await pulls(client, "team/shared"), allowed);
  const reason = "because no resource-based policy allows the ecr:BatchGetImage action";
  const text = sentence(client, "ecr:BatchGetImage", "team/app", reason);
  assert.deepEqual(await pulls(client), [
    [403, text],
    [400, text],
  ]);
  assert.equal((await server.request("POST", "/v2/team/shared/blobs/uploads/", client.docker)).status, 403);
});

test("a deleted user's token is refused at once", async () => {
  const client = await makeClient({ attached: [powerUser] });
  assert.deepEqual(await pulls(client), allowed);
  await removeUser(server.core.metadata, client.identityId);
  const docker = await server.request("GET", "/v2/team/app/manifests/v1", client.docker);
  assert.equal(docker.status, 401);
});

test("a permissions boundary and a session policy limit on both planes", async () => {
  const { metadata } = server.core;
  const document = [{ Effect: "Allow", Action: "ecr:*", Resource: arnOf("team/*") }];
  const boundaryArn = await makePolicy(metadata, server.accountId, "team-only", document);
  const bounded = await makeClient({ inline: everything, boundaryArn });
  assert.deepEqual(await pulls(bounded), allowed);
  const action = "ecr:BatchGetImage";
  const denied = (client: Client, type: string): unknown => {
    const text = sentence(client, action, "secret/app", `because no ${type} allows the ${action} action`);
    return [
      [403, text],
      [400, text],
    ];
  };
  assert.deepEqual(await pulls(bounded, "secret/app"), denied(bounded, "permissions boundary"));

  const user = await makeIdentity(metadata, { accountId: server.accountId, kind: "user", name: "issuer", inline: everything });
  const kind: Session["kind"] = "federated";
  const credentials = await issueSession(
    { core: server.core, accountId: server.accountId },
    {
      kind,
      owner: { identityId: user.identityId, name: "issuer" },
      sessionName: "guest",
      lifetimeSeconds: 900,
      policies: [documentOf(document)],
    },
  );
  const session = await clientOf(credentials, `${server.accountId}:guest`, user.identityId);
  assert.deepEqual(await pulls(session), allowed);
  assert.deepEqual(await pulls(session, "secret/app"), denied(session, "session policy"));
});

test("a permission on some tags holds for tags in the path, beside a digest, and in the API", async () => {
  const condition = { StringLike: { "supercargo:ImageTag": "dev-*" } };
  const client = await makeClient({
    inline: [
      { Effect: "Allow", Action: "ecr:*", Resource: "*" },
      { Effect: "Deny", Action: "ecr:PutImage", Resource: "*", Condition: { StringNotLike: condition.StringLike } },
    ],
  });
  const put = async (reference: string): Promise<number> => {
    const options = { ...client.docker, body: image.bytes, headers: { "Content-Type": image.mediaType } };
    return (await server.request("PUT", `/v2/team/app/manifests/${reference}`, options)).status;
  };
  assert.equal(await put("dev-1"), 201);
  assert.equal(await put("latest"), 403);
  assert.equal(await put(image.digest), 403);
  assert.equal(await put(`${image.digest}?tag=dev-2`), 201);
  assert.equal(await put(`${image.digest}?tag=dev-2&tag=latest`), 403);
  assert.equal(await put(`${image.digest}?tag=latest&tag=dev-2`), 403);
  assert.equal(await put("latest?tag=dev-2"), 403);
  const api = async (imageTag: string): Promise<string> => {
    const body = { repositoryName: "team/app", imageManifest: makeImage({ seed: imageTag }).bytes.toString("utf8"), imageTag };
    return (await callEcr(server, "PutImage", body, { credentials: client.credentials })).json<{ __type?: string }>().__type ?? "";
  };
  assert.match(await api("latest"), /AccessDeniedException/);
  assert.match(await api("dev-3"), /LayersNotFoundException/);
});

test("a batch by tag and by digest needs the permission for both", async () => {
  const condition = { StringEquals: { "supercargo:ImageTag": "v1" } };
  const client = await makeClient({ inline: [{ Effect: "Allow", Action: "ecr:*", Resource: "*", Condition: condition }] });
  const get = async (imageIds: readonly object[]): Promise<number> =>
    (await callEcr(server, "BatchGetImage", { repositoryName: "team/app", imageIds }, { credentials: client.credentials })).status;
  assert.equal(await get([{ imageTag: "v1" }]), 200);
  assert.equal(await get([{ imageTag: "v1" }, { imageDigest: image.digest }]), 400);
  assert.equal(await get([{ imageTag: "v1" }, { imageTag: "v2" }]), 400);
});

test("a mount from a repository that the caller may not read answers like one from nowhere", async () => {
  const client = await makeClient({ inline: [{ Effect: "Allow", Action: "ecr:*", Resource: arnOf("team/*") }] });
  const blob = makeBlob(100, "only in secret");
  const whole = await server.request("POST", `/v2/secret/app/blobs/uploads/?digest=${blob.digest}`, { body: blob.bytes });
  assert.equal(whole.status, 201);
  for (const from of ["secret/app", "secret/none", "team/none"]) {
    const answer = await server.request("POST", `/v2/team/app/blobs/uploads/?mount=${blob.digest}&from=${from}`, client.docker);
    assert.equal(answer.status, 202, from);
  }
  const own = image.layers[0]?.digest ?? "";
  const mounted = await server.request("POST", `/v2/team/shared/blobs/uploads/?mount=${own}&from=team/app`, client.docker);
  assert.equal(mounted.status, 201);
});

test("the catalog shows what the caller may see, page by page", async () => {
  const names = async (client: Client, target: string): Promise<readonly unknown[]> => {
    const answer = await server.request("GET", target, client.docker);
    const link = /^<([^>]+)>; rel="next"$/.exec(String(answer.headers["link"] ?? ""))?.[1];
    return [answer.status, answer.status === 200 ? answer.json<{ repositories: string[] }>().repositories : answer.message, link];
  };
  const all = await makeClient({ attached: [powerUser] });
  assert.deepEqual(await names(all, "/v2/_catalog"), [200, ["secret/app", "team/app", "team/shared"], undefined]);
  const some = await makeClient({ inline: [{ Effect: "Allow", Action: "ecr:*", Resource: arnOf("team/*") }] });
  assert.deepEqual(await names(some, "/v2/_catalog"), [200, ["team/app", "team/shared"], undefined]);
  const [status, page, link] = await names(some, "/v2/_catalog?n=1");
  assert.deepEqual([status, page], [200, ["team/app"]]);
  assert.ok(typeof link === "string" && !link.includes("secret"));
  assert.deepEqual((await names(some, link)).slice(0, 2), [200, ["team/shared"]]);
  assert.equal((await names(some, link.replace("position=", "position=A")))[0], 400);
  const none = await makeClient({ attached: [pullOnly] });
  const reason = "because no identity-based policy allows the ecr:DescribeRepositories action";
  assert.deepEqual((await names(none, "/v2/_catalog")).slice(0, 2), [403, sentence(none, "ecr:DescribeRepositories", "*", reason)]);
});
