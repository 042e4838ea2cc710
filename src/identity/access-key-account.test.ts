import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ensureAccount, putRootKey } from "#metadata/accounts.ts";
import { openDatabase } from "#metadata/database.ts";
import { makeInstanceKey } from "#sealing/instance-key.ts";
import { createSealer } from "#sealing/sealer.ts";
import { systemClock } from "#std/clock.ts";
import { silentLog } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import { findAccountOfAccessKey } from "./access-key-account.ts";
import type { IdentityCore } from "./context.ts";
import { makeAccessKey } from "./key-material.ts";

const accountId = "123456789012";

async function withCore(run: (core: IdentityCore) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "supercargo-identity-"));
  const metadata = await openDatabase({ kind: "sqlite", file: join(folder, "test.sqlite") }, { log: silentLog });
  try {
    await ensureAccount(metadata, { accountId, now: 0 });
    await run({ metadata, clock: systemClock, random: systemRandom, sealer: createSealer([makeInstanceKey(systemRandom)], systemRandom) });
  } finally {
    await metadata.close();
    rmSync(folder, { recursive: true });
  }
}

test("an access key's account is what is known of it, else what its id says", async () => {
  await withCore(async (core) => {
    const given = "ROOTKEYWITHOUTACCOUNT";
    await putRootKey(core.metadata, { accessKeyId: given, accountId, secretSealed: "sealed", now: 0 });
    assert.equal(await findAccountOfAccessKey(core, given), accountId);
    for (const account of ["000000000000", "000000000001", "123456789012", "999999999999"]) {
      assert.equal(await findAccountOfAccessKey(core, makeAccessKey(systemRandom, account).accessKeyId), account);
      assert.equal(await findAccountOfAccessKey(core, makeAccessKey(systemRandom, account, "ASIA").accessKeyId), account);
    }
    for (const none of [
      "AKIA7777777777777777",
      "AIDARZPUZDIKLZYHJPTQ",
      "AKIARZPUZDIKLZYHJPT",
      "AKIARZPUZDIKLZYHJPT1",
      "akiarzpuzdiklzyhjptq",
    ])
      assert.equal(await findAccountOfAccessKey(core, none), undefined, none);
  });
});
