import assert from "node:assert/strict";
import { get as httpGet } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { listChanges } from "#metadata/changes.ts";
import { findManifest as findStored } from "#metadata/manifests.ts";
import { findPullTimes } from "#metadata/pull-times.ts";
import { startWorker } from "#jobs/worker.ts";
import type { Tag } from "#oci/tag.ts";
import { createRule } from "#registry/pull-through-rule.ts";
import { makeImage, makeIndex } from "../../test/fixtures/oci-content.ts";
import type { ManifestContent } from "../../test/fixtures/oci-content.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { RegistryServer } from "../../test/registry-server.ts";
import { fetchIndexChildren } from "./index-children.ts";
import { pullThroughJob } from "./job.ts";
import type { PullThroughPayload } from "./job.ts";
import { startUpstreamDouble } from "./testing/upstream-double.ts";
import type { UpstreamDouble } from "./testing/upstream-double.ts";

let server: RegistryServer;
let upstream: UpstreamDouble;

before(async () => {
  upstream = await startUpstreamDouble();
  server = await startRegistryServer({ trustedHosts: [upstream.host] });
  await addRule("hub", upstream.host);
});

afterEach(() => upstream.misbehave(undefined));

after(async () => {
  await server.close();
  await upstream.close();
});

async function addRule(prefix: string, host: string): Promise<void> {
  const registry = { accountId: server.accountId, region: server.region };
  const rule = { upstreamKind: undefined, upstreamPrefix: "ROOT", credentialArn: undefined, roleArn: undefined };
  const context = { core: server.core, actor: server.principal, requestId: "test" };
  await createRule(context, registry, { prefix, givenPrefix: prefix, upstreamUrl: `http://${host}`, ...rule });
}

function serveImage(name: string, seed: string, tag: string, layerSizeBytes = 2_000): ManifestContent {
  const image = makeImage({ seed, layerCount: 2, layerSizeBytes });
  upstream.serve(name, { manifest: image, blobs: [image.config, ...image.layers], tags: [tag] });
  return image;
}

/** The clock moves in these tests, and tokens end. */
const ask = (method: string, target: string) => server.request(method, target, { authorization: server.authorization() });
const getManifest = (name: string, reference: string) => ask("GET", `/v2/${name}/manifests/${reference}`);
const getBlob = (name: string, digest: string) => ask("GET", `/v2/${name}/blobs/${digest}`);

/** Until the tag is in the repository; the import goes on after the pull was answered. */
async function imported(name: string, tag: string, digest?: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const answer = await ask("GET", `/v2/${name}/tags/list`);
    const tags = answer.status === 200 ? answer.json<{ tags: string[] | null }>().tags : [];
    if (
      tags?.includes(tag) === true &&
      (digest === undefined || (await ask("HEAD", `/v2/${name}/manifests/${tag}`)).headers["docker-content-digest"] === digest)
    )
      return;
    await sleep(10);
  }
  assert.fail(`${name}:${tag} was not imported`);
}

test("an image is pulled through, kept, and served without the upstream", async () => {
  const image = serveImage("team/app", "first", "v1");
  const head = await ask("HEAD", "/v2/hub/team/app/manifests/v1");
  assert.equal(head.status, 200);
  assert.equal(head.headers["docker-content-digest"], image.digest);
  const got = await getManifest("hub/team/app", image.digest);
  assert.deepEqual(got.body, image.bytes);
  for (const blob of [image.config, ...image.layers]) {
    const answer = await getBlob("hub/team/app", blob.digest);
    assert.equal(answer.status, 200, answer.message);
    assert.deepEqual(answer.body, blob.bytes);
    assert.equal(answer.headers["docker-content-digest"], blob.digest);
  }
  await imported("hub/team/app", "v1");
  const before = upstream.asked.length;
  upstream.misbehave((_request, response) => response.destroy());
  assert.deepEqual((await getManifest("hub/team/app", "v1")).body, image.bytes);
  assert.equal((await getBlob("hub/team/app", image.config.digest)).status, 200);
  assert.equal(upstream.asked.length, before, "for a day nobody asks");
  for (const blob of [image.config, ...image.layers]) assert.equal(upstream.count("GET", new RegExp(`/team/app/blobs/${blob.digest}$`)), 1);
});

