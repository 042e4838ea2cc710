/**
 * What a run of a lifecycle policy does, batch by batch: each batch is one transaction, which looks again whether everything is still as it was
 * judged, and which writes down what was done. So a run can end at any point, and the next one finds less to do.
 */
import { sql } from "kysely";
import type { Transaction } from "kysely";
import { appendChanges } from "./changes.ts";
import type { Author, NewChange } from "./changes.ts";
import type { Database } from "./database.ts";
import { tombstone } from "./manifest-delete.ts";
import type { Doomed } from "./manifest-delete.ts";
import type { ManifestStatus } from "./manifest-rows.ts";
import { lockRepositoryById } from "./repositories.ts";
import type { Repository } from "./repositories.ts";
import type { Schema } from "./schema.ts";
import { archiveLocked } from "./storage-class.ts";

/** Names the text of a policy by which a run judges. */
export interface PolicyVersion {
  readonly policyId: string;
  readonly version: number;
}

/** A manifest that is to be acted on, with what was known when that was decided. */
export interface JudgedManifest {
  readonly manifestId: number;
  readonly digest: string;
  /** In byte order. */
  readonly tags: readonly string[];
  readonly pushedAt: number;
  readonly status: ManifestStatus;
  readonly lastActivatedAt?: number;
  readonly pulledAt?: number;
  readonly subjectDigest?: string;
  /** Whether the subject was there. */
  readonly hasSubject: boolean;
  /** Of the rule; 0 for a referrer that follows its subject. */
  readonly priority: number;
}

/** Why nothing was done to a manifest. */
export interface LifecycleFailure {
  readonly manifest: Pick<JudgedManifest, "digest" | "tags" | "pushedAt" | "priority">;
  /** `changed`: since it was judged it went, its tags, class or subject changed, or it was pulled. `referenced`: indexes name it. */
  readonly reason: "changed" | "referenced";
  readonly parents?: readonly string[];
}

/** What `carryOut` answers. */
export type CarryOutOutcome =
  /** The repository or the policy is not there any more, or the policy has another text. */
  | { readonly outcome: "policy-changed" }
  | {
      readonly outcome: "done";
      /** Referrers of what expired are remembered as those that must follow; later batches take them. */
      readonly digests: readonly string[];
      readonly failures: readonly LifecycleFailure[];
    };

/** What `carryOut` takes. */
export interface CarryOut {
  readonly repositoryId: number;
  readonly policy: PolicyVersion;
  readonly action: "expire" | "archive";
  readonly judged: readonly JudgedManifest[];
  readonly linkGraceMs: number;
  readonly author: Author;
}

/** Manifests in one entry of the change log (Amazon ECR User Guide: events of lifecycle policies are split). */
const manifestsPerEntry = 10;
const tagsPerManifest = 100;
const maxParents = 100;

/** Expires or archives those of a batch that are still as they were judged, as callers of the API would do it. */
export async function carryOut(db: Database, input: CarryOut): Promise<CarryOutOutcome> {
  const { repositoryId, action, author, linkGraceMs } = input;
  return db.transaction(async (tx): Promise<CarryOutOutcome> => {
    const repository = await lockRepositoryById(db, tx, repositoryId, "update");
    if (repository === undefined || !(await isCurrent(tx, repositoryId, input.policy))) return { outcome: "policy-changed" };
    const standing = await findStanding(db, tx, repositoryId, input);
    const failures: LifecycleFailure[] = input.judged
      .filter(({ manifestId }) => !standing.has(manifestId))
      .map((manifest) => ({ manifest, reason: "changed" }));
    const wanted = input.judged.filter(({ manifestId }) => standing.has(manifestId));
    const { done, blocked } =
      action === "expire"
        ? await expire(db, tx, repository, { wanted, standing, linkGraceMs, author })
        : await archive(db, tx, repository, { wanted, linkGraceMs, author });
    for (const manifest of wanted) {
      const parents = blocked.get(manifest.digest);
      if (parents !== undefined) failures.push({ manifest, reason: "referenced", parents });
    }
    await appendChanges(tx, repository, author, executionEntries(input.policy, action, done));
    return { outcome: "done", digests: done.map(({ digest }) => digest), failures };
  });
}

