/** A full disk: a small loop-mounted file system. Each write that does not fit is refused precisely, nothing half-written stays, and the server lives. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { spawnSync } from "node:child_process";
import { CreateRepositoryCommand } from "@aws-sdk/client-ecr";
import { createEcrClient, registryPassword } from "../aws-client.ts";
import { mustRun } from "../clients/tool.ts";
import { UnexpectedAnswer, createOciClient } from "../oci-client.ts";
import { startServerProcess } from "../server-process.ts";

const folder = mkdtempSync(join(tmpdir(), "supercargo-full-"));
const mountPoint = join(folder, "disk");

/** Mounts a 40 MB file system, or says why not. */
function mountSmallDisk(): { skip?: string } {
  mkdirSync(mountPoint);
  const made = spawnSync(
    "sh",
    ["-c", `truncate -s 40M ${folder}/disk.img && mkfs.ext4 -q -m 0 ${folder}/disk.img && mount -o loop ${folder}/disk.img ${mountPoint}`],
    { encoding: "utf8" },
  );
  return made.status === 0 ? {} : { skip: `mounting is not possible here: ${made.stderr.trim().split("\n").at(-1)}` };
}

test("a full disk refuses precisely and the server lives", { timeout: 120_000, ...mountSmallDisk() }, async () => {
  const server = await startServerProcess({ folder: join(mountPoint, "data") });
  try {
    const client = createEcrClient(server.url);
    await client.send(new CreateRepositoryCommand({ repositoryName: "full" }));
    const oci = createOciClient(server.url, await registryPassword(client));
    const kept = await oci.pushImage("full", "kept", [randomBytes(2_000_000)]);
    const pushUntilFull = async (): Promise<UnexpectedAnswer | undefined> => {
      for (let index = 0; index < 30; index++) {
        const outcome = await oci.pushBlob("full", randomBytes(4_000_000)).catch((error: unknown) => error);
        if (outcome instanceof UnexpectedAnswer) return outcome;
        if (outcome instanceof Error) throw outcome;
      }
      return undefined;
    };
    const refusal = await pushUntilFull();
    assert.ok(refusal !== undefined, "the disk never filled");
    assert.match(refusal.message, /no space|disk is full|storage is full/i);
    assert.equal((await oci.verifyImage("full", "kept")).digest, kept.digest);
    assert.deepEqual(await oci.listTags("full"), ["kept"]);
    // Unreferenced blobs go, and then there is room again.
    await mustRun([
      process.execPath,
      new URL("../../src/cli/main.ts", import.meta.url).pathname,
      "gc",
      "--grace",
      "0",
      "--data",
      server.folder,
    ]);
    await oci.pushImage("full", "again", [randomBytes(4_000_000)]);
    assert.deepEqual(await oci.listTags("full"), ["again", "kept"]);
  } finally {
    await server.close();
    spawnSync("umount", [mountPoint]);
    rmSync(folder, { recursive: true, force: true });
  }
});
