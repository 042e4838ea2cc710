import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { claimJob, finishJob } from "#metadata/jobs.ts";
import { createRule } from "#registry/pull-through-rule.ts";
import { makeImage, makeIndex } from "../../test/fixtures/oci-content.ts";
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
  const registry = { accountId: server.accountId, region: server.region };
  const rule = { upstreamKind: undefined, upstreamPrefix: "ROOT", credentialArn: undefined, roleArn: undefined };
  const context = { core: server.core, actor: server.principal, requestId: "test" };
  await createRule(context, registry, { prefix: "hub", givenPrefix: "hub", upstreamUrl: `http://${upstream.host}`, ...rule });
});
after(async () => {
  await server.close();
  await upstream.close();
});

/** Does the jobs that are due, also those that become due by it; answers how many. */
async function work(): Promise<number> {
  const { core } = server;
  const puller = await server.pullThrough.puller();
  for (let done = 0; ; done += 1) {
    const job = await claimJob(core.metadata, { kinds: [pullThroughJob], now: core.clock.now(), leaseMs: 60_000 });
    if (job === undefined) return done;
    await fetchIndexChildren({ core, puller }, job.payload as PullThroughPayload, new AbortController().signal);
    await finishJob(core.metadata, { jobId: job.jobId, attempt: job.attempt });
  }
}

test("one pull fetches an index and what it names, and no deeper: that is fetched when it is pulled", async () => {
  const image = makeImage({ seed: "deep" });
  const inner = makeIndex([image]);
  const outer = makeIndex([inner]);
  upstream.serve("app", { manifest: image, blobs: [image.config, ...image.layers] });
  for (const manifest of [inner, outer]) upstream.serve("app", { manifest, tags: ["v1"] });
  assert.equal((await server.request("GET", "/v2/hub/app/manifests/v1")).status, 200);
  assert.equal(await work(), 1);
  assert.equal(upstream.count("GET", new RegExp(`manifests/${inner.digest}$`)), 1);
  assert.equal(upstream.count("GET", new RegExp(`manifests/${image.digest}$`)), 0);
  for (const { digest } of [inner, image]) assert.equal((await server.request("GET", `/v2/hub/app/manifests/${digest}`)).status, 200);
});