test("the first pull counts as one when the image is stored, and a look does not", async () => {
  const image = serveImage("team/noted", "noted", "v1");
  const index = makeIndex([image]);
  upstream.serve("team/noted", { manifest: index, tags: ["all"] });
  const key = { accountId: server.accountId, region: server.region, name: "hub/team/noted" };
  const pulledAt = async ({ digest }: Pick<ManifestContent, "digest">): Promise<number | undefined> => {
    await server.core.pulls.flush();
    const { manifest } = await findStored(server.core.metadata, key, { kind: "digest", digest });
    return (await findPullTimes(server.core.metadata, [manifest?.manifestId ?? 0])).get(manifest?.manifestId ?? 0);
  };
  assert.equal((await ask("HEAD", "/v2/hub/team/noted/manifests/v1")).status, 200);
  await imported("hub/team/noted", "v1");
  assert.equal(await pulledAt(image), undefined);
  const since = server.core.clock.now();
  assert.equal((await getManifest("hub/team/noted", "all")).status, 200);
  assert.ok(((await pulledAt(index)) ?? 0) >= since);
  const other = serveImage("team/noted", "noted other", "v2");
  assert.equal((await getManifest("hub/team/noted", "v2")).status, 200);
  assert.equal((await getManifest("hub/team/noted", other.digest)).status, 200);
  await imported("hub/team/noted", "v2");
  assert.ok(((await pulledAt(other)) ?? 0) >= since);
});

test("two hundred first pulls of one image ask the upstream once for each blob", async () => {
  const image = serveImage("team/herd", "herd", "v1", 300_000);
  const [layer] = image.layers;
  assert.ok(layer !== undefined);
  const startedAt = performance.now();
  const pulls = Array.from({ length: 200 }, async () => {
    assert.deepEqual((await getManifest("hub/team/herd", "v1")).body, image.bytes);
    const answer = await getBlob("hub/team/herd", layer.digest);
    assert.equal(answer.status, 200, answer.message);
    assert.ok(answer.body.equals(layer.bytes));
  });
  await Promise.all(pulls);
  await imported("hub/team/herd", "v1");
  const tookMs = performance.now() - startedAt;
  assert.equal(upstream.count("GET", /team\/herd\/blobs/), 3);
  // On a machine so busy that this takes seconds, pulls that come late look again for what is not stored yet.
  assert.ok(upstream.count("GET", /team\/herd\/manifests/) <= (tookMs < 3_000 ? 2 : 10));
});

