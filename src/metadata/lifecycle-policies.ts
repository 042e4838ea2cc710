/** Lifecycle policies of repositories: their texts, and when they are due to be run. What a text means is the business of others. */
import { sql } from "kysely";
import type { Transaction } from "kysely";
import { appendChanges } from "./changes.ts";
import type { Author } from "./changes.ts";
import type { Database } from "./database.ts";
import { insertJob } from "./jobs.ts";
import { lockRepository, repositoryOf } from "./repositories.ts";
import type { RegistryKey, Repository, RepositoryKey } from "./repositories.ts";
import type { RepositoryRow, Schema } from "./schema.ts";

/** The policy of a repository. */
export interface LifecyclePolicyRecord {
  /** Stays the same when the text is replaced. */
  readonly policyId: string;
  /** Counts the texts that were set, from 1 on. */
  readonly version: number;
  readonly policy: string;
  /** When it last ran to its end. */
  readonly lastEvaluatedAt?: number;
}

/** A policy that is to be set. */
export interface NewLifecyclePolicy {
  readonly policy: string;
  readonly policyId: string;
  /** From when on it waits for its first run. */
  readonly waitingSince: number;
}

/** A live repository with its policy. */
export type PolicyHolder = LifecyclePolicyRecord & { readonly repository: Repository };

/** What `findLifecyclePolicy` and `deleteLifecyclePolicy` answer. */
export type LifecyclePolicyOutcome =
  | ({ readonly outcome: "found" } & LifecyclePolicyRecord)
  | { readonly outcome: "no-policy" }
  | { readonly outcome: "not-found" };

/** The kind of the job that runs some policies; its payload is a {@link LifecycleRunJob}. */
export const lifecycleRunJobKind = "lifecycle-run";

/** Repositories whose policies are to be run. */
export interface LifecycleRunJob {
  readonly repositoryIds: readonly number[];
  /** A policy that ran to its end since then needs no other run. */
  readonly plannedAt: number;
}

/** Sets or replaces the policy. A new one waits since `waitingSince`; one that replaces another keeps its turn. False: no such repository. */
export async function putLifecyclePolicy(
  db: Database,
  input: NewLifecyclePolicy & { readonly key: RepositoryKey; readonly author: Author },
): Promise<boolean> {
  const { policy, author } = input;
  return db.transaction(async (tx) => {
    const repository = await lockRepository(db, tx, input.key, "update");
    if (repository === undefined) return false;
    const { repositoryId } = repository;
    const before = await findRow(tx, repositoryId);
    await tx
      .insertInto("lifecycle_policy")
      .values({
        repository_id: repositoryId,
        policy_id: input.policyId,
        version: 1,
        policy,
        updated_at: author.now,
        waiting_since: input.waitingSince,
        last_evaluated_at: null,
      })
      .onConflict((conflict) =>
        conflict.column("repository_id").doUpdateSet({ policy, updated_at: author.now, version: sql`lifecycle_policy.version + 1` }),
      )
      .execute();
    await appendChanges(tx, repository, author, [
      { kind: "lifecycle-policy-put", ...(before !== undefined && { before: before.policy }), after: policy },
    ]);
    return true;
  });
}

/** The policy of a live repository. */
export async function findLifecyclePolicy(db: Database, key: RepositoryKey): Promise<LifecyclePolicyOutcome> {
  const row = await db.read
    .selectFrom("repository as r")
    .leftJoin("lifecycle_policy as l", "l.repository_id", "r.repository_id")
    .select(["l.policy_id", "l.version", "l.policy", "l.last_evaluated_at"])
    .where("r.account_id", "=", key.accountId)
    .where("r.region", "=", key.region)
    .where("r.name", "=", key.name)
    .where("r.deleted_at", "is", null)
    .executeTakeFirst();
  if (row === undefined) return { outcome: "not-found" };
  const { policy_id, version, policy, last_evaluated_at } = row;
  if (policy_id === null || version === null || policy === null) return { outcome: "no-policy" };
  return { outcome: "found", ...recordOf({ policy_id, version, policy, last_evaluated_at }) };
}

