/**
 * The storage classes of manifests: `ACTIVE`, `ARCHIVED`, and `ACTIVATING` on the way back. An archived manifest is a fact like any other (it has
 * its tags, counts, and can be deleted and come back), but cannot be pulled, and its blobs may go to the cold tier (`storage-class-tier.ts`).
 *
 * Invariant: `manifest_blob.live` is 1 for manifests that are active, `manifest_child.live` for indexes that are not archived. So everything
 * that asks whether a live manifest references something looks past the archive without knowing of it, and what an index needs stays with it
 * from the moment it begins to come back.
 */
import { sql } from "kysely";
import type { Transaction } from "kysely";
import { mediaTypes } from "#oci/media-type.ts";
import { endGrace, lockBlobs } from "./blob-links.ts";
import { appendChanges } from "./changes.ts";
import type { Author, NewChange } from "./changes.ts";
import type { Database } from "./database.ts";
import { beginFollowUps, neededFollowUps } from "./follow-ups.ts";
import type { PushFollowUp } from "./follow-ups.ts";
import { insertJob } from "./jobs.ts";
import type { ManifestStatus } from "./manifest-rows.ts";
import { lockRepository, lockRepositoryById } from "./repositories.ts";
import type { Repository, RepositoryKey } from "./repositories.ts";
import type { ManifestRow, Schema } from "./schema.ts";
import { checkTiers } from "./storage-class-tier.ts";

/** The kind of the job that brings one manifest back; its payload is an {@link ActivationJob}. */
export const activationJobKind = "activate-manifest";
/** The kind of the job that looks where blobs belong. */
export const tieringJobKind = "tier-blobs";

/** The payload of an activation job. */
export interface ActivationJob {
  readonly manifestId: number;
}

/** Why a manifest cannot change its class. */
export type ClassRefusal =
  | { readonly digest: string; readonly outcome: "not-found" }
  /** Indexes that are not archived hold it. */
  | { readonly digest: string; readonly outcome: "referenced"; readonly parents: readonly string[] }
  /** It has the class already, or is on its way. */
  | { readonly digest: string; readonly outcome: "status"; readonly status: ManifestStatus };

/** What `archiveManifests` answers. */
export type ArchiveOutcome =
  | { readonly outcome: "repository-not-found" }
  | { readonly outcome: "archived"; readonly digests: readonly string[]; readonly refused: readonly ClassRefusal[] };

/** What `startActivation` answers. */
export type StartActivationOutcome = { readonly outcome: "repository-not-found" } | { readonly outcome: "started" } | ClassRefusal;

/** What `finishActivation` answers. */
export type FinishActivationOutcome =
  | "activated"
  /** Some of its blobs are in the cold tier. */
  | "cold"
  /** A child is still on its way; its end begins this job again. */
  | "waiting"
  /** It is not on its way any more: pushed again, deleted, or its repository was. */
  | "ended";

/** More parents than this help nobody. */
const maxParents = 100;

/**
 * Archives the manifests among the digests that are active and that no index outside the archive holds (one that is archived by the same
 * call does not count, whatever the order). What they alone referenced can no longer be read in the repository, as after a delete.
 */
export async function archiveManifests(
  db: Database,
  input: { readonly key: RepositoryKey; readonly digests: readonly string[]; readonly linkGraceMs: number; readonly author: Author },
): Promise<ArchiveOutcome> {
  return db.transaction(async (tx): Promise<ArchiveOutcome> => {
    const repository = await lockRepository(db, tx, input.key, "update");
    if (repository === undefined) return { outcome: "repository-not-found" };
    return { outcome: "archived", ...(await archiveLocked(db, tx, repository, input)) };
  });
}