interface Acted {
  readonly done: readonly JudgedManifest[];
  /** The indexes in the way, by digest. */
  readonly blocked: ReadonlyMap<string, readonly string[]>;
}

async function expire(
  db: Database,
  tx: Transaction<Schema>,
  repository: Repository,
  batch: {
    readonly wanted: readonly JudgedManifest[];
    readonly standing: ReadonlyMap<number, Doomed>;
    readonly linkGraceMs: number;
    readonly author: Author;
  },
): Promise<Acted> {
  const { repositoryId } = repository;
  const { wanted, linkGraceMs, author } = batch;
  const digests = wanted.map(({ digest }) => digest);
  const blocked = await findParents(db, tx, repositoryId, digests);
  const done = wanted.filter(({ digest }) => !blocked.has(digest));
  if (done.length === 0) return { done, blocked };
  const doomed = done.flatMap(({ manifestId }) => batch.standing.get(manifestId) ?? []);
  const reach = { withReferrers: true, referrersFollow: true, linkGraceMs } as const;
  const { changes } = await tombstone(db, tx, repositoryId, doomed, reach, author.now);
  await appendChanges(tx, repository, author, changes);
  return { done, blocked };
}

async function archive(
  db: Database,
  tx: Transaction<Schema>,
  repository: Repository,
  batch: { readonly wanted: readonly JudgedManifest[]; readonly linkGraceMs: number; readonly author: Author },
): Promise<Acted> {
  const { wanted, linkGraceMs, author } = batch;
  const digests = wanted.map(({ digest }) => digest);
  if (digests.length === 0) return { done: [], blocked: new Map() };
  const result = await archiveLocked(db, tx, repository, { digests, linkGraceMs, author });
  const blocked = new Map(result.refused.map((refusal) => [refusal.digest, refusal.outcome === "referenced" ? refusal.parents : []]));
  return { done: wanted.filter(({ digest }) => !blocked.has(digest)), blocked };
}

async function isCurrent(tx: Transaction<Schema>, repositoryId: number, { policyId, version }: PolicyVersion): Promise<boolean> {
  const row = await tx
    .selectFrom("lifecycle_policy")
    .select("version")
    .where("repository_id", "=", repositoryId)
    .where("policy_id", "=", policyId)
    .where("version", "=", version)
    .executeTakeFirst();
  return row !== undefined;
}

/** Those that are still as they were judged, by id. */
async function findStanding(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  { judged, action }: Pick<CarryOut, "judged" | "action">,
): Promise<ReadonlyMap<number, Doomed>> {
  const { dialect } = db;
  const ids = judged.map(({ manifestId }) => manifestId);
  const { rows } = await sql<Doomed & { status: ManifestStatus; last_activated_at: number | null; pulled_at: number | null }>`
    select m.manifest_id, m.digest, m.subject_digest, m.status, m.last_activated_at, p.pulled_at
    from manifest m left join manifest_pull p on p.manifest_id = m.manifest_id
    where ${dialect.integerIn("m.manifest_id", ids)} and m.repository_id = ${repositoryId} and m.deleted_at is null
    order by m.manifest_id`.execute(tx);
  const tagRows = await tx
    .selectFrom("tag")
    .select(["manifest_id", "name"])
    .where(dialect.integerIn("manifest_id", ids))
    .where("deleted_at", "is", null)
    .orderBy("manifest_id")
    .orderBy("name")
    .execute();
  const tags = new Map<number, string[]>();
  for (const { manifest_id: id, name } of tagRows) tags.set(id, [...(tags.get(id) ?? []), name]);
  const subjectDigests = judged.flatMap(({ subjectDigest }) => subjectDigest ?? []);
  const subjects =
    subjectDigests.length === 0
      ? []
      : await tx
          .selectFrom("manifest")
          .select("digest")
          .where("repository_id", "=", repositoryId)
          .where(dialect.textIn("digest", subjectDigests))
          .where("deleted_at", "is", null)
          .execute();
  const living = new Set(subjects.map(({ digest }) => digest));
  const byId = new Map(rows.map((row) => [row.manifest_id, row]));
  const standing = new Map<number, Doomed>();
  for (const manifest of judged) {
    const row = byId.get(manifest.manifestId);
    if (row === undefined || row.status !== manifest.status || row.last_activated_at !== (manifest.lastActivatedAt ?? null)) continue;
    // A pull makes an image younger only for rules that archive.
    if (action === "archive" && row.pulled_at !== (manifest.pulledAt ?? null)) continue;
    if (manifest.hasSubject !== (manifest.subjectDigest !== undefined && living.has(manifest.subjectDigest))) continue;
    if (JSON.stringify(tags.get(manifest.manifestId) ?? []) === JSON.stringify(manifest.tags)) standing.set(manifest.manifestId, row);
  }
  return standing;
}

