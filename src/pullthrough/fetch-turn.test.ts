import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { claimUpstreamFetch } from "#metadata/upstream-fetches.ts";
import type { Digest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { createRule } from "#registry/pull-through-rule.ts";
import { makeImage } from "../../test/fixtures/oci-content.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { RegistryServer } from "../../test/registry-server.ts";
import { createPuller } from "./pull.ts";
import type { Pull, Puller } from "./pull.ts";
import { startUpstreamDouble } from "./testing/upstream-double.ts";
import type { UpstreamDouble } from "./testing/upstream-double.ts";

let server: RegistryServer;
let upstream: UpstreamDouble;
let nodes: readonly Puller[];
let pull: Pull;
const name = "hub/app" as RepositoryName;
const image = makeImage({ seed: "turns", layerCount: 3 });

before(async () => {
  upstream = await startUpstreamDouble();
  server = await startRegistryServer({ trustedHosts: [upstream.host] });
  await server.createRepository(name);
  upstream.serve("app", { blobs: [image.config, ...image.layers] });
  const deps = await server.pullThrough.upstreamDeps();
  const { core, accountId, region, principal } = server;
  const registry = { accountId, region };
  const context = { core, actor: principal, requestId: "test" };
  const identity = { credentialArn: undefined, roleArn: undefined };
  const upstreamUrl = `http://${upstream.host}`;
  const named = { prefix: "hub", givenPrefix: "hub", upstreamKind: undefined, upstreamUrl, upstreamPrefix: undefined };
  pull = { context, registry, name, rule: await createRule(context, registry, { ...named, ...identity }), may: async () => true };
  nodes = [1, 2, 3].map(() => createPuller(deps, { isOnlyNode: false }));
});

after(async () => {
  await server.close();
  await upstream.close();
});

/** Answers about a blob come so much later. */
function holdBack(digest: string, holdMs: number): void {
  const blob = [image.config, ...image.layers].find((each) => each.digest === digest);
  upstream.misbehave((_request, response) => {
    void sleep(holdMs).then(() => response.writeHead(200, { "content-length": blob?.bytes.length }).end(blob?.bytes));
  });
}

test("nodes that are asked for one blob at the same time fetch it once", async () => {
  const { digest } = image.config;
  holdBack(digest, 300);
  await Promise.all(nodes.map((node) => node.storeBlob(pull, digest)));
  assert.equal(upstream.count("GET", new RegExp(digest)), 1);
});

test("when one fails, the next one tries", async () => {
  const digest = image.layers[0]?.digest ?? "";
  upstream.misbehave((_request, response) => {
    upstream.misbehave(undefined);
    void sleep(100).then(() => response.writeHead(404).end());
  });
  const results = await Promise.allSettled(nodes.map((node) => node.storeBlob(pull, digest as Digest)));
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 2);
});

test("a node that died with its claim holds up nobody for long", async () => {
  const digest = image.layers[1]?.digest ?? "";
  upstream.misbehave(undefined);
  const { metadata, clock } = server.core;
  const key = { ...pull.registry, name };
  await claimUpstreamFetch(metadata, { key, digest, fetchId: "dead", now: clock.now(), leaseMs: 60_000 });
  const stored = nodes[0]?.storeBlob(pull, digest as Digest);
  await sleep(50);
  assert.equal(upstream.count("GET", new RegExp(digest)), 0, "it waits");
  server.advance(10_000);
  await stored;
  assert.equal(upstream.count("GET", new RegExp(digest)), 1);
});