/** The same inside a transaction that holds the repository's exclusive lock. */
export async function archiveLocked(
  db: Database,
  tx: Transaction<Schema>,
  repository: Repository,
  { digests, linkGraceMs, author }: { readonly digests: readonly string[]; readonly linkGraceMs: number; readonly author: Author },
): Promise<{ readonly digests: readonly string[]; readonly refused: readonly ClassRefusal[] }> {
  const { repositoryId } = repository;
  const { chosen, refused } = await chooseArchivable(db, tx, repositoryId, [...new Set(digests)]);
  const ids = chosen.map((row) => row.manifest_id);
  if (ids.length === 0) return { digests: [], refused };
  await tx
    .updateTable("manifest")
    .set({ status: "ARCHIVED", last_archived_at: author.now })
    .where(db.dialect.integerIn("manifest_id", ids))
    .execute();
  await tx.updateTable("manifest_blob").set({ live: 0 }).where(db.dialect.integerIn("manifest_id", ids)).execute();
  await tx.updateTable("manifest_child").set({ live: 0 }).where(db.dialect.integerIn("manifest_id", ids)).execute();
  await endGrace(db, tx, repositoryId, ids, linkGraceMs);
  await checkTiers(db, tx, ids);
  await insertJob(tx, { kind: tieringJobKind, payload: {}, runAt: author.now, dedupeKey: "archived" });
  const changes = chosen.map((row) => ({
    kind: "manifest-archived" as const,
    subject: row.digest,
    before: { status: row.status },
    after: { status: "ARCHIVED", ...typesOf(row), lastArchivedAt: author.now },
  }));
  await appendChanges(tx, repository, author, changes);
  return { digests: chosen.map((row) => row.digest), refused };
}

/** Which of the digests can be archived together. */
async function chooseArchivable(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  digests: readonly string[],
): Promise<{ readonly chosen: readonly ManifestRow[]; readonly refused: readonly ClassRefusal[] }> {
  const rows = await tx
    .selectFrom("manifest")
    .selectAll()
    .where("repository_id", "=", repositoryId)
    .where(db.dialect.textIn("digest", digests))
    .where("deleted_at", "is", null)
    .execute();
  const byDigest = new Map(rows.map((row) => [row.digest, row]));
  const refused = new Map<string, ClassRefusal>();
  for (const digest of digests) {
    const status = byDigest.get(digest)?.status;
    if (status === undefined) refused.set(digest, { digest, outcome: "not-found" });
    else if (status !== "ACTIVE") refused.set(digest, { digest, outcome: "status", status });
  }
  const { rows: held } = await sql<{ digest: string; parent: string }>`
    select c.digest, m.digest as parent from manifest_child c join manifest m on m.manifest_id = c.manifest_id
    where c.repository_id = ${repositoryId} and ${db.dialect.textIn("c.digest", digests)} and c.live = 1
    order by c.manifest_id`.execute(tx);
  const isChosen = (digest: string): boolean => byDigest.has(digest) && !refused.has(digest);
  // An index that has to stay keeps its children, and they theirs: until nothing more falls out.
  for (let before = -1; before !== refused.size;) {
    before = refused.size;
    for (const digest of digests.filter(isChosen)) {
      const parents = held.filter((row) => row.digest === digest && !isChosen(row.parent)).map((row) => row.parent);
      if (parents.length > 0) refused.set(digest, { digest, outcome: "referenced", parents: parents.slice(0, maxParents) });
    }
  }
  // Sorted here: asked for the order, SQLite walks the repository instead of the digests.
  const chosen = rows.filter((row) => isChosen(row.digest)).toSorted((a, b) => a.manifest_id - b.manifest_id);
  return { chosen, refused: [...refused.values()] };
}

/** Begins to bring an archived manifest back, with the archived children that an index needs; jobs do the rest. */
export async function startActivation(
  db: Database,
  input: { readonly key: RepositoryKey; readonly digest: string; readonly author: Author },
): Promise<StartActivationOutcome> {
  const { digest, author } = input;
  return db.transaction(async (tx): Promise<StartActivationOutcome> => {
    const repository = await lockRepository(db, tx, input.key, "update");
    if (repository === undefined) return { outcome: "repository-not-found" };
    const row = await tx
      .selectFrom("manifest")
      .select(["manifest_id", "digest", "status"])
      .where("repository_id", "=", repository.repositoryId)
      .where("digest", "=", digest)
      .where("deleted_at", "is", null)
      .executeTakeFirst();
    if (row === undefined) return { digest, outcome: "not-found" };
    if (row.status !== "ARCHIVED") return { digest, outcome: "status", status: row.status };
    const changes = await activate(db, tx, repository.repositoryId, [row], author.now);
    await appendChanges(tx, repository, author, changes);
    return { outcome: "started" };
  });
}

/**
 * Sees to it that live manifests, under the repository's exclusive lock, can be pulled: their archived children, level by level, and those among
 * themselves that are on their way begin (again) to come back.
 */
