import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import {
  BatchCheckLayerAvailabilityCommand,
  CompleteLayerUploadCommand,
  ECRClient,
  GetDownloadUrlForLayerCommand,
  InitiateLayerUploadCommand,
  PutImageCommand,
  UploadLayerPartCommand,
} from "@aws-sdk/client-ecr";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { callEcr } from "../../../test/signed-call.ts";

let server: RegistryServer;
let client: ECRClient;
const repositoryName = "layers/one";
const mebibyte = 1_048_576;

before(async () => {
  server = await startRegistryServer({ limits: { partsPerUpload: 3 } });
  client = new ECRClient({ endpoint: server.url, region: server.region, credentials: server.credentials, maxAttempts: 1 });
  await server.createRepository(repositoryName);
});

after(async () => {
  client.destroy();
  assert.deepEqual(server.errors, []);
  await server.close();
});

const sha256 = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const startUpload = async () => (await client.send(new InitiateLayerUploadCommand({ repositoryName }))).uploadId ?? "";
const sendPart = (uploadId: string, partFirstByte: number, bytes: Uint8Array, partLastByte = partFirstByte + bytes.length - 1) =>
  client.send(new UploadLayerPartCommand({ repositoryName, uploadId, partFirstByte, partLastByte, layerPartBlob: bytes }));
const complete = (uploadId: string, ...layerDigests: string[]) =>
  client.send(new CompleteLayerUploadCommand({ repositoryName, uploadId, layerDigests }));
const check = async (...layerDigests: string[]) => {
  const { layers, failures } = await client.send(new BatchCheckLayerAvailabilityCommand({ repositoryName, layerDigests }));
  return { layers, failures };
};

async function upload(bytes: Uint8Array): Promise<string> {
  const uploadId = await startUpload();
  await sendPart(uploadId, 0, bytes);
  return (await complete(uploadId, sha256(bytes))).layerDigest ?? "";
}

async function refused(call: Promise<unknown>, name: string, message?: string): Promise<Record<string, unknown>> {
  const error = await call.then(
    () => assert.fail(`expected ${name}`),
    (thrown: Error) => thrown,
  );
  assert.equal(error.name, name, error.message);
  if (message !== undefined) assert.equal(error.message, message);
  return error as unknown as Record<string, unknown>;
}

test("a layer is uploaded in parts, asked for, referenced and downloaded", async () => {
  const first = randomBytes(6 * mebibyte);
  const last = randomBytes(1_000_001);
  const whole = Buffer.concat([first, last]);
  const digest = sha256(whole);
  assert.deepEqual(await check(digest), { layers: [{ layerDigest: digest, layerAvailability: "UNAVAILABLE" }], failures: [] });
  const started = await client.send(new InitiateLayerUploadCommand({ repositoryName }));
  assert.match(started.uploadId ?? "", /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.equal(started.partSize, 10_485_760);
  const uploadId = started.uploadId ?? "";
  const { $metadata: _part, ...part } = await sendPart(uploadId, 0, first);
  assert.deepEqual(part, { registryId: "123456789012", repositoryName, uploadId, lastByteReceived: first.length - 1 });
  assert.equal((await sendPart(uploadId, first.length, last)).lastByteReceived, whole.length - 1);
  const { $metadata: _done, ...done } = await complete(uploadId, sha256(first), digest);
  assert.deepEqual(done, { registryId: "123456789012", repositoryName, uploadId, layerDigest: digest });
  await refused(complete(uploadId, digest), "UploadNotFoundException");

  const held = { layerDigest: digest, layerAvailability: "AVAILABLE", layerSize: whole.length };
  assert.deepEqual(await check(digest), { layers: [held], failures: [] });
  const ask = new GetDownloadUrlForLayerCommand({ repositoryName, layerDigest: digest });
  await refused(client.send(ask), "LayerInaccessibleException");
  const config = Buffer.from("{}");
  await upload(config);
  const layerType = "application/vnd.oci.image.layer.v1.tar";
  const manifest = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: sha256(config), size: config.length },
    layers: [{ mediaType: layerType, digest, size: whole.length }],
  };
  await client.send(new PutImageCommand({ repositoryName, imageManifest: JSON.stringify(manifest), imageTag: "v1" }));
  assert.deepEqual((await check(digest)).layers, [{ ...held, mediaType: layerType }]);

  const { downloadUrl = "", layerDigest } = await client.send(ask);
  assert.equal(layerDigest, digest);
  assert.ok(downloadUrl.startsWith(`${server.url}/download/`), downloadUrl);
  const answer = await fetch(downloadUrl);
  assert.equal(answer.status, 200);
  assert.ok(Buffer.from(await answer.arrayBuffer()).equals(whole));
  assert.equal((await fetch(downloadUrl.replace(/.$/, (end) => (end === "A" ? "B" : "A")))).ok, false);
  await refused(
    upload(config),
    "LayerAlreadyExistsException",
    `The layer with digest '${sha256(config)}' already exists in the repository with name '${repositoryName}' in registry with id '123456789012'`,
  );
});

