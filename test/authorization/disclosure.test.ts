/** What somebody who may not see a thing can learn about it: that it exists, least of all. Existing and missing must answer alike, to the byte. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { authorizationMessageHeader } from "#access/authorization-message.ts";
import { sealToken } from "#access/token.ts";
import { putRepositoryPolicy } from "#metadata/resource-policies.ts";
import { ecrOperations } from "../../src/api/ecr/table.ts";
import { ecrModel } from "../../src/api/ecr/service-model.ts";
import { routes } from "../../src/distribution/routes.ts";
import { makeImage, makeIndex } from "../fixtures/oci-content.ts";
import { callIam, iam } from "../iam-client.ts";
import { startRegistryServer } from "../registry-server.ts";
import type { Answer, RegistryServer, RequestOptions } from "../registry-server.ts";
import { callEcr } from "../signed-call.ts";
import { allowAll, callersOf, foreignAccount } from "./callers.ts";
import type { MatrixCaller } from "./callers.ts";
import { makeIdentity, makeUserKey } from "#access/testing/identities.ts";
import { principalStillActive } from "#access/access.ts";
import { sampleInput } from "./sample-input.ts";

let server: RegistryServer;
let callers: ReturnType<typeof callersOf>;
let strangers: Readonly<Record<string, MatrixCaller>>;
let visitor: MatrixCaller;
/** Of one length, so that even Content-Length must agree. */
const hidden = "hidden/app";
const missing = "hidden/xyz";
const open = "open/shop";
const secret = makeImage({ seed: "secret" });
const referrer = makeImage({ seed: "signature", subject: secret, artifactType: "application/vnd.test.signature" });
const known = makeImage({ seed: "known" });
const nowhere = `sha256:${"0".repeat(64)}`;

