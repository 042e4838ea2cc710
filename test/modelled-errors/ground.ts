/** What must be there for each modelled error to be answered: servers as usual, with quotas used up, and broken. */
import assert from "node:assert/strict";
import { sql } from "kysely";
import { startUpstreamDouble } from "#pullthrough/testing/upstream-double.ts";
import type { Content } from "../fixtures/oci-content.ts";
import { makeBlob, makeImage, makeIndex } from "../fixtures/oci-content.ts";
import { callKms, makeKey } from "../kms-client.ts";
import type { Answer, RegistryServer } from "../registry-server.ts";
import { startRegistryServer } from "../registry-server.ts";
import { callEcr, callJson } from "../signed-call.ts";
import type { Input, Place } from "./row.ts";
import { app, largeTags } from "./row.ts";

/** What requests are made from. Everything in it is on the usual server unless said otherwise. */
export interface Ground {
  /** The manifest of `team/app:v1`. */
  readonly manifest: string;
  /** A manifest whose blobs are in every repository but `team/empty`, and that is itself in none. */
  readonly otherManifest: string;
  /** An index whose one child is in no repository but `team/app`. */
  readonly indexManifest: string;
  /** A layer of `team/app:v1`. */
  readonly layerDigest: string;
  readonly layerBytes: Buffer;
  /** An upload into `team/app` without any part. */
  readonly uploadId: string;
  /** An upload with one part into `team/sealed`, whose key is disabled. */
  readonly sealedUploadId: string;
  /** A secret that its own policy closes. */
  readonly closedSecretArn: string;
  /** A secret whose stored value nobody can open any more. */
  readonly damagedSecretArn: string;
  /** Calls an operation that must succeed. */
  succeed(operation: string, input: Input): Promise<Record<string, unknown>>;
  /** An upload into `team/app` with these parts. */
  startedUpload(...parts: readonly (string | Buffer)[]): Promise<string>;
  /** The digest of a layer in `team/app` that no image has. */
  looseLayer(): Promise<string>;
  /** The second part of an upload on the full server. */
  secondPart(): Promise<Input>;
  /** Makes as many pull-through cache rules on the full server as there may be. */
  fillRules(): Promise<void>;
}

/** The servers, and what is on them. */
export interface PreparedGround {
  readonly ground: Ground;
  /** Calls an operation and answers what came. A wrecked server does not even know who asks. */
  ask(place: Place | "broken" | "wrecked", operation: string, input: Input): Promise<Answer>;
  /** What was logged as an error on the servers that work; nothing is expected. */
  unexpected(): readonly unknown[];
  close(): Promise<void>;
}

const image = makeImage({ seed: "modelled" });
const other = makeImage({ seed: "other" });
const index = makeIndex([image]);
const mostRules = 50;