export async function activateNeeded(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  manifestIds: readonly number[],
  now: number,
): Promise<NewChange[]> {
  const rows = await tx
    .selectFrom("manifest")
    .select(["manifest_id", "status"])
    .where(db.dialect.integerIn("manifest_id", manifestIds))
    .where("status", "<>", "ARCHIVED")
    .execute();
  for (const row of rows) if (row.status === "ACTIVATING") await insertActivation(tx, row.manifest_id, now);
  const children = await archivedChildren(
    db,
    tx,
    repositoryId,
    rows.map((row) => row.manifest_id),
  );
  return activate(db, tx, repositoryId, children, now);
}

interface Archived {
  readonly manifest_id: number;
  readonly digest: string;
}

/** Puts archived manifests, and the archived children of the indexes among them, on their way back. */
async function activate(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  first: readonly Archived[],
  now: number,
): Promise<NewChange[]> {
  const started: Archived[] = [];
  for (let level = first; level.length > 0;) {
    const ids = level.map((row) => row.manifest_id);
    await tx.updateTable("manifest").set({ status: "ACTIVATING" }).where(db.dialect.integerIn("manifest_id", ids)).execute();
    await tx.updateTable("manifest_child").set({ live: 1 }).where(db.dialect.integerIn("manifest_id", ids)).execute();
    started.push(...level);
    level = await archivedChildren(db, tx, repositoryId, ids);
  }
  // Children first: their jobs are older.
  for (const { manifest_id: manifestId } of started.toReversed()) await insertActivation(tx, manifestId, now);
  return started.map(({ digest }) => ({
    kind: "manifest-activating",
    subject: digest,
    before: { status: "ARCHIVED" },
    after: { status: "ACTIVATING" },
  }));
}

async function archivedChildren(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  manifestIds: readonly number[],
): Promise<readonly Archived[]> {
  return tx
    .selectFrom("manifest_child as c")
    .innerJoin("manifest as m", (join) => join.on("m.repository_id", "=", repositoryId).onRef("m.digest", "=", "c.digest"))
    .select(["m.manifest_id", "m.digest"])
    .distinct()
    .where(db.dialect.integerIn("c.manifest_id", manifestIds))
    .where("m.deleted_at", "is", null)
    .where("m.status", "=", "ARCHIVED")
    .orderBy("m.manifest_id")
    .execute();
}

async function insertActivation(tx: Transaction<Schema>, manifestId: number, now: number): Promise<void> {
  const payload: ActivationJob = { manifestId };
  await insertJob(tx, { kind: activationJobKind, payload, runAt: now, dedupeKey: String(manifestId) });
}

/** What an activation has to know before it can end. */
export interface ActivatingManifest {
  readonly manifestId: number;
  readonly repositoryId: number;
  readonly repository: RepositoryKey;
  readonly digest: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** Its bytes are not sealed. */
  readonly isPlain: boolean;
  /** It came by replication. */
  readonly isCopy: boolean;
}

/** A live manifest of a live repository that is on its way back. Undefined when it is not (any more). */
export async function findActivating(db: Database, manifestId: number): Promise<ActivatingManifest | undefined> {
  const row = await db.read
    .selectFrom("manifest as m")
    .innerJoin("repository as r", "r.repository_id", "m.repository_id")
    .select(["m.digest", "m.media_type", "m.size_bytes", "m.is_copy", "r.repository_id"])
    .select(["r.account_id", "r.region", "r.name", "r.encryption_type"])
    .where("m.manifest_id", "=", manifestId)
    .where("m.status", "=", "ACTIVATING")
    .where("m.deleted_at", "is", null)
    .where("r.deleted_at", "is", null)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    manifestId,
    repositoryId: row.repository_id,
    repository: { accountId: row.account_id, region: row.region, name: row.name },
    digest: row.digest,
    mediaType: row.media_type,
    sizeBytes: row.size_bytes,
    isPlain: row.encryption_type === "AES256",
    isCopy: row.is_copy === 1,
  };
}

