/** The kms room on a real database in a temporary folder, with a clock that tests move. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase } from "#metadata/database.ts";
import { makeInstanceKey } from "#sealing/instance-key.ts";
import { createSealer } from "#sealing/sealer.ts";
import { silentLog } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import type { KmsContext, KmsCore } from "../context.ts";
import { KmsError } from "../errors.ts";
import type { KmsErrorKind } from "../errors.ts";
import { createKey } from "../key.ts";
import type { KeyRequest } from "../key.ts";

/** An open room. */
export interface TestKms {
  readonly ctx: KmsContext;
  readonly core: KmsCore;
  /** The same database, with another instance key. */
  readonly strangers: KmsCore;
  /** Makes a key with nothing special about it. */
  createKey(request?: Partial<KeyRequest>): ReturnType<typeof createKey>;
  advance(milliseconds: number): void;
  close(): Promise<void>;
}

/** Opens a room; close it. Nobody but users named `nobody` fails to be found. */
export async function openTestKms(): Promise<TestKms> {
  const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "kms-"));
  const metadata = await openDatabase({ kind: "sqlite", file: join(folder, "test.sqlite") }, { log: silentLog });
  let now = 1_700_000_000_000;
  const clock = { now: () => now };
  const core: KmsCore = { metadata, clock, random: systemRandom, sealer: createSealer([makeInstanceKey(systemRandom)], systemRandom) };
  const ctx: KmsContext = {
    core,
    accountId: "111111111111",
    region: "eu-west-1",
    resolvePrincipals: async (principals) => {
      const missing = principals.find((principal) => principal.endsWith("/nobody"));
      if (missing !== undefined) return { ok: false, principal: missing };
      return {
        ok: true,
        resolved: Object.fromEntries(principals.filter((name) => name.includes(":user/")).map((name) => [name, `id of ${name}`])),
      };
    },
  };
  return {
    ctx,
    core,
    strangers: { ...core, sealer: createSealer([makeInstanceKey(systemRandom)], systemRandom) },
    createKey: (request = {}) => createKey(ctx, { description: "", policy: undefined, tags: [], lockOutCheck: undefined, ...request }),
    advance(milliseconds) {
      now += milliseconds;
    },
    async close() {
      await metadata.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** For `assert.rejects`: a refusal of that kind. */
export function refused(kind: KmsErrorKind): (error: unknown) => boolean {
  return (error) => error instanceof KmsError && error.refusal.kind === kind;
}