/** Starts and fills the servers. Leaves none behind when that fails. */
export async function prepareGround(): Promise<PreparedGround> {
  const upstream = await startUpstreamDouble();
  upstream.misbehave((_request, response) => response.writeHead(503).end());
  const servers = {
    usual: await startRegistryServer({ trustedHosts: [upstream.host] }),
    full: await startRegistryServer({ limits: lowLimits }),
    broken: await startRegistryServer(),
    wrecked: await startRegistryServer(),
  };
  const close = async (): Promise<void> => {
    for (const server of Object.values(servers)) await server.close();
    await upstream.close();
  };
  try {
    await fillUsual(servers.usual, upstream.host);
    await fillUp(servers.full);
    await wreck(servers.broken, tablesOfCallers);
    await wreck(servers.wrecked, []);
    return {
      ask: (place, operation, input) => callEcr(servers[place], operation, input),
      ground: await groundOn(servers.usual, servers.full),
      unexpected: () => [...servers.usual.errors, ...servers.full.errors],
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function groundOn(usual: RegistryServer, full: RegistryServer): Promise<Ground> {
  const succeed = succeedOn(usual);
  const { uploadId } = await succeed("InitiateLayerUpload", app);
  const [layer] = image.layers;
  assert.ok(layer !== undefined);
  return {
    manifest: image.bytes.toString(),
    otherManifest: other.bytes.toString(),
    indexManifest: index.bytes.toString(),
    layerDigest: layer.digest,
    layerBytes: layer.bytes,
    uploadId: String(uploadId),
    sealedUploadId: await sealedUpload(usual),
    closedSecretArn: await closedSecret(usual),
    damagedSecretArn: await damagedSecret(usual),
    succeed,
    startedUpload: (...parts) => startUpload(usual, app.repositoryName, parts),
    async looseLayer() {
      const loose = makeBlob(100, "loose");
      await pushBlobs(usual, app.repositoryName, loose);
      return loose.digest;
    },
    async secondPart() {
      const second = { partFirstByte: 10, partLastByte: 19, layerPartBlob: Buffer.from("0123456789").toString("base64") };
      return { uploadId: await startUpload(full, app.repositoryName, ["0123456789"]), ...second };
    },
    async fillRules() {
      for (let number = 0; number < mostRules; number += 1)
        await succeedOn(full)("CreatePullThroughCacheRule", { ecrRepositoryPrefix: `rule-${number}`, upstreamRegistryUrl: "quay.io" });
    },
  };
}

function succeedOn(server: RegistryServer): Ground["succeed"] {
  return async (operation, input) => {
    const answer = await callEcr(server, operation, input);
    assert.equal(answer.status, 200, `${operation}: ${answer.body.toString()}`);
    return answer.json<Record<string, unknown>>();
  };
}

async function pushBlobs(server: RegistryServer, name: string, ...blobs: readonly Content[]): Promise<void> {
  for (const { digest, bytes } of blobs) {
    const { status } = await server.request("POST", `/v2/${name}/blobs/uploads/?digest=${digest}`, { body: bytes });
    assert.equal(status, 201);
  }
}

async function startUpload(server: RegistryServer, repositoryName: string, parts: readonly (string | Buffer)[]): Promise<string> {
  const succeed = succeedOn(server);
  const { uploadId } = await succeed("InitiateLayerUpload", { repositoryName });
  let partFirstByte = 0;
  for (const part of parts) {
    const bytes = Buffer.from(part as string);
    const partLastByte = partFirstByte + bytes.byteLength - 1;
    const layerPartBlob = bytes.toString("base64");
    await succeed("UploadLayerPart", { repositoryName, uploadId, partFirstByte, partLastByte, layerPartBlob });
    partFirstByte = partLastByte + 1;
  }
  return String(uploadId);
}

async function fillUsual(server: RegistryServer, upstreamHost: string): Promise<void> {
  const succeed = succeedOn(server);
  const name = app.repositoryName;
  for (const repository of [name, "team/empty", "team/previewed", "hub/app"]) await server.createRepository(repository);
  await server.createRepository("team/fixed", { tagMutability: "IMMUTABLE" });
  await server.push(name, image, "v1");
  await server.push(name, index, "index");
  await server.push(name, makeImage({ seed: "scanned" }), "scanned");
  await server.push(name, makeImage({ seed: "old" }), "old");
  const large = makeImage({ seed: "large", annotations: { note: "x".repeat(4_000_000) } });
  await server.push(name, large, ...largeTags);
  await server.push("team/fixed", image, "v1");
  for (const repository of [name, "team/fixed"]) await pushBlobs(server, repository, other.config, ...other.layers);
  await succeed("UpdateImageStorageClass", { ...app, imageId: { imageTag: "old" }, targetStorageClass: "ARCHIVE" });
  await succeed("CreatePullThroughCacheRule", { ecrRepositoryPrefix: "hub", upstreamRegistryUrl: `http://${upstreamHost}` });
}

/** The repository `team/sealed` with an upload, under a key that is disabled at the end. */
async function sealedUpload(server: RegistryServer): Promise<string> {
  const repositoryName = "team/sealed";
  const key = await makeKey(server);
  await succeedOn(server)("CreateRepository", { repositoryName, encryptionConfiguration: { encryptionType: "KMS", kmsKey: key.arn } });
  await pushBlobs(server, repositoryName, other.config, ...other.layers);
  const uploadId = await startUpload(server, repositoryName, ["sealed"]);
  await callKms(server, "DisableKey", { KeyId: key.id });
  return uploadId;
}

async function makeSecret(server: RegistryServer, name: string): Promise<string> {
  const input = { Name: `ecr-pullthroughcache/${name}`, SecretString: '{"username":"alice","accessToken":"secret"}' };
  return (await callJson(server, "secretsmanager.CreateSecret", input)).json<{ ARN: string }>().ARN;
}

async function closedSecret(server: RegistryServer): Promise<string> {
  const SecretId = await makeSecret(server, "closed");
  const Statement = [
    {
      Effect: "Deny",
      Principal: { Service: "pullthroughcache.ecr.amazonaws.com" },
      Action: "secretsmanager:GetSecretValue",
      Resource: "*",
    },
  ];
  const ResourcePolicy = JSON.stringify({ Version: "2012-10-17", Statement });
  const { status, body } = await callJson(server, "secretsmanager.PutResourcePolicy", { SecretId, ResourcePolicy });
  assert.equal(status, 200, body.toString());
  return SecretId;
}

async function damagedSecret(server: RegistryServer): Promise<string> {
  const arn = await makeSecret(server, "damaged");
  await server.core.metadata.transaction(async (tx) => {
    await sql`update secret_version set value_sealed = 'damaged' where secret_id = (select max(secret_id) from secret_version)`.execute(tx);
  });
  return arn;
}

const lowLimits = {
  repositoriesPerRegistry: 1,
  manifestsPerRepository: 1,
  creationTemplatesPerRegistry: 1,
  pullTimeExclusions: 1,
  partsPerUpload: 1,
};

/** Until the registry holds as much of everything as it may. */
async function fillUp(server: RegistryServer): Promise<void> {
  const succeed = succeedOn(server);
  await server.createRepository(app.repositoryName);
  await server.push(app.repositoryName, image, "v1");
  await pushBlobs(server, app.repositoryName, other.config, ...other.layers);
  await succeed("CreateRepositoryCreationTemplate", { prefix: "first", appliedFor: ["CREATE_ON_PUSH"] });
  await succeed("RegisterPullTimeUpdateExclusion", { principalArn: `arn:aws:iam::${server.accountId}:role/puller` });
  await succeed("PutRegistryScanningConfiguration", { scanType: "ENHANCED", rules: [] });
}

/** What tells who asks. */
const tablesOfCallers = ["account", "access_key", "epoch", "identity", "session"];

/** Takes a registry's tables away, but for those that are kept. */
async function wreck(server: RegistryServer, kept: readonly string[]): Promise<void> {
  await server.core.metadata.transaction(async (tx) => {
    const tables = await sql<{ name: string }>`select name from sqlite_master where type = 'table' and name not like 'sqlite_%'`.execute(
      tx,
    );
    for (const { name } of tables.rows.filter((table) => !kept.includes(table.name)))
      await sql`alter table ${sql.table(name)} rename to ${sql.table(`lost_${name}`)}`.execute(tx);
  });
}
