/** Pulls through the cache with real clients from a real other registry (Docker's own), directly and through a proxy that gets things wrong. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request as httpRequest } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { CreatePullThroughCacheRuleCommand, ListImagesCommand } from "@aws-sdk/client-ecr";
import { until } from "#std/testing/until.ts";
import { createEcrClient, registryPassword } from "../aws-client.ts";
import { makeImage } from "../fixtures/oci-content.ts";
import type { ManifestContent } from "../fixtures/oci-content.ts";
import { freePort, startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { startDockerEngine } from "./docker-engine.ts";
import { writeImageLayout } from "./image-layout.ts";
import { json, mustRun, needs, runTool } from "./tool.ts";

/** Stands between the two registries. */
interface SpoilingProxy {
  host: string;
  readonly server: Server;
  asked: string[];
  spoil: Spoil;
}

/** True when the answer has been dealt with. */
type Spoil = (request: IncomingMessage, answer: IncomingMessage, response: ServerResponse) => boolean;

const folder = mkdtempSync(join(tmpdir(), "supercargo-through-"));
/** Debian's package of Docker's registry. */
const registryProgram = "docker-registry";
const tools = needs(registryProgram, "skopeo");
let upstream: { readonly host: string; close(): void };
let proxy: SpoilingProxy;
let server: ServerProcess;
let password: string;

before(async () => {
  if (tools.skip !== undefined) return;
  upstream = await startUpstream();
  proxy = await startProxy(upstream.host);
  server = await startServerProcess({ environment: { SUPERCARGO_TRUSTED_HOSTS: proxy.host } });
  const ecr = createEcrClient(server.url);
  password = await registryPassword(ecr);
  await ecr.send(new CreatePullThroughCacheRuleCommand({ ecrRepositoryPrefix: "hub", upstreamRegistryUrl: `http://${proxy.host}` }));
});

after(async () => {
  if (tools.skip === undefined) {
    await server.close();
    proxy.server.closeAllConnections();
    proxy.server.close();
    upstream.close();
  }
  rmSync(folder, { recursive: true, force: true });
});

/** Debian's docker-registry on a free port, with a folder of its own. */
async function startUpstream(): Promise<{ readonly host: string; close(): void }> {
  const host = `127.0.0.1:${await freePort()}`;
  const file = join(folder, "registry.yml");
  mkdirSync(join(folder, "registry"));
  const settings = { version: 0.1, storage: { filesystem: { rootdirectory: join(folder, "registry") } }, http: { addr: host } };
  writeFileSync(file, JSON.stringify(settings));
  const child = spawn(registryProgram, ["serve", file], { stdio: "ignore" });
  const isUp = (): Promise<boolean> =>
    fetch(`http://${host}/v2/`).then(
      ({ ok }) => ok,
      () => false,
    );
  await until(isUp, { everyMs: 50, otherwise: "docker-registry did not start" });
  return { host, close: () => void child.kill() };
}

