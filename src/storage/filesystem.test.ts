import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { systemRandom } from "#std/random.ts";
import { storageDriverContract } from "./driver-contract.ts";
import { createFilesystemDriver } from "./filesystem.ts";

const root = await mkdtemp(join(tmpdir(), "supercargo-storage-"));
after(() => rm(root, { recursive: true, force: true }));

storageDriverContract("filesystem", async () =>
  createFilesystemDriver({ folder: await mkdtemp(join(root, "contract-")), random: systemRandom }),
);