test("what can go wrong with an upload has ECR's exceptions and texts", async () => {
  const absent = `sha256:${"0".repeat(64)}`;
  const empty = await startUpload();
  await refused(
    complete(empty, absent),
    "EmptyUploadException",
    `The upload with id '${empty}' in the repository with name '${repositoryName}' in registry with id '123456789012' cannot be completed because it does not have any parts`,
  );
  const wrong = await startUpload();
  await sendPart(wrong, 0, Buffer.from("bytes"));
  await refused(complete(wrong, absent), "InvalidLayerException", "None of the provided layer digests match the calculated layer digest");
  const small = await startUpload();
  await sendPart(small, 0, Buffer.from("a"));
  await sendPart(small, 1, Buffer.from("b"));
  await refused(complete(small, absent), "LayerPartTooSmallException", "All layer parts except the last part should be at least 5MB");
  await sendPart(small, 2, Buffer.from("c"));
  await refused(sendPart(small, 3, Buffer.from("d")), "LimitExceededException");
  const unknown = "0e5c2b1a-7d1f-4c55-9f0a-1b2c3d4e5f60";
  await refused(complete(unknown, absent), "UploadNotFoundException");
  await refused(sendPart(unknown, 0, Buffer.from("x")), "UploadNotFoundException");
  await refused(complete("not-an-id", absent), "InvalidParameterException");
  await refused(
    client.send(new InitiateLayerUploadCommand({ repositoryName: "never/made" })),
    "RepositoryNotFoundException",
    "The repository with name 'never/made' does not exist in the registry with id '123456789012'",
  );
  await refused(
    client.send(new GetDownloadUrlForLayerCommand({ repositoryName, layerDigest: absent })),
    "LayersNotFoundException",
    `The layer with digest '${absent}' does not exist within the repository with name '${repositoryName}' in the registry with id '123456789012'`,
  );
  const odd = new GetDownloadUrlForLayerCommand({ repositoryName, layerDigest: "md5:00" });
  await refused(client.send(odd), "LayersNotFoundException");
});

test("a part that does not fit tells the client where to resume", async () => {
  const uploadId = await startUpload();
  const early = await refused(
    sendPart(uploadId, 5, Buffer.from("late")),
    "InvalidLayerPartException",
    "First byte of the layer part is 5 instead of 0",
  );
  assert.equal(early["lastValidByteReceived"], -1);
  await sendPart(uploadId, 0, Buffer.from("0123456789"));
  const again = await refused(
    sendPart(uploadId, 0, Buffer.from("0123456789")),
    "InvalidLayerPartException",
    "First byte of the layer part is 0 instead of 10",
  );
  assert.deepEqual(
    [again["registryId"], again["repositoryName"], again["uploadId"], again["lastValidByteReceived"]],
    ["123456789012", repositoryName, uploadId, 9],
  );
  for (const partLastByte of [9, 11, 13]) {
    const wrongSize = await refused(sendPart(uploadId, 10, Buffer.from("abc"), partLastByte), "InvalidLayerPartException");
    assert.equal(wrongSize["lastValidByteReceived"], 9);
  }
  assert.equal((await sendPart(uploadId, 10, Buffer.from("abc"))).lastByteReceived, 12);
});

test("availability is told digest by digest", async () => {
  const digest = await upload(Buffer.from("availability"));
  const absent = `sha256:${"1".repeat(64)}`;
  const { layers, failures } = await check(digest, absent, "sha999:ab", "", "no digest", digest);
  assert.deepEqual(
    layers?.map(({ layerDigest, layerAvailability }) => [layerDigest, layerAvailability]),
    [
      [digest, "AVAILABLE"],
      [absent, "UNAVAILABLE"],
      ["sha999:ab", "UNAVAILABLE"],
      [digest, "AVAILABLE"],
    ],
  );
  assert.deepEqual(failures, [
    { layerDigest: "", failureCode: "MissingLayerDigest", failureReason: "Invalid request parameters: layer digest cannot be null" },
    {
      layerDigest: "no digest",
      failureCode: "InvalidLayerDigest",
      failureReason: "Invalid request parameters: layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
    },
  ]);
  await server.createRepository("layers/other");
  const elsewhere = await client.send(new BatchCheckLayerAvailabilityCommand({ repositoryName: "layers/other", layerDigests: [digest] }));
  assert.equal(elsewhere.layers?.[0]?.layerAvailability, "UNAVAILABLE");
});

