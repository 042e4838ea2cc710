/** Previews of lifecycle policies: one a repository, with its results, until a newer one replaces it or its results grow old. */
import { readJson } from "#std/json.ts";
import { sql } from "kysely";
import type { Selectable } from "kysely";
import { appendChanges } from "./changes.ts";
import type { Author } from "./changes.ts";
import type { Database } from "./database.ts";
import { insertJob } from "./jobs.ts";
import { lockRepository } from "./repositories.ts";
import type { RepositoryKey } from "./repositories.ts";
import type { LifecyclePreviewResultTable, LifecyclePreviewTable } from "./schema-lifecycle.ts";

/** The kind of the job that makes a preview; its payload is a {@link LifecyclePreviewJob}. */
export const lifecyclePreviewJobKind = "lifecycle-preview";

/** Which preview is to be made. */
export interface LifecyclePreviewJob {
  readonly previewId: string;
}

/** What one manifest would be subjected to. */
export interface LifecyclePreviewResult {
  readonly ordinal: number;
  readonly digest: string;
  readonly tags: readonly string[];
  readonly pushedAt: number;
  readonly action: "expire" | "archive";
  readonly priority: number;
  readonly storageClass: "standard" | "archive";
}

/** The preview of a repository. */
export interface LifecyclePreview {
  readonly previewId: string;
  readonly repositoryId: number;
  /** As it was sent. */
  readonly policy: string;
  readonly status: LifecyclePreviewTable["status"];
  readonly startedAt: number;
  readonly settledAt?: number;
  /** Names the results that count. */
  readonly attempt: number;
  /** Of all results. */
  readonly counts: { readonly expire: number; readonly archive: number };
}

/** What `startLifecyclePreview` answers. */
export type StartPreviewOutcome = "started" | "in-progress" | "not-found";

/** Begins a preview in place of an earlier one; one that began after `abandonedBefore` and is not ready yet stays. */
export async function startLifecyclePreview(
  db: Database,
  input: {
    readonly key: RepositoryKey;
    readonly previewId: string;
    readonly policy: string;
    readonly abandonedBefore: number;
    readonly author: Author;
  },
): Promise<StartPreviewOutcome> {
  const { previewId, policy, author } = input;
  return db.transaction(async (tx): Promise<StartPreviewOutcome> => {
    const repository = await lockRepository(db, tx, input.key, "update");
    if (repository === undefined) return "not-found";
    const { repositoryId } = repository;
    const current = await tx
      .selectFrom("lifecycle_preview")
      .select(["status", "started_at"])
      .where("repository_id", "=", repositoryId)
      .where("replaced", "=", sql.lit(0))
      .executeTakeFirst();
    if (current?.status === "IN_PROGRESS" && current.started_at > input.abandonedBefore) return "in-progress";
    await tx
      .updateTable("lifecycle_preview")
      .set({ replaced: 1, results_until: author.now })
      .where("repository_id", "=", repositoryId)
      .where("replaced", "=", sql.lit(0))
      .execute();
    await tx
      .insertInto("lifecycle_preview")
      .values({
        preview_id: previewId,
        repository_id: repositoryId,
        policy,
        status: "IN_PROGRESS",
        started_at: author.now,
        settled_at: null,
        results_until: null,
      })
      .execute();
    const payload: LifecyclePreviewJob = { previewId };
    await insertJob(tx, { kind: lifecyclePreviewJobKind, payload, runAt: author.now, dedupeKey: previewId });
    await appendChanges(tx, repository, author, [{ kind: "lifecycle-preview-started", after: policy }]);
    return "started";
  });
}

/** The preview of a repository; undefined when none was begun. */
export async function findLifecyclePreview(db: Database, repositoryId: number): Promise<LifecyclePreview | undefined> {
  const row = await db.read
    .selectFrom("lifecycle_preview")
    .selectAll()
    .where("repository_id", "=", repositoryId)
    .where("replaced", "=", sql.lit(0))
    .executeTakeFirst();
  return row === undefined ? undefined : previewOf(row);
}

/** A preview that is still to be made, in a repository that is there. */
export async function findUnfinishedPreview(db: Database, previewId: string): Promise<LifecyclePreview | undefined> {
  const row = await db.read
    .selectFrom("lifecycle_preview as v")
    .innerJoin("repository as r", "r.repository_id", "v.repository_id")
    .selectAll("v")
    .where("v.preview_id", "=", previewId)
    .where("v.replaced", "=", sql.lit(0))
    .where("v.status", "=", "IN_PROGRESS")
    .where("r.deleted_at", "is", null)
    .executeTakeFirst();
  return row === undefined ? undefined : previewOf(row);
}