/** Takes the policy away and answers what it was. */
export async function deleteLifecyclePolicy(
  db: Database,
  { key, author }: { readonly key: RepositoryKey; readonly author: Author },
): Promise<LifecyclePolicyOutcome> {
  return db.transaction(async (tx): Promise<LifecyclePolicyOutcome> => {
    const repository = await lockRepository(db, tx, key, "update");
    if (repository === undefined) return { outcome: "not-found" };
    const row = await findRow(tx, repository.repositoryId);
    if (row === undefined) return { outcome: "no-policy" };
    await tx.deleteFrom("lifecycle_policy").where("repository_id", "=", repository.repositoryId).execute();
    await appendChanges(tx, repository, author, [{ kind: "lifecycle-policy-deleted", before: row.policy }]);
    return { outcome: "found", ...recordOf(row) };
  });
}

/**
 * Gives the policies that have waited longest, and since `waitingUntil` at least, to a job, at most `limit` of them; from `now` on they wait for
 * their next run. `slot-taken`: a job of this slot has not begun yet; what cannot be kept up with is not piled up.
 */
export async function planLifecycleRun(
  db: Database,
  input: { readonly waitingUntil: number; readonly limit: number; readonly slot: string; readonly now: number },
): Promise<"planned" | "nothing-due" | "slot-taken"> {
  const { now } = input;
  return db.transaction(async (tx) => {
    const due = await tx
      .selectFrom("lifecycle_policy")
      .select("repository_id")
      .where("waiting_since", "<=", input.waitingUntil)
      .orderBy("waiting_since")
      .orderBy("repository_id")
      .limit(input.limit)
      .$call(db.dialect.lockForUpdateSkipLocked)
      .execute();
    if (due.length === 0) return "nothing-due";
    const repositoryIds = due.map((row) => row.repository_id);
    const payload: LifecycleRunJob = { repositoryIds, plannedAt: now };
    if (!(await insertJob(tx, { kind: lifecycleRunJobKind, payload, runAt: now, dedupeKey: input.slot }))) return "slot-taken";
    await tx
      .updateTable("lifecycle_policy")
      .set({ waiting_since: now })
      .where(db.dialect.integerIn("repository_id", repositoryIds))
      .execute();
    return "planned";
  });
}

/** A live repository with its policy, by id. Undefined: one of the two is gone. */
export async function findPolicyHolder(db: Database, repositoryId: number): Promise<PolicyHolder | undefined> {
  const row = await holders(db).where("r.repository_id", "=", repositoryId).executeTakeFirst();
  return row === undefined ? undefined : holderOf(row);
}

/** One page of the live repositories of a registry that have a policy, in byte order of their names, from the first one after `after` on. */
export async function listPolicyHolders(
  db: Database,
  registry: RegistryKey,
  page: { readonly after?: string | undefined; readonly limit: number },
): Promise<readonly PolicyHolder[]> {
  const rows = await holders(db)
    .where("r.account_id", "=", registry.accountId)
    .where("r.region", "=", registry.region)
    .where("r.name", ">", page.after ?? "")
    .orderBy("r.name")
    .limit(page.limit)
    .execute();
  return rows.map(holderOf);
}

function holders(db: Database) {
  return db.read
    .selectFrom("repository as r")
    .innerJoin("lifecycle_policy as l", "l.repository_id", "r.repository_id")
    .selectAll("r")
    .select(["l.policy_id", "l.version", "l.policy", "l.last_evaluated_at"])
    .where("r.deleted_at", "is", null);
}

type PolicyRow = Pick<Schema["lifecycle_policy"], "policy_id" | "version" | "policy" | "last_evaluated_at">;

function holderOf(row: RepositoryRow & PolicyRow): PolicyHolder {
  return { ...recordOf(row), repository: repositoryOf(row) };
}

function recordOf(row: PolicyRow): LifecyclePolicyRecord {
  return {
    policyId: row.policy_id,
    version: row.version,
    policy: row.policy,
    ...(row.last_evaluated_at !== null && { lastEvaluatedAt: row.last_evaluated_at }),
  };
}

async function findRow(tx: Transaction<Schema>, repositoryId: number): Promise<PolicyRow | undefined> {
  return tx
    .selectFrom("lifecycle_policy")
    .select(["policy_id", "version", "policy", "last_evaluated_at"])
    .where("repository_id", "=", repositoryId)
    .executeTakeFirst();
}
