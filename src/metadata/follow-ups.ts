/**
 * What follows a push: a scan, a signature, a copy in another registry. Each is a row of its manifest, which says how far it has come, and a
 * job of the same kind, inserted together in the transaction that makes it necessary.
 */
import { readJson } from "#std/json.ts";
import type { Transaction } from "kysely";
import type { Database } from "./database.ts";
import { insertJob } from "./jobs.ts";
import type { FollowUpTable } from "./schema-registry.ts";
import type { Schema } from "./schema.ts";

/** The kinds of follow-ups; the jobs that do them have the same names. */
export type FollowUpKind = FollowUpTable["kind"];

/** What is to be done with a manifest. */
export interface FollowUp {
  readonly kind: FollowUpKind;
  /** Of a scan: empty, or the kind of scan where it is not the basic one; the signing profile's ARN; `<account>/<region>` of the destination. */
  readonly target: string;
}

/** Why something is not begun at all. */
export interface FollowUpRefusal {
  readonly code: string;
  readonly reason: string;
}

/** What is to be done, or what has failed before it could be begun. */
export type BegunFollowUp = FollowUp & { readonly refused?: FollowUpRefusal | undefined };

/** What a push asks for, if it turns out to be one that needs it. */
export interface PushFollowUp extends BegunFollowUp {
  /**
   * `new`: the manifest was not there before; `new-if-scanned`: and its repository scans on push; `new-or-failed`: or it was, and this has
   * failed for it; `changed`: it is new, or a tag was moved to it.
   */
  readonly when: "new" | "new-if-scanned" | "new-or-failed" | "changed";
}

/** The payload of the job of a follow-up. */
export interface FollowUpJob {
  readonly manifestId: number;
  readonly target: string;
}

/** A follow-up as it stands. */
export interface FollowUpState extends FollowUp {
  readonly manifestId: number;
  readonly state: FollowUpTable["state"];
  readonly code?: string;
  readonly reason?: string;
  /** What its kind keeps about it. */
  readonly detail?: unknown;
  readonly startedAt: number;
  readonly settledAt?: number;
}

/** Begins, or begins again, inside the transaction that makes it necessary. */
export async function beginFollowUps(
  tx: Transaction<Schema>,
  manifestId: number,
  followUps: readonly BegunFollowUp[],
  now: number,
): Promise<void> {
  for (const { kind, target, refused } of followUps) {
    const fresh = {
      state: refused === undefined ? ("IN_PROGRESS" as const) : ("FAILED" as const),
      code: refused?.code ?? null,
      reason: refused?.reason ?? null,
      detail: null,
      started_at: now,
      settled_at: refused === undefined ? null : now,
    };
    await tx
      .insertInto("follow_up")
      .values({ manifest_id: manifestId, kind, target, ...fresh })
      .onConflict((conflict) => conflict.columns(["manifest_id", "kind", "target"]).doUpdateSet(fresh))
      .execute();
    if (refused === undefined) await insertFollowUpJob(tx, { manifestId, kind, target }, now);
  }
}

async function insertFollowUpJob(
  tx: Transaction<Schema>,
  { kind, manifestId, target }: FollowUp & FollowUpJob,
  now: number,
): Promise<void> {
  const payload: FollowUpJob = { manifestId, target };
  await insertJob(tx, { kind, payload, runAt: now, dedupeKey: `${manifestId} ${target}` });
}

/** Of what a push asked for, what it needs. */
export function neededFollowUps(
  asked: readonly PushFollowUp[],
  push: { readonly isNew: boolean; readonly isChanged: boolean; readonly scansOnPush: boolean },
): readonly BegunFollowUp[] {
  const isNeeded = ({ when }: PushFollowUp): boolean =>
    when === "changed" ? push.isChanged : push.isNew && (when !== "new-if-scanned" || push.scansOnPush);
  const needed = asked.filter(isNeeded);
  const byName = new Map(needed.map(({ kind, target, refused }) => [`${kind} ${target}`, { kind, target, refused }]));
  return [...byName.values()];
}

