import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { after, before, test } from "node:test";
import {
  DeleteSigningConfigurationCommand,
  DescribeImageSigningStatusCommand,
  ECRClient,
  GetSigningConfigurationCommand,
  PutImageCommand,
  PutSigningConfigurationCommand,
} from "@aws-sdk/client-ecr";
import type { SigningRule } from "@aws-sdk/client-ecr";
import { flattenedVerify } from "jose";
import type { FlattenedJWS } from "jose";
import type { JobRun } from "#jobs/table.ts";
import { findManifest } from "#metadata/manifests.ts";
import type { Reference } from "#oci/reference.ts";
import { listChanges } from "#metadata/changes.ts";
import { startFollowUps } from "#metadata/follow-ups.ts";
import { makeArtifact, makeImage, makeIndex } from "../../test/fixtures/oci-content.ts";
import type { Content } from "../../test/fixtures/oci-content.ts";
import { runJobs } from "../../test/follow-up-jobs.ts";
import { makeIamUser } from "../../test/iam-client.ts";
import { callKms, makeKey } from "../../test/kms-client.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { RegistryServer } from "../../test/registry-server.ts";
import { notarySignatureType } from "#registry/signing-rule.ts";
import { signManifest } from "./sign-manifest.ts";

let server: RegistryServer;
let client: ECRClient;
const clientOf = (credentials: RegistryServer["credentials"]): ECRClient =>
  new ECRClient({ endpoint: server.url, region: server.region, credentials, maxAttempts: 1 });
const profileArn = (name: string, region = server.region): string =>
  `arn:aws:signer:${region}:${server.accountId}:/signing-profiles/${name}`;

before(async () => {
  server = await startRegistryServer();
  client = clientOf(server.credentials);
});

after(async () => {
  client.destroy();
  await server.close();
});

/** Makes a key with the alias of a profile and answers its id. */
async function makeProfile(name: string): Promise<string> {
  const { id } = await makeKey(server);
  await callKms(server, "CreateAlias", { AliasName: `alias/signer/${name}`, TargetKeyId: id });
  return id;
}

const configure = (...rules: SigningRule[]) => client.send(new PutSigningConfigurationCommand({ signingConfiguration: { rules } }));
const signAll = (attempt?: number) => runJobs(server.core, { sign: signManifest }, attempt);
async function statusOf(repositoryName: string, imageTag: string) {
  const { signingStatuses = [] } = await client.send(new DescribeImageSigningStatusCommand({ repositoryName, imageId: { imageTag } }));
  return signingStatuses.map(({ signingProfileArn, status, failureCode }) => [signingProfileArn?.split("/").at(-1), status, failureCode]);
}

