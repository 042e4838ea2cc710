import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startUpstreamDouble } from "#pullthrough/testing/upstream-double.ts";
import { until } from "#std/testing/until.ts";
import { makeImage, makeIndex } from "../../test/fixtures/oci-content.ts";
import { startInProcess } from "./testing/in-process.ts";

test("an upstream that never answers holds up no other work", async () => {
  const upstream = await startUpstreamDouble();
  const running = await startInProcess({ SUPERCARGO_TRUSTED_HOSTS: upstream.host });
  try {
    await running.call("CreatePullThroughCacheRule", { ecrRepositoryPrefix: "slow", upstreamRegistryUrl: `http://${upstream.host}` });
    await running.call("CreateRepository", { repositoryName: "own" });
    const indexes = ["a", "b", "c"].map((seed) => makeIndex([makeImage({ seed })]));
    for (const [at, manifest] of indexes.entries()) upstream.serve("app", { manifest, tags: [`v${at}`] });
    const children = /manifests\/sha256:/;
    upstream.misbehave(({ url = "" }) => children.test(url));
    for (const at of indexes.keys())
      await running.call("BatchGetImage", { repositoryName: "slow/app", imageIds: [{ imageTag: `v${at}` }] });
    await until(() => upstream.count("GET", children) >= 2);
    const rule = {
      rulePriority: 1,
      selection: { tagStatus: "any", countType: "imageCountMoreThan", countNumber: 1 },
      action: { type: "expire" },
    };
    const asked = { repositoryName: "own", lifecyclePolicyText: JSON.stringify({ rules: [rule] }) };
    await running.call("StartLifecyclePolicyPreview", asked);
    let status = "IN_PROGRESS";
    for (let tries = 0; tries < 400 && status === "IN_PROGRESS"; tries += 1) {
      await sleep(20);
      ({ status } = await running.call<{ status: string }>("GetLifecyclePolicyPreview", { repositoryName: "own" }));
    }
    assert.equal(status, "COMPLETE");
  } finally {
    await upstream.close();
    await running.close();
  }
});