/** UploadLayerPart written by hand: the members' order and the text of the blob are the test's. */
async function rawPart(
  uploadId: string,
  members: string,
  options = {},
): Promise<{ status: number; type: string; body: Record<string, unknown> }> {
  const answer = await callEcr(server, "UploadLayerPart", `{${members.replace("$id", `"uploadId":"${uploadId}"`)}}`, options);
  const document = answer.json() as Record<string, unknown>;
  return { status: answer.status, type: String(document["__type"]), body: document };
}

test("members may come in any order, and the blob's text in any JSON that means the same", async () => {
  const name = `"repositoryName":"${repositoryName}"`;
  const escape = (text: string): string => text.replaceAll("/", "\\/").replaceAll("+", "\\u002b");
  const forms: readonly ((blob: string) => string)[] = [
    (blob) => `"layerPartBlob":"${blob}",${name},$id,"partFirstByte":0,"partLastByte":4`,
    (blob) => `$id,"partLastByte":4,"layerPartBlob":"${escape(blob)}","partFirstByte":0,${name},"unknown":{"layerPartBlob":[1]}`,
    (blob) => ` "layer\\u0050artBlob" : "${blob}" , ${name}, "partLastByte":4, "partFirstByte":0, $id `,
  ];
  for (const [index, form] of forms.entries()) {
    const bytes = Buffer.from([0xfb, 0xff, 0xfe, 0xfb, index]);
    const uploadId = await startUpload();
    const answer = await rawPart(uploadId, form(bytes.toString("base64")));
    assert.deepEqual([answer.status, answer.body["lastByteReceived"]], [200, 4], JSON.stringify(answer.body));
    assert.equal((await complete(uploadId, sha256(bytes))).uploadId, uploadId);
  }
});

test("a part that is not what it says is refused and counts for nothing", async () => {
  const uploadId = await startUpload();
  const members = `"repositoryName":"${repositoryName}",$id,"partFirstByte":0,"partLastByte":2`;
  const blob = `"layerPartBlob":"YWJj"`;
  const cases: readonly (readonly [string, string])[] = [
    [members, "InvalidParameterException"],
    [`${members},"layerPartBlob":null`, "InvalidParameterException"],
    [`${members},"layerPartBlob":["YWJj"]`, "SerializationException"],
    [`${members},"layerPartBlob":"YWJ"`, "SerializationException"],
    [`${members},"layerPartBlob":"YW Jj"`, "SerializationException"],
    [`${members},${blob},${blob}`, "SerializationException"],
    [`${members},${blob},"partLastByte":2`, "SerializationException"],
    [`${blob},${members}}`, "SerializationException"],
    [`${blob},$id,"partFirstByte":0,"partLastByte":2`, "InvalidParameterException"],
    [`${blob},"repositoryName":"${repositoryName}",$id,"partFirstByte":-1,"partLastByte":2`, "InvalidParameterException"],
    [`${blob},"repositoryName":"${repositoryName}",$id,"partFirstByte":"0","partLastByte":2`, "SerializationException"],
    [`${blob},"repositoryName":"${repositoryName}",$id,"partFirstByte":0,"partLastByte":1e300`, "SerializationException"],
    [`${blob},${members},"pad":"${"x".repeat(70_000)}"`, "SerializationException"],
    [`${members},"layerPartBlob":"${Buffer.alloc(20_971_521).toString("base64")}"`, "InvalidParameterException"],
  ];
  for (const [text, type] of cases) {
    const answer = await rawPart(uploadId, text);
    assert.deepEqual([answer.status, answer.type], [400, type], `${text.slice(0, 160)}: ${String(answer.body["message"])}`);
  }
  const good = `${members},${blob}`;
  const forged = await rawPart(uploadId, good, {
    sentBody: `{${good.replace("$id", `"uploadId":"${uploadId}"`).replace("YWJj", "eHl6")}}`,
  });
  assert.deepEqual([forged.status, forged.type], [400, "InvalidSignatureException"]);
  const right = await rawPart(uploadId, good);
  assert.deepEqual([right.status, right.body["lastByteReceived"]], [200, 2]);
  assert.equal((await complete(uploadId, sha256(Buffer.from("abc")))).layerDigest, sha256(Buffer.from("abc")));
});

test("the largest part arrives whole, from several clients at once", async () => {
  const parts = [20_971_520, 15_728_641].map((sizeBytes, index) => randomBytes(sizeBytes).fill(index, 0, 3));
  const digests = await Promise.all(parts.map((bytes) => upload(bytes)));
  assert.deepEqual(digests, parts.map(sha256));
});

test("an upload belongs to its repository", async () => {
  const uploadId = await startUpload();
  await server.createRepository("layers/neighbour");
  const inNeighbour = { repositoryName: "layers/neighbour", uploadId, layerDigests: [`sha256:${"0".repeat(64)}`] };
  await refused(client.send(new CompleteLayerUploadCommand(inNeighbour)), "UploadNotFoundException");
});