interface Descriptor {
  readonly digest: string;
  readonly size: number;
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

async function referrersOf(name: string, { digest }: Content): Promise<readonly Descriptor[]> {
  return (await server.request("GET", `/v2/${name}/referrers/${digest}`)).json<{ manifests: Descriptor[] }>().manifests;
}

interface SignatureManifest {
  readonly config: Descriptor;
  readonly layers: readonly [Descriptor];
  readonly subject: Descriptor;
}

/** The signature behind a referrer, verified with the certificate that it brings. */
async function verify(name: string, referrer: Descriptor) {
  const manifest = (await server.request("GET", `/v2/${name}/manifests/${referrer.digest}`)).json<SignatureManifest>();
  const [layer] = manifest.layers;
  const envelope = (await server.request("GET", `/v2/${name}/blobs/${layer.digest}`)).json<FlattenedJWS & { header: { x5c: string[] } }>();
  const certificate = new X509Certificate(Buffer.from(envelope.header.x5c[0] ?? "", "base64"));
  const crit = { "io.cncf.notary.signingScheme": true };
  const { payload, protectedHeader } = await flattenedVerify(envelope, certificate.publicKey, { algorithms: ["ES384"], crit });
  return { manifest, envelope, certificate, protectedHeader, payload: JSON.parse(Buffer.from(payload).toString()) as unknown };
}

test("the configuration is set, read and taken back", async () => {
  const missing = { name: "SigningConfigurationNotFoundException" };
  await assert.rejects(client.send(new GetSigningConfigurationCommand({})), missing);
  await assert.rejects(client.send(new DeleteSigningConfigurationCommand({})), missing);
  const rules: SigningRule[] = [
    { signingProfileArn: profileArn("one") },
    { signingProfileArn: profileArn("two"), repositoryFilters: [{ filter: "shop/*", filterType: "WILDCARD_MATCH" }] },
  ];
  assert.deepEqual((await configure(...rules)).signingConfiguration, { rules });
  const got = await client.send(new GetSigningConfigurationCommand({}));
  assert.deepEqual([got.registryId, got.signingConfiguration], [server.accountId, { rules }]);
  await assert.rejects(configure({ signingProfileArn: profileArn("one", "us-east-1") }), { name: "ValidationException" });
  const deleted = await client.send(new DeleteSigningConfigurationCommand({}));
  assert.deepEqual([deleted.registryId, deleted.signingConfiguration], [server.accountId, { rules }]);
  await assert.rejects(client.send(new GetSigningConfigurationCommand({})), missing);
});

test("what is pushed is signed once for each profile, as the Notary Project has it", async () => {
  const name = "signing/images";
  await server.createRepository(name);
  await makeProfile("first");
  await makeProfile("second");
  await configure({ signingProfileArn: profileArn("first") }, { signingProfileArn: profileArn("second") });
  const image = makeImage({ seed: "signed" });
  await server.push(name, image, "v1");
  await server.push(name, makeIndex([image]), "all");
  assert.deepEqual(await statusOf(name, "v1"), [
    ["first", "IN_PROGRESS", undefined],
    ["second", "IN_PROGRESS", undefined],
  ]);
  assert.equal(await signAll(), 4);
  for (const tag of ["v1", "all"])
    assert.deepEqual(await statusOf(name, tag), [
      ["first", "COMPLETE", undefined],
      ["second", "COMPLETE", undefined],
    ]);
  const referrers = await referrersOf(name, image);
  assert.deepEqual(
    referrers.map(({ artifactType }) => artifactType),
    [notarySignatureType, notarySignatureType],
  );
  const signers: string[] = [];
  for (const referrer of referrers) {
    const { manifest, certificate, protectedHeader, payload } = await verify(name, referrer);
    const target = { mediaType: image.mediaType, digest: image.digest, size: image.bytes.byteLength };
    assert.deepEqual(payload, { targetArtifact: target });
    assert.deepEqual(manifest.subject, target);
    assert.deepEqual([manifest.config.mediaType, manifest.config.size], [notarySignatureType, 2]);
    assert.equal(manifest.layers[0].mediaType, "application/jose+json");
    const thumbprint = createHash("sha256").update(certificate.raw).digest("hex").toUpperCase();
    assert.equal(referrer.annotations?.["io.cncf.notary.x509chain.thumbprint#S256"], `["${thumbprint}"]`);
    const { "io.cncf.notary.signingTime": signingTime, ...rest } = protectedHeader as Record<string, unknown>;
    assert.deepEqual(rest, {
      alg: "ES384",
      cty: "application/vnd.cncf.notary.payload.v1+json",
      crit: ["io.cncf.notary.signingScheme"],
      "io.cncf.notary.signingScheme": "notary.x509",
    });
    assert.match(String(signingTime), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.ok(Date.parse(String(signingTime)) >= certificate.validFromDate.getTime(), "not before the certificate");
    signers.push(certificate.subject.split("CN=")[1] ?? "");
  }
  assert.deepEqual(signers.toSorted(), ["first", "second"]);
  const pushed = (await listChanges(server.core.metadata, { limit: 10_000 })).filter(({ subject }) => subject === referrers[0]?.digest);
  assert.deepEqual([pushed[0]?.kind, pushed[0]?.principalArn.includes(":role/aws-service-role/")], ["manifest-pushed", true]);
});

test("a profile keeps its certificate until its alias moves to another key; signatures are not signed", async () => {
  const name = "signing/certificates";
  await server.createRepository(name);
  await makeProfile("steady");
  await configure({ signingProfileArn: profileArn("steady") });
  const certificates: string[] = [];
  for (const seed of ["a", "b", "c"]) {
    if (seed === "c") {
      const { id } = await makeKey(server);
      await callKms(server, "UpdateAlias", { AliasName: "alias/signer/steady", TargetKeyId: id });
    }
    const image = makeImage({ seed });
    await server.push(name, image, seed);
    await server.push(name, makeArtifact({ seed, subject: image, artifactType: notarySignatureType }));
    assert.equal(await signAll(), 1, "not the signature that somebody else pushed");
    for (const referrer of await referrersOf(name, image))
      if (referrer.annotations !== undefined) certificates.push((await verify(name, referrer)).certificate.fingerprint256);
  }
  assert.equal(certificates[0], certificates[1]);
  assert.notEqual(certificates[1], certificates[2]);
});

test("a job that runs again leaves one signature; the image of an encrypted repository is signed as well", async () => {
  const name = "signing/again";
  await server.createRepository(name, { encryption: { type: "KMS", kmsKey: undefined } });
  await makeProfile("again");
  await configure({ signingProfileArn: profileArn("again") });
  const image = makeImage({ seed: "again" });
  await server.push(name, image, "v1");
  // It dies after the push of the signature and before it is written down.
  const die = async (run: JobRun): Promise<void> => {
    const { metadata } = run.core;
    const killed: typeof metadata.transaction = (work) =>
      String(work).includes("settled_at") ? Promise.reject(new Error("killed")) : metadata.transaction(work);
    await signManifest({ ...run, core: { ...run.core, metadata: { ...metadata, transaction: killed } } });
  };
  await assert.rejects(runJobs(server.core, { sign: die }), /killed/);
  assert.equal((await referrersOf(name, image)).length, 1);
  assert.deepEqual(await statusOf(name, "v1"), [["again", "IN_PROGRESS", undefined]]);
  server.advance(61_000);
  assert.equal(await signAll(), 1);
  const [referrer, ...others] = await referrersOf(name, image);
  assert.ok(referrer !== undefined && others.length === 0);
  await verify(name, referrer);
  assert.deepEqual(await statusOf(name, "v1"), [["again", "COMPLETE", undefined]]);
});

test("without a key, or with one that is disabled, pushes succeed and signing has failed", async () => {
  const name = "signing/failing";
  await server.createRepository(name);
  const keyId = await makeProfile("off");
  await configure({ signingProfileArn: profileArn("missing") }, { signingProfileArn: profileArn("off") });
  await server.push(name, makeImage({ seed: "on" }), "on");
  await signAll();
  assert.deepEqual(await statusOf(name, "on"), [
    ["missing", "FAILED", "ResourceNotFoundException"],
    ["off", "COMPLETE", undefined],
  ]);
  await callKms(server, "DisableKey", { KeyId: keyId });
  await server.push(name, makeImage({ seed: "off" }), "off");
  await signAll();
  assert.deepEqual(await statusOf(name, "off"), [
    ["missing", "FAILED", "ResourceNotFoundException"],
    ["off", "FAILED", "DisabledException"],
  ]);
  await callKms(server, "EnableKey", { KeyId: keyId });
  assert.equal(await signAll(), 0);
  await server.push(name, makeImage({ seed: "off" }), "off");
  await server.push(name, makeImage({ seed: "on" }), "on");
  assert.equal(await signAll(), 3, "pushing again tries again what has failed, and only that");
  assert.deepEqual((await statusOf(name, "off"))[1], ["off", "COMPLETE", undefined]);
  assert.equal((await referrersOf(name, makeImage({ seed: "on" }))).length, 1);
  const { Grants = [] } = await callKms(server, "ListGrants", { KeyId: keyId });
  for (const { GrantId = "" } of Grants) await callKms(server, "RevokeGrant", { KeyId: keyId, GrantId });
  await server.push(name, makeImage({ seed: "revoked" }), "revoked");
  await signAll();
  assert.deepEqual((await statusOf(name, "revoked"))[1], ["off", "FAILED", "AccessDeniedException"]);
});

test("whoever pushes needs signer:SignPayload on the profile; without it the push succeeds by either door", async () => {
  const name = "signing/permission";
  await server.createRepository(name);
  await makeProfile("allowed");
  await configure({ signingProfileArn: profileArn("allowed") }, { signingProfileArn: profileArn("denied") });
  const statements = [
    { Effect: "Allow", Action: "ecr:*", Resource: "*" },
    { Effect: "Allow", Action: "signer:SignPayload", Resource: profileArn("allowed") },
  ];
  const pusher = clientOf(await makeIamUser(server, "pusher", statements));
  const image = makeImage({ seed: "permission" });
  for (const blob of [image.config, ...image.layers])
    assert.equal((await server.request("POST", `/v2/${name}/blobs/uploads/?digest=${blob.digest}`, { body: blob.bytes })).status, 201);
  await pusher.send(new PutImageCommand({ repositoryName: name, imageManifest: image.bytes.toString(), imageTag: "v1" }));
  pusher.destroy();
  assert.equal(await signAll(), 1);
  const imageId = { imageTag: "v1" };
  const { signingStatuses = [] } = await client.send(new DescribeImageSigningStatusCommand({ repositoryName: name, imageId }));
  const reason = `User: arn:aws:iam::${server.accountId}:user/pusher is not authorized to perform: signer:SignPayload on resource: ${profileArn("denied")} because no identity-based policy allows the signer:SignPayload action`;
  assert.deepEqual(signingStatuses, [
    { signingProfileArn: profileArn("allowed"), status: "COMPLETE" },
    { signingProfileArn: profileArn("denied"), status: "FAILED", failureCode: "AccessDeniedException", failureReason: reason },
  ]);
});

test("what cannot be made is tried again, and then has failed; what was deleted is forgotten", async () => {
  const name = "signing/broken";
  await server.createRepository(name);
  await makeProfile("broken");
  await configure({ signingProfileArn: profileArn("broken") });
  const image = makeImage({ seed: "broken" });
  await server.push(name, image, "v1");
  const broken = async (run: JobRun): Promise<void> =>
    signManifest({ ...run, core: { ...run.core, keys: { ...run.core.keys, resolve: () => Promise.reject(new Error("no network")) } } });
  await assert.rejects(runJobs(server.core, { sign: broken }, 1), /no network/);
  assert.deepEqual(await statusOf(name, "v1"), [["broken", "IN_PROGRESS", undefined]]);
  server.advance(61_000);
  await runJobs(server.core, { sign: broken }, 5);
  assert.deepEqual(await statusOf(name, "v1"), [["broken", "FAILED", "InternalServiceErrorException"]]);
  const { accountId, region } = server;
  const reference = { kind: "tag", tag: "v1" } as Reference;
  const { manifest } = await findManifest(server.core.metadata, { accountId, region, name }, reference);
  assert.ok(manifest !== undefined);
  const followUps = [{ kind: "sign", target: profileArn("broken") }] as const;
  await startFollowUps(server.core.metadata, { manifestId: manifest.manifestId, followUps, now: server.core.clock.now() });
  await server.request("DELETE", `/v2/${name}/manifests/${image.digest}`);
  assert.equal(await signAll(), 1);
  assert.deepEqual(await referrersOf(name, image), []);
});