/** The live indexes, archived ones among them, that name these digests. */
async function findParents(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  digests: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const { rows } = await sql<{ readonly digest: string; readonly parent: string }>`
    select c.digest, p.digest as parent from manifest_child c join manifest p on p.manifest_id = c.manifest_id
    where c.repository_id = ${repositoryId} and ${db.dialect.textIn("c.digest", digests)} and p.deleted_at is null
    order by c.manifest_id`.execute(tx);
  const parents = new Map<string, string[]>();
  for (const { digest, parent } of rows) {
    const known = parents.get(digest);
    if (known === undefined) parents.set(digest, [parent]);
    else if (known.length < maxParents) known.push(parent);
  }
  return parents;
}

/** Failures that one run tells in the change log; it tells how many there were in any case. */
const maxFailures = 100;

/** A run that has come to its end. */
export interface EndedRun {
  readonly repositoryId: number;
  readonly policy: PolicyVersion;
  /** The moment that it judged by. */
  readonly evaluatedAt: number;
}

/** Writes down when policies ran; those that are gone or have another text are left out. At most as many as one job has. */
export async function settleLifecycleRuns(db: Database, ended: readonly EndedRun[]): Promise<void> {
  if (ended.length === 0) return;
  await db.transaction(async (tx) => {
    // Always in the order of ids, so that two nodes do not wait for each other in a circle.
    for (const { repositoryId, policy, evaluatedAt } of ended.toSorted((a, b) => a.repositoryId - b.repositoryId)) {
      await tx
        .updateTable("lifecycle_policy")
        .set({ last_evaluated_at: evaluatedAt })
        .where("repository_id", "=", repositoryId)
        .where("policy_id", "=", policy.policyId)
        .where("version", "=", policy.version)
        .execute();
    }
  });
}

/** Tells in the change log what a run could not do. Without effect when the repository is gone. */
export async function recordLifecycleFailures(
  db: Database,
  input: {
    readonly repositoryId: number;
    readonly policy: PolicyVersion;
    readonly failures: readonly LifecycleFailure[];
    /** All of them, told or not. */
    readonly failureCount: number;
    readonly author: Author;
  },
): Promise<void> {
  await db.transaction(async (tx) => {
    const repository = await lockRepositoryById(db, tx, input.repositoryId, "share");
    if (repository === undefined) return;
    const entries = inTens(input.failures.slice(0, maxFailures)).map((some): NewChange => {
      const failures = some.map(({ manifest, reason, parents }) => ({
        ...described(manifest),
        reason,
        ...(parents !== undefined && { parents: parents.slice(0, manifestsPerEntry) }),
      }));
      return { kind: "lifecycle-policy-executed", after: { ...input.policy, failureCount: input.failureCount, failures } };
    });
    await appendChanges(tx, repository, input.author, entries);
  });
}

function executionEntries(policy: PolicyVersion, action: CarryOut["action"], done: readonly JudgedManifest[]): readonly NewChange[] {
  return inTens(done).map((some) => ({
    kind: "lifecycle-policy-executed",
    after: { ...policy, action, manifests: some.map(described) },
  }));
}

function described({ digest, tags, pushedAt, priority }: LifecycleFailure["manifest"]): object {
  return { digest, tags: tags.slice(0, tagsPerManifest), pushedAt, rulePriority: priority };
}

function inTens<T>(items: readonly T[]): (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / manifestsPerEntry) }, (_, index) =>
    items.slice(index * manifestsPerEntry, (index + 1) * manifestsPerEntry),
  );
}