test("what an upstream gets wrong reaches no client whole and is not kept", async () => {
  const lies: Readonly<Record<string, (bytes: Buffer, response: ServerResponse) => void>> = {
    "other bytes": (bytes, response) => response.writeHead(200, { "content-length": bytes.length }).end(Buffer.alloc(bytes.length, 1)),
    "a short body": (bytes, response) => response.writeHead(200, { "content-length": bytes.length - 9 }).end(bytes.subarray(9)),
    "a long body": (bytes, response) => response.writeHead(200).end(Buffer.concat([bytes, bytes])),
    "a length that is not true": (bytes, response) => response.writeHead(200, { "content-length": bytes.length * 2 }).end(bytes),
    "an encoded body": (bytes, response) =>
      response.writeHead(200, { "content-length": bytes.length, "content-encoding": "gzip" }).end(bytes),
    "a page for people": (_bytes, response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>"),
    "a redirect that goes round": (_bytes, response) => response.writeHead(307, { location: "/v2/team/liar/blobs/round" }).end(),
    "a redirect to this network": (_bytes, response) => response.writeHead(307, { location: "http://127.0.0.1:9/x" }).end(),
  };
  for (const [lie, answer] of Object.entries(lies)) {
    const name = `team/liar-${lie.replaceAll(" ", "-").toLowerCase()}`;
    const image = serveImage(name, lie, "v1", 200_000);
    const [layer] = image.layers;
    assert.ok(layer !== undefined);
    upstream.misbehave((request, response) => {
      if (!request.url?.includes("/blobs/")) return false;
      answer(layer.bytes, response);
      return true;
    });
    assert.equal((await getManifest(`hub/${name}`, "v1")).status, 200);
    const pulled = await getBlob(`hub/${name}`, layer.digest).catch((error: unknown) => error as Error);
    assert.ok(pulled instanceof Error || pulled.status >= 400, `${lie}: ${pulled instanceof Error ? "" : pulled.status}`);
    upstream.misbehave((_request, response) => response.writeHead(404).end());
    await sleep(20);
    assert.equal((await getBlob(`hub/${name}`, layer.digest)).status, 404, `${lie}: something was kept`);
    assert.equal((await getManifest(`hub/${name}`, "v1")).status, 404, `${lie}: the manifest was kept`);
  }
});

test("manifests are believed by their digest only", async () => {
  const image = serveImage("team/manifests", "manifests", "v1");
  const bodies: readonly (readonly [string, string, string])[] = [
    [image.digest, image.mediaType, '{"schemaVersion":2}'],
    ["v2", "text/html", "<html>"],
    ["v3", image.mediaType, "{}"],
    ["v4", image.mediaType, "x".repeat(4_194_305)],
    ["v5", image.mediaType, '{"schemaVersion":2,"schemaVersion":2}'],
  ];
  for (const [reference, mediaType, body] of bodies) {
    upstream.misbehave((_request, response) => response.writeHead(200, { "content-type": mediaType }).end(body));
    const answer = await getManifest("hub/team/manifests", reference);
    assert.deepEqual([answer.status, answer.code], [503, "UNAVAILABLE"], reference);
  }
  const statuses: readonly (readonly [number, number, string])[] = [
    [404, 404, "MANIFEST_UNKNOWN"],
    [401, 403, "DENIED"],
    [403, 403, "DENIED"],
    [429, 429, "TOOMANYREQUESTS"],
    [500, 503, "UNAVAILABLE"],
  ];
  for (const [status, answered, code] of statuses) {
    upstream.misbehave((_request, response) => response.writeHead(status).end());
    const answer = await getManifest("hub/team/absent", `s${status}`);
    assert.deepEqual([answer.status, answer.code], [answered, code], String(status));
  }
  assert.equal((await ask("GET", "/v2/hub/team/absent/tags/list")).code, "NAME_UNKNOWN", "nothing was made for them");
});

test("a body that breaks off is taken up where it ended", async () => {
  const image = serveImage("team/cut", "cut", "v1", 400_000);
  const [layer] = image.layers;
  assert.ok(layer !== undefined);
  let cuts = 0;
  upstream.misbehave((request, response) => {
    if (!request.url?.endsWith(layer.digest) || request.headers.range !== undefined) return false;
    cuts += 1;
    response.writeHead(200, { "content-length": layer.bytes.length }).write(layer.bytes.subarray(0, 150_000), () => response.destroy());
    return true;
  });
  await getManifest("hub/team/cut", "v1");
  const answer = await getBlob("hub/team/cut", layer.digest);
  assert.ok(answer.body.equals(layer.bytes));
  assert.equal(cuts, 1);
});

/** A client that takes the blob's bytes as it pleases. */
function openBlob(name: string, digest: string): Promise<IncomingMessage> {
  const headers = { authorization: server.authorization() };
  return new Promise((resolve, reject) => {
    httpGet(`${server.url}/v2/${name}/blobs/${digest}`, { headers, agent: false }, resolve).on("error", reject);
  });
}

test("a client that reads slowly holds up nobody, and one that leaves is not missed", async () => {
  const image = serveImage("team/slow", "slow", "v1", 14_000_000);
  const [layer] = image.layers;
  assert.ok(layer !== undefined);
  await getManifest("hub/team/slow", "v1");
  const [slow, leaver] = await Promise.all([openBlob("hub/team/slow", layer.digest), openBlob("hub/team/slow", layer.digest)]);
  leaver.once("data", () => leaver.destroy());
  leaver.on("error", () => {});
  await imported("hub/team/slow", "v1");
  assert.ok((await getBlob("hub/team/slow", layer.digest)).body.equals(layer.bytes));
  const chunks: Buffer[] = [];
  for await (const chunk of slow) chunks.push(chunk as Buffer);
  assert.ok(Buffer.concat(chunks).equals(layer.bytes), "what it missed came from the store");
  assert.equal(upstream.count("GET", new RegExp(`team/slow/blobs/${layer.digest}`)), 1);
});

test("an index is stored at once, and its children follow", async () => {
  const children = ["amd64", "arm64"].map((architecture) => serveImage("team/multi", architecture, architecture));
  const index = makeIndex(children);
  upstream.serve("team/multi", { manifest: index, tags: ["v1"] });
  assert.deepEqual((await getManifest("hub/team/multi", "v1")).body, index.bytes);
  const puller = await server.pullThrough.puller();
  const worker = startWorker({
    core: server.core,
    handlers: {
      [pullThroughJob]: ({ core, payload, signal }) => fetchIndexChildren({ core, puller }, payload as PullThroughPayload, signal),
    },
    pollMs: 20,
  });
  try {
    for (let tries = 0; tries < 200; tries += 1) {
      upstream.misbehave(undefined);
      const rows = await server.core.metadata.read.selectFrom("job").select("job_id").where("kind", "=", pullThroughJob).execute();
      if (rows.length === 0) break;
      await sleep(20);
    }
  } finally {
    await worker.stop();
  }
  upstream.misbehave((_request, response) => response.destroy());
  for (const child of children) {
    assert.deepEqual((await getManifest("hub/team/multi", child.digest)).body, child.bytes);
    assert.equal((await getBlob("hub/team/multi", child.config.digest)).status, 200);
  }
  const { accountId, region } = server;
  const { manifest } = await findStored(
    server.core.metadata,
    { accountId, region, name: "hub/team/multi" },
    { kind: "tag", tag: "v1" as Tag },
  );
  const sizes = children.map(({ config, layers }) => [config, ...layers].reduce((sum, { bytes }) => sum + bytes.length, 0));
  assert.equal(manifest?.contentSizeBytes, Math.max(...sizes), "the index is as large as its largest child");
});

test("referrers of the upstream are listed beside the own ones", async () => {
  const subject = serveImage("team/signed", "signed", "v1");
  await getManifest("hub/team/signed", "v1");
  await imported("hub/team/signed", "v1");
  const theirs = makeImage({ seed: "theirs", subject, artifactType: "application/vnd.example.theirs" });
  const descriptor = {
    mediaType: theirs.mediaType,
    digest: theirs.digest,
    size: theirs.bytes.length,
    artifactType: "application/vnd.example.theirs",
  };
  upstream.serveReferrers("team/signed", subject.digest, { schemaVersion: 2, manifests: [descriptor, { digest: "no" }, 7] });
  const own = makeImage({ seed: "own", subject, artifactType: "application/vnd.example.own" });
  await server.push("hub/team/signed", own);
  const listed = await ask("GET", `/v2/hub/team/signed/referrers/${subject.digest}`);
  const digests = listed.json<{ manifests: { digest: string }[] }>().manifests.map(({ digest }) => digest);
  assert.deepEqual(digests, [own.digest, theirs.digest].toSorted());
});

test("every attempt is in the change log with what its event needs", async () => {
  const changes = (await listChanges(server.core.metadata, { limit: 1_000 })).filter(({ kind }) => kind === "pull-through");
  const success = changes.find(({ repositoryName, subject }) => repositoryName === "hub/team/app" && subject === "v1");
  assert.ok(success !== undefined);
  const { digest, ...rest } = success.after as Record<string, string>;
  assert.match(digest ?? "", /^sha256:/);
  assert.deepEqual(rest, { status: "SUCCESS", prefix: "hub", upstreamUrl: `http://${upstream.host}`, tag: "v1" });
  assert.ok(success.repositoryId !== undefined);
  const failed = changes.find(({ repositoryName, subject }) => repositoryName === "hub/team/absent" && subject === "s403");
  assert.ok(failed !== undefined);
  assert.equal((failed.after as Record<string, string>)["failureCode"], "UpstreamAccessDenied");
  assert.deepEqual(server.errors, []);
});

test("a tag that was pushed here is not replaced, and one that is immutable stays", async () => {
  await server.createRepository("hub/team/own");
  const own = makeImage({ seed: "own" });
  await server.push("hub/team/own", own, "v1");
  serveImage("team/own", "theirs", "v1");
  server.advance(86_400_001);
  assert.deepEqual((await getManifest("hub/team/own", "v1")).body, own.bytes);
  await server.createRepository("hub/team/fixed", { tagMutability: "IMMUTABLE" });
  const first = serveImage("team/fixed", "fixed", "v1");
  await getManifest("hub/team/fixed", "v1");
  await imported("hub/team/fixed", "v1");
  serveImage("team/fixed", "changed", "v1");
  server.advance(86_400_001);
  assert.deepEqual((await getManifest("hub/team/fixed", "v1")).body, first.bytes);
});

test("after a day the tag is compared; a newer one replaces it, and without the upstream the cached one stays", async () => {
  const old = serveImage("team/moving", "old", "latest");
  await getManifest("hub/team/moving", "latest");
  await imported("hub/team/moving", "latest");
  server.advance(86_400_001);
  const same = upstream.count("GET", /team\/moving\/manifests/);
  assert.deepEqual((await getManifest("hub/team/moving", "latest")).body, old.bytes);
  assert.equal(upstream.count("GET", /team\/moving\/manifests/), same, "HEAD says that it is the same");
  server.advance(86_400_001);
  const newer = serveImage("team/moving", "newer", "latest");
  assert.deepEqual((await getManifest("hub/team/moving", "latest")).body, newer.bytes);
  await imported("hub/team/moving", "latest", newer.digest);
  server.advance(86_400_001);
  upstream.misbehave((_request, response) => response.writeHead(500).end());
  assert.deepEqual((await getManifest("hub/team/moving", "latest")).body, newer.bytes);
  server.advance(60_000);
  const nobody = upstream.asked.length;
  assert.equal((await getManifest("hub/team/moving", "latest")).status, 200);
  assert.ok(upstream.asked.length > nobody, "after its rest the upstream is asked again");
});