/** Adds results of one attempt, whose ordinals no other results of it have. False: the preview is not to be made any more. */
export async function addPreviewResults(
  db: Database,
  input: { readonly previewId: string; readonly attempt: number; readonly results: readonly LifecyclePreviewResult[] },
): Promise<boolean> {
  const { previewId: preview_id, attempt, results } = input;
  return db.transaction(async (tx) => {
    const preview = await tx
      .selectFrom("lifecycle_preview")
      .select("preview_id")
      .where("preview_id", "=", preview_id)
      .where("replaced", "=", sql.lit(0))
      .where("status", "=", "IN_PROGRESS")
      .$call(db.dialect.lockForShare)
      .executeTakeFirst();
    if (preview === undefined) return false;
    if (results.length === 0) return true;
    const rows = results.map((result) => ({
      preview_id,
      attempt,
      ordinal: result.ordinal,
      digest: result.digest,
      tags: JSON.stringify(result.tags),
      tag_count: result.tags.length,
      pushed_at: result.pushedAt,
      action: result.action,
      priority: result.priority,
      storage_class: result.storageClass,
    }));
    await tx
      .insertInto("lifecycle_preview_result")
      .values(rows)
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    return true;
  });
}

/** Ends a preview; its results may be removed from `resultsUntil` on. Without effect when it has ended or was replaced. */
export async function settleLifecyclePreview(
  db: Database,
  input: {
    readonly previewId: string;
    readonly attempt: number;
    readonly status: "COMPLETE" | "FAILED";
    readonly counts: LifecyclePreview["counts"];
    readonly resultsUntil: number;
    readonly now: number;
  },
): Promise<void> {
  await db.transaction(async (tx) => {
    await tx
      .updateTable("lifecycle_preview")
      .set({
        status: input.status,
        settled_at: input.now,
        attempt: input.attempt,
        expiring: input.counts.expire,
        archiving: input.counts.archive,
        results_until: input.resultsUntil,
      })
      .where("preview_id", "=", input.previewId)
      .where("replaced", "=", sql.lit(0))
      .where("status", "=", "IN_PROGRESS")
      .execute();
  });
}

/** One page of the results that count, in their order, from the first one after `after` on; only of manifests with or without tags, if asked. */
export async function listPreviewResults(
  db: Database,
  { previewId, attempt }: Pick<LifecyclePreview, "previewId" | "attempt">,
  page: { readonly isTagged?: boolean | undefined; readonly after?: number | undefined; readonly limit: number },
): Promise<readonly LifecyclePreviewResult[]> {
  let query = resultsOf(db, previewId, attempt).where("ordinal", ">", page.after ?? -1);
  if (page.isTagged !== undefined) query = query.where("tag_count", page.isTagged ? ">" : "=", 0);
  const rows = await query.orderBy("ordinal").limit(page.limit).execute();
  return rows.map(resultOf);
}

/** The results of these digests, in their order. */
export async function findPreviewResults(
  db: Database,
  { previewId, attempt }: Pick<LifecyclePreview, "previewId" | "attempt">,
  digests: readonly string[],
): Promise<readonly LifecyclePreviewResult[]> {
  const rows = await resultsOf(db, previewId, attempt).where(db.dialect.textIn("digest", digests)).orderBy("ordinal").execute();
  return rows.map(resultOf);
}

/** Removes at most `limit` results that are too old or were replaced. Answers how many rows went; 0: nothing is left to remove. */
export async function removePreviewResults(db: Database, input: { readonly now: number; readonly limit: number }): Promise<number> {
  return db.transaction(async (tx) => {
    const old = await tx
      .selectFrom("lifecycle_preview")
      .select(["preview_id", "replaced"])
      .where("results_until", "<=", input.now)
      .orderBy("results_until")
      .orderBy("preview_id")
      .limit(1)
      .$call(db.dialect.lockForUpdate)
      .executeTakeFirst();
    if (old === undefined) return 0;
    const { rows } = await sql<{ readonly ordinal: number }>`
      delete from lifecycle_preview_result where preview_id = ${old.preview_id} and (attempt, ordinal) in (
        select attempt, ordinal from lifecycle_preview_result where preview_id = ${old.preview_id}
        order by attempt, ordinal limit ${input.limit})
      returning ordinal`.execute(tx);
    if (rows.length > 0) return rows.length;
    if (old.replaced === 1) await tx.deleteFrom("lifecycle_preview").where("preview_id", "=", old.preview_id).execute();
    else await tx.updateTable("lifecycle_preview").set({ results_until: null }).where("preview_id", "=", old.preview_id).execute();
    return 1;
  });
}

function resultsOf(db: Database, previewId: string, attempt: number) {
  return db.read.selectFrom("lifecycle_preview_result").selectAll().where("preview_id", "=", previewId).where("attempt", "=", attempt);
}

function previewOf(row: Selectable<LifecyclePreviewTable>): LifecyclePreview {
  return {
    previewId: row.preview_id,
    repositoryId: row.repository_id,
    policy: row.policy,
    status: row.status,
    startedAt: row.started_at,
    ...(row.settled_at !== null && { settledAt: row.settled_at }),
    attempt: row.attempt,
    counts: { expire: row.expiring, archive: row.archiving },
  };
}

function resultOf(row: LifecyclePreviewResultTable): LifecyclePreviewResult {
  return {
    ordinal: row.ordinal,
    digest: row.digest,
    tags: readJson(row.tags) as string[],
    pushedAt: row.pushed_at,
    action: row.action,
    priority: row.priority,
    storageClass: row.storage_class,
  };
}
