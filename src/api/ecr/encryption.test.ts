import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { nestedSize } from "#sealing/nested-frames.ts";
import type { Content } from "../../../test/fixtures/oci-content.ts";
import { makeBlob, makeImage } from "../../../test/fixtures/oci-content.ts";
import type { CallerKey } from "../../../test/kms-client.ts";
import { addUser, callKms, makeKey, setOwnPolicy } from "../../../test/kms-client.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import { callJson } from "../../../test/signed-call.ts";

let server: RegistryServer;
before(async () => {
  server = await startRegistryServer();
});
after(() => server.close());

interface Answered {
  readonly __type?: string;
  readonly message?: string;
  readonly kmsError?: string;
  readonly repository?: { readonly encryptionConfiguration: { readonly encryptionType: string; readonly kmsKey?: string } };
  readonly repositories?: readonly { readonly encryptionConfiguration: object }[];
  readonly failures?: readonly { readonly failureCode: string; readonly failureReason: string }[];
  readonly images?: readonly unknown[];
  readonly downloadUrl?: string;
}

async function ecr(operation: string, input: object, credentials?: CallerKey): Promise<Answered> {
  const answer = await callJson(server, `AmazonEC2ContainerRegistry_V20150921.${operation}`, input, {
    service: "ecr",
    ...(credentials !== undefined && { credentials }),
  });
  return answer.json<Answered>();
}

const create = (repositoryName: string, encryptionConfiguration: object, credentials?: CallerKey): Promise<Answered> =>
  ecr("CreateRepository", { repositoryName, encryptionConfiguration }, credentials);

test("a repository shows its key's ARN, however the key was named", async () => {
  const key = await makeKey(server);
  await callKms(server, "CreateAlias", { AliasName: "alias/mine", TargetKeyId: key.id });
  const encryptionConfiguration = { encryptionType: "KMS", kmsKey: key.arn };
  for (const [index, kmsKey] of [key.id, key.arn, "alias/mine"].entries()) {
    const { repository } = await create(`named/${index}`, { encryptionType: "KMS", kmsKey });
    assert.deepEqual(repository?.encryptionConfiguration, encryptionConfiguration);
  }
  const { repositories } = await ecr("DescribeRepositories", { repositoryNames: ["named/2"] });
  assert.deepEqual(repositories?.[0]?.encryptionConfiguration, encryptionConfiguration);
  const byDefault = await create("named/default", { encryptionType: "KMS_DSSE" });
  const { KeyMetadata } = await callKms(server, "DescribeKey", { KeyId: "alias/aws/ecr" });
  assert.deepEqual(byDefault.repository?.encryptionConfiguration, { encryptionType: "KMS_DSSE", kmsKey: KeyMetadata?.Arn });
});

test("keys that are not there, or not enabled, are KMS's refusal", async () => {
  const key = await makeKey(server);
  await callKms(server, "DisableKey", { KeyId: key.id });
  const cases = [
    ["alias/none", "NotFoundException"],
    ["not a key", "NotFoundException"],
    [key.arn.replace(server.region, "us-east-1"), "NotFoundException"],
    [key.arn, "DisabledException"],
  ] as const;
  for (const [kmsKey, kmsError] of cases) {
    const answer = await create("refused/one", { encryptionType: "KMS", kmsKey });
    assert.deepEqual([answer.__type, answer.kmsError], ["KmsException", kmsError], kmsKey);
  }
});

test("who makes a repository needs the right to look at the key and to grant it; the default key needs none", async () => {
  const key = await makeKey(server);
  const maker = await addUser(server, "maker", ["ecr:CreateRepository"]);
  const own = { encryptionType: "KMS", kmsKey: key.arn };
  assert.equal((await create("rights/default", { encryptionType: "KMS" }, maker)).__type, undefined);
  assert.match(
    (await create("rights/one", own, maker)).message ?? "",
    /not authorized to perform: kms:DescribeKey on resource: arn:aws:kms:/,
  );
  await setOwnPolicy(server, "maker", { Effect: "Allow", Action: ["ecr:CreateRepository", "kms:DescribeKey"], Resource: "*" });
  assert.match(
    (await create("rights/one", own, maker)).message ?? "",
    /not authorized to perform: kms:CreateGrant on resource: arn:aws:kms:/,
  );
  await setOwnPolicy(server, "maker", {
    Effect: "Allow",
    Action: ["ecr:CreateRepository", "kms:DescribeKey", "kms:CreateGrant"],
    Resource: "*",
    Condition: { "ForAllValues:StringEquals": { "kms:ViaService": `ecr.${server.region}.amazonaws.com` } },
  });
  assert.equal((await create("rights/one", own, maker)).__type, undefined);
});