/** Of what a push asked for, what has failed for a manifest that is there and is to be tried again with each push of it. */
export async function failedFollowUps(
  tx: Transaction<Schema>,
  manifestId: number,
  asked: readonly PushFollowUp[],
): Promise<readonly BegunFollowUp[]> {
  const retried = asked.filter(({ when }) => when === "new-or-failed");
  if (retried.length === 0) return [];
  const failed = await tx
    .selectFrom("follow_up")
    .select(["kind", "target"])
    .where("manifest_id", "=", manifestId)
    .where("state", "=", "FAILED")
    .execute();
  return retried.filter(({ kind, target }) => failed.some((row) => row.kind === kind && row.target === target));
}

/** Begins follow-ups of a manifest that is there, outside a push. False when it is gone or deleted. */
export async function startFollowUps(
  db: Database,
  input: { readonly manifestId: number; readonly followUps: readonly FollowUp[]; readonly now: number },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const row = await tx
      .selectFrom("manifest")
      .select("manifest_id")
      .where("manifest_id", "=", input.manifestId)
      .where("deleted_at", "is", null)
      .executeTakeFirst();
    if (row === undefined) return false;
    await beginFollowUps(tx, input.manifestId, input.followUps, input.now);
    return true;
  });
}

/**
 * Inside the transaction that brings manifests of a repository back (all that are live now, or these): the follow-ups of theirs that have not
 * ended get jobs again. While a manifest is deleted they end without effect.
 */
export async function resumeFollowUps(
  db: Database,
  tx: Transaction<Schema>,
  which: { readonly repositoryId: number; readonly manifestIds?: readonly number[] },
  now: number,
): Promise<void> {
  const { repositoryId, manifestIds } = which;
  const open = await tx
    .selectFrom("follow_up as f")
    .innerJoin("manifest as m", "m.manifest_id", "f.manifest_id")
    .select(["f.manifest_id", "f.kind", "f.target"])
    .where("f.state", "=", "IN_PROGRESS")
    .where("m.repository_id", "=", repositoryId)
    .where("m.deleted_at", "is", null)
    .$if(manifestIds !== undefined, (query) => query.where(db.dialect.integerIn("f.manifest_id", manifestIds ?? [])))
    .orderBy("f.manifest_id")
    .execute();
  for (const { manifest_id: manifestId, kind, target } of open) await insertFollowUpJob(tx, { manifestId, kind, target }, now);
}

/** Writes down how a follow-up ended. False when it is not known (any more). */
export async function settleFollowUp(
  db: Database,
  input: FollowUp & {
    readonly manifestId: number;
    readonly state: "COMPLETE" | "FAILED";
    readonly code?: string;
    readonly reason?: string;
    readonly detail?: unknown;
    readonly now: number;
  },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const result = await tx
      .updateTable("follow_up")
      .set({
        state: input.state,
        code: input.code ?? null,
        reason: input.reason ?? null,
        detail: input.detail === undefined ? null : JSON.stringify(input.detail),
        settled_at: input.now,
      })
      .where("manifest_id", "=", input.manifestId)
      .where("kind", "=", input.kind)
      .where("target", "=", input.target)
      .executeTakeFirst();
    return result.numUpdatedRows > 0n;
  });
}

/** The follow-ups of one kind of some manifests (at most as many as a page has), in the order of their targets. */
export async function listFollowUps(db: Database, kind: FollowUpKind, manifestIds: readonly number[]): Promise<readonly FollowUpState[]> {
  if (manifestIds.length === 0) return [];
  const rows = await db.read
    .selectFrom("follow_up")
    .selectAll()
    .where("kind", "=", kind)
    .where(db.dialect.integerIn("manifest_id", manifestIds))
    .orderBy("manifest_id")
    .orderBy("target")
    .execute();
  return rows.map((row) => ({
    manifestId: row.manifest_id,
    kind: row.kind,
    target: row.target,
    state: row.state,
    ...(row.code !== null && { code: row.code }),
    ...(row.reason !== null && { reason: row.reason }),
    ...(row.detail !== null && { detail: readJson(row.detail) }),
    startedAt: row.started_at,
    ...(row.settled_at !== null && { settledAt: row.settled_at }),
  }));
}
