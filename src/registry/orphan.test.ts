import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { KyselyPlugin } from "kysely";
import type { RepositoryName } from "#oci/repository-name.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import { completeUpload as completeRow } from "#metadata/upload-sessions.ts";
import { selectOrphanedCopies } from "./orphan.ts";
import { createRepository } from "./repository.ts";
import { authorOf } from "./scope.ts";
import { createManualClock, openTestRegistry, registry, sha256 } from "./testing/test-registry.ts";
import { startUpload } from "./upload.ts";

test("a copy whose upload is completed between the two questions is no orphan", async () => {
  const folder = mkdtempSync(join(tmpdir(), "orphan-"));
  const clock = createManualClock();
  const opened = await openTestRegistry({ databaseFile: join(folder, "db"), storage: createMemoryDriver({ clock }), clock });
  const { core, ctx } = opened;
  const name = "team/app" as RepositoryName;
  await createRepository(ctx, registry, name);
  const { uploadId } = await startUpload(ctx, registry, name);
  const digest = sha256("");
  const storageKey = await core.storage.commit([], { digest, incarnation: uploadId, sizeBytes: 0 });
  const entries = await Array.fromAsync(core.storage.listStored());
  assert.equal(entries.length, 1);
  let questions = 0;
  const completesAfterFirst: KyselyPlugin = {
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      questions += 1;
      const graceUntil = clock.now() + 1;
      if (questions === 1)
        await completeRow(core.metadata, { uploadId, digest, sizeBytes: 0, storageKey, graceUntil, author: authorOf(ctx) });
      return result;
    },
  };
  // Before, in between and after: it is never anybody's to delete.
  assert.deepEqual(await selectOrphanedCopies(core, entries), []);
  const interrupted = { ...core.metadata, read: core.metadata.read.withPlugin(completesAfterFirst) };
  assert.deepEqual(await selectOrphanedCopies({ ...core, metadata: interrupted }, entries), []);
  assert.ok(questions >= 1);
  assert.deepEqual(await selectOrphanedCopies(core, entries), []);
  const stranger = entries.map((entry) => ({ ...entry, key: `${entry.key}x`, owner: core.random.uuid() }));
  assert.deepEqual(await selectOrphanedCopies(core, [...entries, ...stranger]), stranger);
  await opened.close();
  rmSync(folder, { recursive: true });
});