before(async () => {
  server = await startRegistryServer();
  callers = callersOf(server);
  await server.createRepository(hidden, { resourceTags: { team: "red" } });
  for (const name of [open, "hidden/a", "hidden/z", "open/bar"]) await server.createRepository(name);
  for (const manifest of [secret, referrer]) await server.push(hidden, manifest, manifest.digest, "latest");
  await server.push(open, known, "latest");
  const named = await callers.user("named");
  const statement = { Effect: "Allow", Principal: { AWS: named.principal.arn }, Action: "ecr:*" };
  await putRepositoryPolicy(server.core.metadata, {
    key: { accountId: server.accountId, region: server.region, name: hidden },
    document: JSON.stringify({ Version: "2012-10-17", Statement: [statement] }),
    principals: { [named.principal.arn]: named.principal.principalId },
    author: { principalArn: "test", requestId: "test", now: server.core.clock.now() },
  });
  await server.addAccount(foreignAccount);
  const byTag = { ...allowAll, Action: "ecr:*", Condition: { StringEquals: { "aws:ResourceTag/team": "blue" } } };
  visitor = await callers.user("visitor", { Effect: "Allow", Action: "ecr:*", Resource: arn("open/*") });
  strangers = {
    nobody: await callers.user("nobody"),
    visitor,
    "by another tag": await callers.user("blue", byTag),
    "a bound session": await callers.session("bound", [{ Effect: "Allow", Action: "ecr:*", Resource: arn("open/*") }]),
    "another account": await foreigner(),
  };
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

function arn(name: string): string {
  return `arn:aws:ecr:${server.region}:${server.accountId}:repository/${name}`;
}

/** A user of another account who may do everything there. */
async function foreigner(): Promise<MatrixCaller> {
  const { metadata, sealer } = server.core;
  const made = await makeIdentity(metadata, { accountId: foreignAccount, kind: "user", name: "foreign", inline: [allowAll] });
  const credentials = await makeUserKey(metadata, sealer, foreignAccount, made.identityId);
  const principal = await principalStillActive(server.access, { principalId: made.uniqueId, accessKeyId: credentials.accessKeyId });
  return { credentials, principal: principal ?? assert.fail() };
}

function ask(caller: MatrixCaller, method: string, target: string, options: RequestOptions = {}): Promise<Answer> {
  return server.request(method, target, { ...options, authorization: callers.authorizationOf(caller) });
}

function call(caller: MatrixCaller, operation: string, input: object): Promise<Answer> {
  const { sessionToken, ...credentials } = caller.credentials;
  const headers = sessionToken === undefined ? {} : { "X-Amz-Security-Token": sessionToken };
  return callEcr(server, operation, input, { credentials, headers });
}

/** An answer without what differs in any two, and with one word for what was asked about. */
function shape(answer: Answer, ...words: readonly string[]): string {
  const { date: _date, "x-amzn-requestid": _request, [authorizationMessageHeader]: sealed, ...headers } = answer.headers;
  const upload = String(headers["docker-upload-uuid"] ?? "no upload");
  // Of what is sealed everybody sees the length.
  const length = sealed?.length ?? "none";
  let text = JSON.stringify([answer.status, headers, length, answer.body.toString()]).replaceAll(upload, "<upload>");
  for (const word of words) text = text.replaceAll(word, "<it>").replaceAll(encodeURIComponent(word), "<it>");
  return text;
}

describe("whether a repository exists", () => {
  const rest: Readonly<Record<string, string>> = {
    tags: "tags/list",
    manifest: "manifests/latest",
    blob: `blobs/${secret.config.digest}`,
    uploads: "blobs/uploads/",
    upload: "blobs/uploads/6b2c3c1e-7a55-4ac1-8f0f-0d5c6c2f8f11",
    referrers: `referrers/${secret.digest}`,
  };

  test("no route tells who may not know", async () => {
    const asked = routes.filter(({ resource, credentials }) => resource === "repository" && credentials === "token");
    assert.ok(asked.length > 10);
    for (const [who, caller] of Object.entries(strangers))
      for (const { method, path } of asked) {
        const [real, none] = [
          await ask(caller, method, `/v2/${hidden}/${rest[path]}`),
          await ask(caller, method, `/v2/${missing}/${rest[path]}`),
        ];
        assert.equal(real.status, 403, `${who}: ${method} ${path}`);
        assert.equal(String(real.headers[authorizationMessageHeader]).length, 3_072, `${who}: ${method} ${path}`);
        assert.equal(shape(real, hidden), shape(none, missing), `${who}: ${method} ${path}`);
      }
  });

  test("no operation tells who may not know", async () => {
    const samplesFor = (name: string): Readonly<Record<string, unknown>> => ({
      subjectId: { imageDigest: `sha256:${"0".repeat(64)}` },
      repositoryName: name,
      resourceArn: arn(name),
      registryId: server.accountId,
      "DescribeRepositories.repositoryNames": [name],
      "SetRepositoryPolicy.policyText": JSON.stringify({
        Version: "2012-10-17",
        Statement: [{ Effect: "Allow", Principal: "*", Action: "ecr:*" }],
      }),
      "PutImage.imageManifest": secret.bytes.toString(),
      ImageIdentifier: { imageTag: "latest" },
      layerDigests: [secret.config.digest],
      layerDigest: secret.config.digest,
      uploadId: "6b2c3c1e-7a55-4ac1-8f0f-0d5c6c2f8f11",
      partFirstByte: 0,
      partLastByte: 5,
      Tag: { Key: "team", Value: "blue" },
      "CreateRepository.tags": [{ Key: "team", Value: "green" }],
    });
    const takesRegistry = new Set(
      Object.keys(ecrOperations).filter((operation) => {
        const input = ecrModel.operations.get(operation)?.input;
        const found = input === undefined ? undefined : ecrModel.shapes.get(input);
        return found?.type === "structure" && found.members["registryId"] !== undefined;
      }),
    );
    let judged = 0;
    for (const [operation, row] of Object.entries(ecrOperations)) {
      if ("refused" in row) continue;
      const inputFor = (name: string): object => ({
        ...sampleInput(ecrModel, operation, samplesFor(name)),
        ...(takesRegistry.has(operation) && operation !== "CreateRepository" && { registryId: server.accountId }),
      });
      if (!JSON.stringify(inputFor(hidden)).includes(hidden)) continue;
      judged += 1;
      for (const [who, caller] of Object.entries(strangers)) {
        // A foreigner's CreateRepository is about its own registry.
        if (operation === "CreateRepository" && caller.principal.accountId !== server.accountId) continue;
        const [real, none] = [await call(caller, operation, inputFor(hidden)), await call(caller, operation, inputFor(missing))];
        assert.equal(real.json<{ __type: string }>().__type, "AccessDeniedException", `${who}: ${operation} ${real.body.toString()}`);
        assert.equal(shape(real, hidden), shape(none, missing), `${who}: ${operation}`);
      }
    }
    assert.ok(judged >= 20, `${judged} operations`);
  });

  test("lists name what the caller may see, and their links lead nowhere else", async () => {
    const names: string[] = [];
    let target: string | undefined = "/v2/_catalog?n=1";
    while (target !== undefined) {
      const answer: Answer = await ask(visitor, "GET", target);
      assert.equal(answer.status, 200);
      names.push(...answer.json<{ repositories: string[] }>().repositories);
      const link = String(answer.headers["link"] ?? "");
      const token = new URLSearchParams(/\?([^>]+)>/.exec(link)?.[1] ?? "").get("position") ?? "";
      for (const text of [link, Buffer.from(token, "base64url").toString("latin1")]) assert.doesNotMatch(text, /hidden/);
      target = /^<(\/[^>]+)>/.exec(link)?.[1];
    }
    assert.deepEqual(names, ["open/bar", open]);
    for (const target of ["/v2/_catalog", "/v2/_catalog?last=hidden/a&n=1", "/v2/_catalog?n=0"])
      assert.doesNotMatch((await ask(visitor, "GET", target)).body.toString(), /hidden/, target);
    const described = await call(visitor, "DescribeRepositories", {});
    assert.doesNotMatch(described.body.toString(), /hidden/);
    const mixed = await call(visitor, "DescribeRepositories", { repositoryNames: [open, hidden] });
    const mixedMissing = await call(visitor, "DescribeRepositories", { repositoryNames: [open, missing] });
    assert.equal(shape(mixed, hidden), shape(mixedMissing, missing));
    assert.equal((await ask(strangers["nobody"] ?? assert.fail(), "GET", "/v2/_catalog")).status, 403);
  });
});

describe("whether content exists elsewhere", () => {
  const index = makeIndex([secret]);
  const needy = makeImage({ seed: "needy", layers: secret.layers });
  const blob = secret.layers[0]?.digest ?? "";
  const put = (manifest: { bytes: Buffer; mediaType: string }): RequestOptions => ({
    body: manifest.bytes,
    headers: { "Content-Type": manifest.mediaType },
  });

  test("a repository answers for what it has not, whoever has it", async () => {
    for (const [method, path] of [
      ["GET", "blobs"],
      ["HEAD", "blobs"],
      ["DELETE", "blobs"],
      ["GET", "manifests"],
      ["HEAD", "manifests"],
      ["DELETE", "manifests"],
      ["GET", "referrers"],
    ] as const) {
      const digest = path === "blobs" ? blob : secret.digest;
      const real = await ask(visitor, method, `/v2/${open}/${path}/${digest}`);
      const none = await ask(visitor, method, `/v2/${open}/${path}/${nowhere}`);
      assert.equal(shape(real, digest), shape(none, nowhere), `${method} ${path}`);
    }
    for (const [operation, inputFor] of Object.entries({
      BatchCheckLayerAvailability: (digest: string) => ({ layerDigests: [digest] }),
      GetDownloadUrlForLayer: (digest: string) => ({ layerDigest: digest }),
      BatchGetImage: (digest: string) => ({ imageIds: [{ imageDigest: digest }] }),
      DescribeImages: (digest: string) => ({ imageIds: [{ imageDigest: digest }] }),
      BatchDeleteImage: (digest: string) => ({ imageIds: [{ imageDigest: digest }] }),
    })) {
      const digest = operation.includes("Layer") ? blob : secret.digest;
      const real = await call(visitor, operation, { repositoryName: open, ...inputFor(digest) });
      const none = await call(visitor, operation, { repositoryName: open, ...inputFor(nowhere) });
      assert.equal(shape(real, digest), shape(none, nowhere), operation);
    }
  });

  test("a manifest does not reach for it", async () => {
    for (const manifest of [needy, index]) {
      const text = manifest.bytes.toString();
      const [digest] = manifest === needy ? [blob] : [secret.digest];
      const other = { ...manifest, bytes: Buffer.from(text.replaceAll(digest, nowhere)) };
      await ask(visitor, "POST", `/v2/${open}/blobs/uploads/?digest=${needy.config.digest}`, { body: needy.config.bytes });
      const real = await ask(visitor, "PUT", `/v2/${open}/manifests/stolen`, put(manifest));
      const none = await ask(visitor, "PUT", `/v2/${open}/manifests/stolen`, put(other));
      assert.deepEqual([real.status, real.code], [404, "MANIFEST_BLOB_UNKNOWN"]);
      assert.equal(shape(real, digest), shape(none, nowhere));
    }
  });

  test("a mount that is not allowed is one that fails, byte for byte, and gives nothing", async () => {
    const start = async (query: string, caller = visitor): Promise<Answer> => ask(caller, "POST", `/v2/${open}/blobs/uploads/?${query}`);
    const queries = [
      `mount=${nowhere}`,
      `mount=${nowhere}&from=${hidden}`,
      `mount=${nowhere}&from=${missing}`,
      `mount=${nowhere}&from=open/bar`,
      `mount=${blob}`,
      `mount=${blob}&from=${hidden}`,
      `mount=${blob}&from=${missing}`,
      `mount=${blob}&from=open/bar`,
      `mount=${blob}&from=${open}`,
    ];
    for (const caller of [visitor, strangers["a bound session"] ?? assert.fail()]) {
      const shapes = [];
      for (const query of queries) shapes.push(shape(await start(query, caller)));
      assert.match(shapes[0] ?? "", /^\[202,/);
      assert.deepEqual([...new Set(shapes)], [shapes[0]]);
      assert.equal((await ask(caller, "GET", `/v2/${open}/blobs/${blob}`)).status, 404);
    }
    // Who may read the source gets it: the mounts above failed for want of the right alone.
    assert.equal((await server.request("POST", `/v2/hidden/z/blobs/uploads/?mount=${blob}&from=${hidden}`)).status, 201);
  });
});

describe("who exists", () => {
  test("a login that fails fails alike, whatever was wrong", async () => {
    const { core, region } = server;
    const user = await callers.user("login", allowAll);
    const { accessKeyId, principalId, keyVersion = "" } = user.principal;
    const disabled = await callers.user("disabled", allowAll);
    const inactive = { UserName: "disabled", AccessKeyId: disabled.credentials.accessKeyId, Status: "Inactive" };
    await iam(server, "UpdateAccessKey", inactive);
    const unknown = "AKIAABCDEFGHIJKLMNOP";
    const seal = (change: object): string => {
      const claims = { accessKeyId, principalId, keyVersion, region, expiresAt: core.clock.now() + 1_000_000 };
      return `AWS:${sealToken(core.sealer, { ...claims, ...change })}`;
    };
    const attempts: Readonly<Record<string, string>> = {
      "an unknown key": seal({ accessKeyId: unknown }),
      "an earlier secret": seal({ keyVersion: "x" }),
      "somebody else's key": seal({ principalId: disabled.principal.principalId }),
      "a disabled key": Buffer.from(callers.authorizationOf(disabled).slice(6), "base64").toString(),
      "a password that nobody has": "AWS:nothing",
      "a known key with its secret": `${accessKeyId}:${user.credentials.secretAccessKey}`,
      "a known key with a wrong secret": `${accessKeyId}:${"x".repeat(40)}`,
      "an unknown key with a secret": `${unknown}:${"x".repeat(40)}`,
    };
    const shapes = new Map<string, string>();
    for (const [what, credentials] of Object.entries(attempts)) {
      const authorization = `Basic ${Buffer.from(credentials).toString("base64")}`;
      const answer = await server.request("GET", "/v2/", { authorization });
      assert.equal(answer.status, 401, what);
      shapes.set(shape(answer), what);
    }
    assert.deepEqual([...shapes.values()].length, 1, JSON.stringify([...shapes]));
    assert.equal((await server.request("GET", "/v2/", { authorization: `Basic ${Buffer.from(seal({})).toString("base64")}` })).status, 200);
    const [gone, never] = [
      await callEcr(server, "DescribeRepositories", {}, { credentials: disabled.credentials }),
      await callEcr(server, "DescribeRepositories", {}, { credentials: { accessKeyId: unknown, secretAccessKey: "x" } }),
    ];
    assert.equal(shape(gone), shape(never), "a disabled key is told from one that never was");
  });

  test("users, roles and groups are not told from names that nobody has", async () => {
    const caller = strangers["nobody"] ?? assert.fail();
    await iam(server, "CreateGroup", { GroupName: "visitor" });
    for (const [operation, parameter, existing, none] of [
      ["GetUser", "UserName", "visitor", "visit0r"],
      ["ListAccessKeys", "UserName", "visitor", "visit0r"],
      ["CreateUser", "UserName", "visitor", "visit0r"],
      ["DeleteUser", "UserName", "visitor", "visit0r"],
      ["GetRole", "RoleName", "bound", "b0und"],
      ["GetGroup", "GroupName", "visitor", "visit0r"],
    ] as const) {
      const [real, other] = [
        await callIam(server, operation, { [parameter]: existing }, caller.credentials),
        await callIam(server, operation, { [parameter]: none }, caller.credentials),
      ];
      assert.deepEqual([real.code, real.status], ["AccessDenied", 403], operation);
      assert.equal(real.message.replaceAll(existing, "<it>"), other.message.replaceAll(none, "<it>"), operation);
    }
  });
});