/** Stands before the upstream, remembers what it is asked, and spoils what it is told to. */
async function startProxy(target: string): Promise<SpoilingProxy> {
  const own: SpoilingProxy = { host: "", server: createServer(), asked: [], spoil: () => false };
  own.server.on("request", (request, response) => {
    own.asked.push(`${request.method} ${request.url}`);
    const [host, port] = target.split(":");
    const { connection: _connection, ...headers } = request.headers;
    const asked = httpRequest({ host, port, method: request.method, path: request.url, headers }, (answer) => {
      if (own.spoil(request, answer, response)) return;
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    asked.on("error", () => response.destroy());
    request.pipe(asked);
  });
  await new Promise<void>((resolve) => void own.server.listen(0, "127.0.0.1", resolve));
  own.host = `127.0.0.1:${(own.server.address() as AddressInfo).port}`;
  return own;
}

async function publish(name: string, seed: string, layerSizeBytes = 50_000): Promise<ManifestContent> {
  const image = makeImage({ seed, layerCount: 3, layerSizeBytes });
  const layout = join(folder, `layout-${seed}`);
  writeImageLayout(layout, image);
  await mustRun(["skopeo", "copy", "--dest-tls-verify=false", `oci:${layout}:v1`, `docker://${upstream.host}/${name}:v1`]);
  return image;
}

const pullTo = (name: string, place: string) => {
  const source = `docker://${server.host}/hub/${name}`;
  return runTool(["skopeo", "copy", "--src-creds", `AWS:${password}`, "--src-tls-verify=false", source, `dir:${join(folder, place)}`]);
};

async function storedTags(name: string): Promise<readonly (string | undefined)[]> {
  const ecr = createEcrClient(server.url);
  try {
    const { imageIds = [] } = await ecr.send(new ListImagesCommand({ repositoryName: `hub/${name}` }));
    return imageIds.map(({ imageTag }) => imageTag);
  } catch (error) {
    if (error instanceof Error && error.name === "RepositoryNotFoundException") return [];
    throw error;
  }
}

async function untilStored(name: string): Promise<void> {
  await until(async () => (await storedTags(name)).includes("v1"), { everyMs: 50, otherwise: `${name} was not stored` });
}

beforeEach(() => {
  if (tools.skip === undefined) proxy.spoil = () => false;
});

test("skopeo pulls through, and again when the upstream is gone", tools, async () => {
  const image = await publish("team/app", "app");
  const first = await pullTo("team/app:v1", "first");
  assert.equal(first.status, 0, first.stderr);
  assert.deepEqual(readFileSync(join(folder, "first", "manifest.json")), image.bytes);
  await untilStored("team/app");
  proxy.spoil = (_request, _answer, response) => response.destroy() !== undefined;
  const again = await pullTo("team/app:v1", "again");
  assert.equal(again.status, 0, again.stderr);
  const gone = await pullTo("team/never:v1", "gone");
  assert.notEqual(gone.status, 0);
  assert.match(gone.stderr, /503 Service Unavailable/);
  proxy.spoil = () => false;
  const missing = await pullTo("team/missing:v1", "missing");
  assert.match(missing.stderr, /manifest unknown|Requested image not found/);
});

test("two hundred at once fetch each blob once", tools, async () => {
  const image = await publish("team/herd", "herd", 400_000);
  proxy.asked = [];
  const authorization = `Basic ${Buffer.from(`AWS:${password}`).toString("base64")}`;
  const get = async (path: string): Promise<Buffer> => {
    const answer = await fetch(`${server.url}/v2/hub/team/herd/${path}`, { headers: { authorization } });
    assert.equal(answer.status, 200, path);
    return Buffer.from(await answer.arrayBuffer());
  };
  const one = async (): Promise<void> => {
    assert.ok((await get("manifests/v1")).equals(image.bytes));
    for (const layer of image.layers) assert.ok((await get(`blobs/${layer.digest}`)).equals(layer.bytes));
  };
  await Promise.all(Array.from({ length: 200 }, one));
  await untilStored("team/herd");
  for (const blob of [image.config, ...image.layers])
    assert.equal(proxy.asked.filter((line) => line === `GET /v2/team/herd/blobs/${blob.digest}`).length, 1);
});

test("a lying, cut off or slow upstream leaves nothing wrong behind", tools, async () => {
  const lies: Readonly<Record<string, Spoil>> = {
    lying: (_request, answer, response) => {
      response.writeHead(200, answer.headers);
      answer.on("data", (chunk: Buffer) => response.write(chunk.fill(1))).on("end", () => response.end());
      return true;
    },
    cut: (_request, answer, response) => {
      response.writeHead(200, answer.headers);
      answer.once("data", (chunk: Buffer) => response.write(chunk.subarray(0, 100), () => response.destroy()));
      return true;
    },
  };
  for (const [lie, spoil] of Object.entries(lies)) {
    const name = `team/${lie}`;
    await publish(name, lie);
    proxy.spoil = (request, answer, response) =>
      request.method === "GET" && request.url?.includes("/blobs/") === true && spoil(request, answer, response);
    const pulled = await pullTo(`${name}:v1`, lie);
    assert.notEqual(pulled.status, 0, lie);
    assert.deepEqual(await storedTags(name), [], lie);
    proxy.spoil = () => false;
    const honest = await pullTo(`${name}:v1`, `${lie}-honest`);
    assert.equal(honest.status, 0, honest.stderr);
    await untilStored(name);
  }
  await publish("team/slow", "slow");
  proxy.spoil = (_request, answer, response) => {
    setTimeout(() => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    }, 300);
    return true;
  };
  const slow = await pullTo("team/slow:v1", "slow");
  assert.equal(slow.status, 0, slow.stderr);
  proxy.spoil = () => false;
});

test("docker pulls through", { ...needs(registryProgram, "skopeo", "dockerd"), timeout: 300_000 }, async (t) => {
  const image = await publish("team/docker", "docker");
  const engine = await startDockerEngine();
  t.after(() => engine.close());
  await engine.docker(["login", "-u", "AWS", "--password-stdin", server.host], password);
  await engine.docker(["pull", `${server.host}/hub/team/docker:v1`]);
  const [inspected] = json<{ RepoDigests: string[] }[]>(await engine.docker(["inspect", `${server.host}/hub/team/docker:v1`]));
  assert.deepEqual(inspected?.RepoDigests, [`${server.host}/hub/team/docker@${image.digest}`]);
  await untilStored("team/docker");
});
