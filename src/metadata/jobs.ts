import { readJson } from "#std/json.ts";
import { sql } from "kysely";
import type { Transaction } from "kysely";
import type { Database } from "./database.ts";
import type { Schema } from "./schema.ts";

/** A claimed job. */
export interface Job {
  readonly jobId: number;
  readonly kind: string;
  readonly payload: unknown;
  /** 1 for the first run. A lease is no fence: `finishJob` and `failJob` check this number. */
  readonly attempt: number;
  readonly leaseUntil: number;
}

/** A job that was given up. */
export interface DeadJob {
  readonly jobId: number;
  readonly kind: string;
  readonly payload: unknown;
  readonly attempts: number;
  readonly error: string;
}

/** What `enqueueJob` takes. */
export interface NewJob {
  readonly kind: string;
  /** Becomes JSON. */
  readonly payload: unknown;
  readonly runAt: number;
  /** While a job of this kind and key waits, another one is not added; one that is running does not count. */
  readonly dedupeKey?: string;
}

const maxErrorLength = 2_000;
const deadJobsPage = 100;

/** Adds a job inside the transaction that makes it necessary. False: one with the same dedupe key was waiting. */
export async function insertJob(tx: Transaction<Schema>, job: NewJob): Promise<boolean> {
  const row = await tx
    .insertInto("job")
    .values({
      kind: job.kind,
      payload: JSON.stringify(job.payload),
      state: "waiting",
      due_at: job.runAt,
      dedupe_key: job.dedupeKey ?? null,
      last_error: null,
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning("job_id")
    .executeTakeFirst();
  return row !== undefined;
}

/** Adds a job; `enqueued` is false when one with the same dedupe key was waiting. */
export async function enqueueJob(db: Database, input: NewJob): Promise<{ readonly enqueued: boolean }> {
  return { enqueued: await db.transaction((tx) => insertJob(tx, input)) };
}

/** Claims the job that has been due longest, waiting or with a lease that ran out, for `leaseMs`. */
export async function claimJob(
  db: Database,
  input: { readonly kinds: readonly string[]; readonly now: number; readonly leaseMs: number },
): Promise<Job | undefined> {
  const leaseUntil = input.now + input.leaseMs;
  return db.transaction(async (tx) => {
    const due = await tx
      .selectFrom("job")
      .select("job_id")
      .where("state", "<>", sql.lit("dead" as const))
      .where("due_at", "<=", input.now)
      .where(db.dialect.textIn("kind", input.kinds))
      .orderBy("due_at")
      .orderBy("job_id")
      .limit(1)
      .$call(db.dialect.lockForUpdateSkipLocked)
      .executeTakeFirst();
    if (due === undefined) return undefined;
    const row = await tx
      .updateTable("job")
      .set({ state: "running", due_at: leaseUntil, attempts: sql`attempts + 1` })
      .where("job_id", "=", due.job_id)
      .returning(["job_id", "kind", "payload", "attempts"])
      .executeTakeFirstOrThrow();
    return { jobId: row.job_id, kind: row.kind, payload: readJson(row.payload), attempt: row.attempts, leaseUntil };
  });
}

/** Extends a claim until `leaseUntil`. False: another attempt has taken the job over, or it has ended. */
export async function renewJob(
  db: Database,
  input: { readonly jobId: number; readonly attempt: number; readonly leaseUntil: number },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const result = await tx
      .updateTable("job")
      .set({ due_at: input.leaseUntil })
      .where("job_id", "=", input.jobId)
      .where("attempts", "=", input.attempt)
      .where("state", "=", "running")
      .executeTakeFirst();
    return result.numUpdatedRows > 0n;
  });
}

/** Ends every claim: whoever held one is known to be dead. The jobs are due at `now`, and the lost attempts count. Answers how many they were. */
export async function releaseJobs(db: Database, { now }: { readonly now: number }): Promise<number> {
  return db.transaction(async (tx) => {
    const result = await tx
      .updateTable("job")
      .set({ due_at: now })
      .where("state", "=", sql.lit("running" as const))
      .where("due_at", ">", now)
      .executeTakeFirst();
    return Number(result.numUpdatedRows);
  });
}

/** Removes a finished job. False: another attempt has taken it over, and this one's result does not count. */
export async function finishJob(db: Database, input: { readonly jobId: number; readonly attempt: number }): Promise<boolean> {
  return db.transaction(async (tx) => {
    const result = await tx
      .deleteFrom("job")
      .where("job_id", "=", input.jobId)
      .where("attempts", "=", input.attempt)
      .where("state", "=", "running")
      .executeTakeFirst();
    return result.numDeletedRows > 0n;
  });
}

/** Puts a failed job back until `retryAt`, or gives it up visibly (null). False: another attempt has taken it over. */
export async function failJob(
  db: Database,
  input: { readonly jobId: number; readonly attempt: number; readonly error: string; readonly retryAt: number | null },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const job = await tx
      .selectFrom("job")
      .select(["kind", "dedupe_key"])
      .where("job_id", "=", input.jobId)
      .where("attempts", "=", input.attempt)
      .where("state", "=", "running")
      .$call(db.dialect.lockForUpdate)
      .executeTakeFirst();
    if (job === undefined) return false;
    if (input.retryAt !== null && job.dedupe_key !== null) {
      // The same work was asked for again meanwhile: that job will do it.
      const successor = await tx
        .selectFrom("job")
        .select("job_id")
        .where("kind", "=", job.kind)
        .where("dedupe_key", "=", job.dedupe_key)
        .where("state", "=", sql.lit("waiting" as const))
        .executeTakeFirst();
      if (successor !== undefined) {
        await tx.deleteFrom("job").where("job_id", "=", input.jobId).execute();
        return true;
      }
    }
    const lastError = input.error.slice(0, maxErrorLength);
    await tx
      .updateTable("job")
      .set(
        input.retryAt === null
          ? { state: "dead", last_error: lastError }
          : { state: "waiting", due_at: input.retryAt, last_error: lastError },
      )
      .where("job_id", "=", input.jobId)
      .execute();
    return true;
  });
}

/** One page of the jobs that were given up, oldest first, from the first one after `after` on. */
export async function listDeadJobs(db: Database, page: { readonly after?: number; readonly limit?: number } = {}): Promise<DeadJob[]> {
  const rows = await db.read
    .selectFrom("job")
    .select(["job_id", "kind", "payload", "attempts", "last_error"])
    .where("state", "=", sql.lit("dead" as const))
    .where("job_id", ">", page.after ?? 0)
    .orderBy("job_id")
    .limit(page.limit ?? deadJobsPage)
    .execute();
  return rows.map((row) => ({
    jobId: row.job_id,
    kind: row.kind,
    payload: readJson(row.payload),
    attempts: row.attempts,
    error: row.last_error ?? "",
  }));
}
