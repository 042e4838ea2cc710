/**
 * kill -9 is a normal event: the server is killed at random moments of 200 pushes and started again on the same folder.
 * Afterwards every acknowledged image is complete, no tag is visible that was not put, and fsck finds nothing but unreferenced bytes.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CreateRepositoryCommand } from "@aws-sdk/client-ecr";
import { createEcrClient, registryPassword } from "../aws-client.ts";
import { mustRun, runTool } from "../clients/tool.ts";
import { UnexpectedAnswer, createOciClient } from "../oci-client.ts";
import { freePort, startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";

const pushes = 200;
const leastKills = 5;
const leastAcknowledged = 20;
const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;

/** What is known of one push: acknowledged with a digest, or its last request was under way when the server died. */
interface Push {
  acknowledged?: string;
  manifestWasSent: boolean;
}

test(`kill -9 at random moments of ${pushes} pushes loses nothing that was acknowledged`, { timeout: 300_000 }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "supercargo-kill-"));
  const port = await freePort();
  let server: ServerProcess = await startServerProcess({ folder, port });
  try {
    const client = createEcrClient(server.url);
    await client.send(new CreateRepositoryCommand({ repositoryName: "kill" }));
    const oci = createOciClient(server.url, await registryPassword(client));
    const log = new Map<string, Push>();
    const shared = randomBytes(200_000);
    let next = 0;
    let kills = 0;
    let acknowledgements = 0;
    // On a fast machine all is pushed after a few kills, on a slow one little is pushed between them.
    const isDone = (): boolean => next >= pushes && kills >= leastKills && acknowledgements >= leastAcknowledged;
    /** Resolves when the server answers again. */
    let running: Promise<unknown> = Promise.resolve();

    const pusher = async (): Promise<void> => {
      while (!isDone()) {
        const tag = `t${next++}`;
        const entry: Push = { manifestWasSent: false };
        log.set(tag, entry);
        try {
          const layer = await oci.pushBlob("kill", randomBytes(1000 + Math.floor(Math.random() * 300_000)));
          const common = await oci.pushBlob("kill", shared);
          const config = await oci.pushBlob("kill", Buffer.from(JSON.stringify({ tag })), "application/vnd.oci.image.config.v1+json");
          entry.manifestWasSent = true;
          entry.acknowledged = (
            await oci.putManifest("kill", tag, {
              schemaVersion: 2,
              mediaType: "application/vnd.oci.image.manifest.v1+json",
              config,
              layers: [layer, common],
            })
          ).digest;
          acknowledgements++;
        } catch (error) {
          // The server died under this push; an answer it did give must not be a refusal.
          assert.ok(!(error instanceof UnexpectedAnswer), String(error));
          await running;
        }
      }
    };
    const killer = async (): Promise<void> => {
      let longestLifeMs = 350;
      while (!isDone()) {
        const before = acknowledgements;
        await sleep(30 + Math.random() * longestLifeMs);
        if (acknowledgements === before) longestLifeMs *= 1.2;
        const restart = Promise.withResolvers<void>();
        running = restart.promise;
        await server.kill("SIGKILL");
        kills++;
        server = await startServerProcess({ folder, port });
        restart.resolve();
      }
    };
    await Promise.all([killer(), pusher(), pusher(), pusher()]);

    const acknowledged = [...log].filter(([, push]) => push.acknowledged !== undefined);
    for (const [tag, push] of acknowledged) assert.equal((await oci.verifyImage("kill", tag)).digest, push.acknowledged, tag);
    const visible = await oci.listTags("kill");
    for (const tag of visible) {
      // A commit whose answer was cut off by the kill is visible and was not acknowledged; it must be whole, and its PUT must have been sent.
      if (log.get(tag)?.acknowledged !== undefined) continue;
      assert.equal(log.get(tag)?.manifestWasSent, true, `${tag} is visible although its manifest was never put`);
      await oci.verifyImage("kill", tag);
    }
    await server.kill("SIGKILL");
    context.diagnostic(`${kills} kills, ${acknowledged.length} of ${log.size} acknowledged, ${visible.length} visible`);

    const fsck = async (): Promise<{ problems: unknown[]; unreferencedEntries: number; unreferencedBytes: number }> =>
      JSON.parse(await mustRun([process.execPath, main, "fsck", "--read-bytes", "--data", folder], { timeoutMs: 120_000 }));
    const before = await fsck();
    assert.deepEqual(before.problems, []);
    const collected = await runTool([process.execPath, main, "gc", "--grace", "0", "--data", folder], { timeoutMs: 120_000 });
    assert.equal(collected.status, 0, collected.stderr);
    const afterwards = await fsck();
    assert.deepEqual([afterwards.problems, afterwards.unreferencedEntries], [[], 0]);
    context.diagnostic(
      `unreferenced before gc: ${before.unreferencedEntries} entries, ${before.unreferencedBytes} bytes; after: ${afterwards.unreferencedEntries}`,
    );
    server = await startServerProcess({ folder, port });
    for (const [tag, push] of acknowledged) assert.equal((await oci.verifyImage("kill", tag)).digest, push.acknowledged, `${tag} after gc`);
  } finally {
    await server.kill("SIGKILL").catch(() => undefined);
    rmSync(folder, { recursive: true, force: true });
  }
});
