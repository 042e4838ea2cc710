/** `supercargo replicate --backfill` through the control socket of a running server, down to the copy in the other region. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { callControl } from "./control.ts";
import { startInProcess } from "./testing/in-process.ts";
import type { InProcessServer } from "./testing/in-process.ts";

let running: InProcessServer;
before(async () => {
  running = await startInProcess({ SUPERCARGO_REGIONS: "us-east-1,us-west-2" });
});
after(() => running.close());

const backfill = (input: object): Promise<unknown> =>
  callControl(running.server.foundation.paths.controlSocket, "replicate-backfill", { after: 0, ...input });

test("what was pushed before the rule is replicated on request, by the running server", async () => {
  await running.call("CreateRepository", { repositoryName: "web" });
  const imageManifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [],
  });
  await running.call("PutImage", { repositoryName: "web", imageManifest, imageTag: "v1" });
  const rules = [{ destinations: [{ region: "us-west-2", registryId: running.settings.account }] }];
  await running.call("PutReplicationConfiguration", { replicationConfiguration: { rules } });
  const status = async () => {
    const input = { repositoryName: "web", imageId: { imageTag: "v1" } };
    const answer = await running.call<{ replicationStatuses: { status: string }[] }>("DescribeImageReplicationStatus", input);
    return answer.replicationStatuses.map((each) => each.status).join();
  };
  assert.equal(await status(), "");
  assert.deepEqual(await backfill({ repository: "web" }), { manifests: 1, replications: 1 });
  for (let rounds = 0; (await status()) !== "COMPLETE"; rounds += 1) {
    assert.ok(rounds < 200, "it is not replicated");
    await sleep(25);
  }
  assert.deepEqual(await backfill({ region: "us-west-2" }), { manifests: 0, replications: 0 });
  await assert.rejects(backfill({ repository: "none" }), /there is no repository 'none' in the registry of account/);
});