/** Ends an activation if all blobs are at hand and all children are back; the follow-ups of a push begin with it. */
export async function finishActivation(
  db: Database,
  input: {
    readonly manifestId: number;
    readonly repositoryId: number;
    readonly followUps: readonly PushFollowUp[];
    readonly author: Author;
  },
): Promise<FinishActivationOutcome> {
  const { manifestId, repositoryId, author } = input;
  return db.transaction(async (tx): Promise<FinishActivationOutcome> => {
    const repository = await lockRepositoryById(db, tx, repositoryId, "share");
    if (repository === undefined) return "ended";
    const blobs = await tx.selectFrom("manifest_blob").select("blob_id").where("manifest_id", "=", manifestId).execute();
    const blobIds = blobs.map((row) => row.blob_id);
    const isCold = (await lockBlobs(db, tx, blobIds)).size < blobIds.length;
    const row = await tx
      .selectFrom("manifest")
      .selectAll()
      .where("manifest_id", "=", manifestId)
      .where("status", "=", "ACTIVATING")
      .where("deleted_at", "is", null)
      .$call(db.dialect.lockForUpdate)
      .executeTakeFirst();
    if (row === undefined) return "ended";
    if (isCold) return "cold";
    if (await hasActivatingChild(tx, row)) return "waiting";
    const activated = await markActive(tx, manifestId, author.now);
    if (activated === undefined) return "ended";
    await appendChanges(tx, repository, author, [activationOf(activated, "restore")]);
    const push = { isNew: true, isChanged: true, scansOnPush: repository.scanOnPush };
    await beginFollowUps(tx, manifestId, neededFollowUps(input.followUps, push), author.now);
    return "activated";
  });
}

async function hasActivatingChild(tx: Transaction<Schema>, { manifest_id: manifestId }: ManifestRow): Promise<boolean> {
  const { rows } = await sql<{ manifest_id: number }>`
    select m.manifest_id from manifest_child c
    join manifest m on m.repository_id = c.repository_id and m.digest = c.digest and m.deleted_at is null
    where c.manifest_id = ${manifestId} and m.status = 'ACTIVATING' limit 1`.execute(tx);
  return rows.length > 0;
}

async function activatingParents(tx: Transaction<Schema>, { repository_id: repositoryId, digest }: ManifestRow): Promise<number[]> {
  const { rows } = await sql<{ manifest_id: number }>`
    select m.manifest_id from manifest_child c join manifest m on m.manifest_id = c.manifest_id
    where c.repository_id = ${repositoryId} and c.digest = ${digest} and c.live = 1 and m.status = 'ACTIVATING'
    order by m.manifest_id`.execute(tx);
  return rows.map((row) => row.manifest_id);
}

/** Makes a manifest active whose blobs are locked and whose children are there. Undefined: it was active already. */
export async function markActive(tx: Transaction<Schema>, manifestId: number, now: number): Promise<ManifestRow | undefined> {
  const row = await tx
    .updateTable("manifest")
    .set({ status: "ACTIVE", last_activated_at: now })
    .where("manifest_id", "=", manifestId)
    .where("status", "<>", "ACTIVE")
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) return undefined;
  await tx.updateTable("manifest_blob").set({ live: 1 }).where("manifest_id", "=", manifestId).execute();
  await tx.updateTable("manifest_child").set({ live: 1 }).where("manifest_id", "=", manifestId).execute();
  for (const parent of await activatingParents(tx, row)) await insertActivation(tx, parent, now);
  return row;
}

/** The entry of the change log for a manifest that is back. */
export function activationOf(row: ManifestRow, trigger: "push" | "restore"): NewChange {
  const after = { status: row.status, ...typesOf(row), lastActivatedAt: row.last_activated_at, trigger };
  return { kind: "manifest-activated", subject: row.digest, after };
}

/** What an event about the manifest names it as. An index has no media type but its own. */
export function typesOf(row: ManifestRow): { readonly mediaType: string; readonly artifactMediaType?: string; readonly isReferrer?: true } {
  const { media_type: mediaType, kind, config_media_type: config, artifact_type: artifact } = row;
  const artifactMediaType = config === mediaTypes.ociEmpty ? (artifact ?? config) : config;
  return {
    mediaType,
    ...(kind === "image" && artifactMediaType !== null && { artifactMediaType }),
    ...(row.subject_digest !== null && { isReferrer: true }),
  };
}

/** Begins the jobs of what is on its way back, where they were given up. One page in the order of ids; answers the last id, undefined at the end. */
export async function resumeActivations(
  db: Database,
  input: { readonly after: number; readonly limit: number; readonly now: number },
): Promise<number | undefined> {
  return db.transaction(async (tx) => {
    const rows = await tx
      .selectFrom("manifest")
      .select("manifest_id")
      .where("deleted_at", "is", null)
      .where("status", "=", sql.lit("ACTIVATING" as const))
      .where("manifest_id", ">", input.after)
      .orderBy("manifest_id")
      .limit(input.limit)
      .execute();
    for (const row of rows) await insertActivation(tx, row.manifest_id, input.now);
    return rows.at(-1)?.manifest_id;
  });
}