test("a disabled key stops both planes with the reason, and both go on when it is enabled", async () => {
  const key = await makeKey(server);
  const name = "both/planes";
  await create(name, { encryptionType: "KMS", kmsKey: key.id });
  const image = makeImage({ seed: "both planes" });
  await server.push(name, image, "v1");
  const layer = image.layers?.[0] ?? image.config;
  const { downloadUrl = "" } = await ecr("GetDownloadUrlForLayer", { repositoryName: name, layerDigest: layer.digest });
  const download = downloadUrl.slice(downloadUrl.indexOf("/download/"));
  const pulls: readonly [string, Content][] = [
    [`/v2/${name}/manifests/v1`, image],
    [`/v2/${name}/blobs/${layer.digest}`, layer],
    [download, layer],
  ];
  const batch = () => ecr("BatchGetImage", { repositoryName: name, imageIds: [{ imageTag: "v1" }] });
  const expectWorking = async (): Promise<void> => {
    for (const [target, content] of pulls) assert.ok((await server.request("GET", target)).body.equals(content.bytes), target);
    assert.equal((await batch()).images?.length, 1);
    assert.equal((await ecr("InitiateLayerUpload", { repositoryName: name })).__type, undefined);
  };
  await expectWorking();
  await callKms(server, "DisableKey", { KeyId: key.id });
  for (const [target] of pulls) {
    const answer = await server.request("GET", target);
    assert.deepEqual([answer.status, answer.code], [403, "DENIED"], target);
    assert.match(answer.message, /cannot be used: DisabledException: arn:aws:kms:.* is disabled\.$/);
  }
  const pushed = await server.request("POST", `/v2/${name}/blobs/uploads/`);
  assert.deepEqual([pushed.status, pushed.code], [403, "DENIED"]);
  const [failure] = (await batch()).failures ?? [];
  assert.equal(failure?.failureCode, "KmsError");
  for (const [operation, input] of [
    ["InitiateLayerUpload", { repositoryName: name }],
    ["PutImage", { repositoryName: name, imageManifest: image.bytes.toString(), imageTag: "v2" }],
  ] as const) {
    const answer = await ecr(operation, input);
    assert.deepEqual([answer.__type, answer.kmsError], ["KmsException", "DisabledException"], operation);
  }
  await callKms(server, "EnableKey", { KeyId: key.id });
  await expectWorking();
});

test("ranges of an encrypted layer are exact, and a damaged one breaks the connection off", async () => {
  const name = "ranges/one";
  await create(name, { encryptionType: "KMS" });
  const blob = makeBlob(300_000);
  const target = `/v2/${name}/blobs/${blob.digest}`;
  assert.equal((await server.request("POST", `/v2/${name}/blobs/uploads/?digest=${blob.digest}`, { body: blob.bytes })).status, 201);
  for (const [first, last] of [
    [0, 9],
    [65_530, 65_545],
    [299_990, 299_999],
  ] as const) {
    const part = await server.request("GET", target, { headers: { Range: `bytes=${first}-${last}` } });
    assert.equal(part.status, 206);
    assert.ok(part.body.equals(blob.bytes.subarray(first, last + 1)));
  }
  const several = await server.request("GET", target, { headers: { Range: "bytes=0-3,100000-100003" } });
  assert.match(String(several.headers["content-type"]), /^multipart\/byteranges/);
  assert.ok(several.body.includes(blob.bytes.subarray(100_000, 100_004)));
  await damage(blob);
  await assert.rejects(server.request("GET", target), "an answer that broke off does not look complete");
  assert.match(JSON.stringify(server.errors.at(-1)), /frame 3 was altered/);
  const good = await server.request("GET", target, { headers: { Range: "bytes=0-9" } });
  assert.ok(good.body.equals(blob.bytes.subarray(0, 10)), "what is whole can be read");
});

/** Puts another copy with one wrong bit in its fourth frame into the place of the stored one. */
async function damage(blob: Content): Promise<void> {
  const { storage } = server.core;
  for await (const { key, owner, sizeBytes } of storage.listStored()) {
    if (!key.includes(blob.digest.slice("sha256:".length))) continue;
    assert.equal(sizeBytes, nestedSize(blob.bytes.length, 1));
    const stored = await storage.read(key, sizeBytes);
    assert.equal(stored.kind, "bytes");
    const bytes = Buffer.concat(await Array.fromAsync(stored.stream as AsyncIterable<Uint8Array>));
    bytes[200_000] = (bytes[200_000] ?? 0) ^ 1;
    await storage.delete(key);
    const writer = await storage.openSegment(`${owner}/0`);
    await writer.write(bytes);
    await writer.finish();
    assert.equal(await storage.commit([`${owner}/0`], { digest: blob.digest, incarnation: owner, sizeBytes }), key);
    return;
  }
}
