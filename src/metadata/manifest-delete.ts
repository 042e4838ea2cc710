import { sql } from "kysely";
import type { Transaction } from "kysely";
import { endGrace } from "./blob-links.ts";
import { appendChanges } from "./changes.ts";
import type { Author, NewChange } from "./changes.ts";
import type { Database } from "./database.ts";
import { listManifestParents } from "./manifest-listings.ts";
import { lockRepository } from "./repositories.ts";
import type { RepositoryKey } from "./repositories.ts";
import type { Schema } from "./schema.ts";

/** How far a delete reaches. */
export interface DeleteReach {
  /** Also delete what has it as its subject, and what has that, and so on. */
  readonly withReferrers: boolean;
  /** With `withReferrers`: they are only remembered as those that must follow. The caller sees to it. */
  readonly referrersFollow?: true;
  /** How long links are promised for; tells a promise made after the push from an older one. */
  readonly linkGraceMs: number;
}

/** What `deleteManifest` takes. */
export interface DeleteManifest extends DeleteReach {
  readonly key: RepositoryKey;
  readonly digest: string;
  readonly author: Author;
}

/** What `deleteManifest` answers. */
export type DeleteManifestOutcome =
  | {
      readonly outcome: "deleted";
      readonly digest: string;
      readonly tags: readonly string[];
      /** Digests of the referrers that went with it. */
      readonly referrers: readonly string[];
    }
  | { readonly outcome: "not-found" }
  | { readonly outcome: "repository-not-found" }
  /** Live indexes name it as a child. */
  | { readonly outcome: "referenced"; readonly parents: readonly string[] };

/** What `deleteTag` takes. */
export interface DeleteTag extends DeleteReach {
  readonly key: RepositoryKey;
  readonly tag: string;
  /** The tag must be on this digest. */
  readonly digest?: string;
  /** As ECR does it: the manifest goes with its last tag. */
  readonly lastTagDeletesManifest: boolean;
  readonly author: Author;
}

/** What `deleteTag` answers. */
export type DeleteTagOutcome =
  | { readonly outcome: "deleted"; readonly digest: string; readonly manifestDeleted: boolean }
  | { readonly outcome: "not-found" }
  | { readonly outcome: "repository-not-found" }
  | { readonly outcome: "tag-digest-mismatch" }
  | { readonly outcome: "referenced"; readonly digest: string; readonly parents: readonly string[] };

/** A live manifest that is to go. */
export interface Doomed {
  readonly manifest_id: number;
  readonly digest: string;
  readonly subject_digest: string | null;
}

/**
 * Tombstones a manifest and its tags. What it alone referenced is no longer readable in the repository at once; rows
 * and bytes stay until the undo window ends.
 */
export async function deleteManifest(db: Database, input: DeleteManifest): Promise<DeleteManifestOutcome> {
  const { digest, author } = input;
  return db.transaction(async (tx): Promise<DeleteManifestOutcome> => {
    const repository = await lockRepository(db, tx, input.key, "update");
    if (repository === undefined) return { outcome: "repository-not-found" };
    const { repositoryId } = repository;
    const manifest = await tx
      .selectFrom("manifest")
      .select(["manifest_id", "digest", "subject_digest"])
      .where("repository_id", "=", repositoryId)
      .where("digest", "=", digest)
      .where("deleted_at", "is", null)
      .executeTakeFirst();
    if (manifest === undefined) return { outcome: "not-found" };
    const parents = await listManifestParents(db, repositoryId, digest, tx);
    if (parents.length > 0) return { outcome: "referenced", parents };
    const { tags, referrers, changes } = await tombstone(db, tx, repositoryId, [manifest], input, author.now);
    await appendChanges(tx, repository, author, changes);
    return { outcome: "deleted", digest, tags: tags.get(manifest.manifest_id) ?? [], referrers };
  });
}

/** Tombstones a tag; the manifest stays untagged, or goes with its last tag where that is asked for. */
export async function deleteTag(db: Database, input: DeleteTag): Promise<DeleteTagOutcome> {
  const { tag, author } = input;
  return db.transaction(async (tx): Promise<DeleteTagOutcome> => {
    const repository = await lockRepository(db, tx, input.key, "update");
    if (repository === undefined) return { outcome: "repository-not-found" };
    const { repositoryId } = repository;
    const row = await tx
      .selectFrom("tag as t")
      .innerJoin("manifest as m", "m.manifest_id", "t.manifest_id")
      .select(["t.tag_id", "m.manifest_id", "m.digest", "m.tag_count", "m.subject_digest"])
      .where("t.repository_id", "=", repositoryId)
      .where("t.name", "=", tag)
      .where("t.deleted_at", "is", null)
      .executeTakeFirst();
    if (row === undefined) return { outcome: "not-found" };
    const { digest } = row;
    if (input.digest !== undefined && input.digest !== digest) return { outcome: "tag-digest-mismatch" };
    if (input.lastTagDeletesManifest && row.tag_count === 1) {
      const parents = await listManifestParents(db, repositoryId, digest, tx);
      if (parents.length > 0) return { outcome: "referenced", digest, parents };
      const { changes } = await tombstone(db, tx, repositoryId, [row], input, author.now);
      await appendChanges(tx, repository, author, changes);
      return { outcome: "deleted", digest, manifestDeleted: true };
    }
    await tx.updateTable("tag").set({ deleted_at: author.now }).where("tag_id", "=", row.tag_id).execute();
    await tx
      .updateTable("manifest")
      .set({ tag_count: sql`tag_count - 1` })
      .where("manifest_id", "=", row.manifest_id)
      .execute();
    await appendChanges(tx, repository, author, [{ kind: "tag-deleted", subject: tag, before: { digest, ...kindOf(row) } }]);
    return { outcome: "deleted", digest, manifestDeleted: false };
  });
}

/** What was tombstoned. */
interface Tombstoned {
  /** The tags of each manifest that lost any, in byte order. */
  readonly tags: ReadonlyMap<number, readonly string[]>;
  /** Digests of the referrers that went along. */
  readonly referrers: readonly string[];
  readonly changes: NewChange[];
}

/**
 * Tombstones manifests, their tags and, if asked, their referrers, all with one deletion time so that they can come back together. Called under
 * the repository's exclusive lock, when no index forbids it.
 */
export async function tombstone(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  manifests: readonly Doomed[],
  { withReferrers, referrersFollow, linkGraceMs }: DeleteReach,
  now: number,
): Promise<Tombstoned> {
  const referrers = withReferrers && referrersFollow !== true ? await collectReferrers(db, tx, repositoryId, manifests) : [];
  const doomed = new Map([...manifests, ...referrers].map((row) => [row.manifest_id, row]));
  const ids = [...doomed.keys()];
  const tags = await tx
    .updateTable("tag")
    .set({ deleted_at: now })
    .where(db.dialect.integerIn("manifest_id", ids))
    .where("deleted_at", "is", null)
    .returning(["name", "manifest_id"])
    .execute();
  await tx.updateTable("manifest").set({ deleted_at: now, tag_count: 0 }).where(db.dialect.integerIn("manifest_id", ids)).execute();
  await tx.updateTable("manifest_blob").set({ live: 0 }).where(db.dialect.integerIn("manifest_id", ids)).execute();
  await tx.updateTable("manifest_child").set({ live: 0 }).where(db.dialect.integerIn("manifest_id", ids)).execute();
  await endGrace(db, tx, repositoryId, ids, linkGraceMs);
  const digests = [...doomed.values()].map((row) => row.digest);
  await markOrphans(db, tx, repositoryId, digests, withReferrers);
  await tx
    .updateTable("repository_usage")
    .set({ manifest_count: sql`manifest_count - ${ids.length}` })
    .where("repository_id", "=", repositoryId)
    .execute();
  const tagsOf = new Map<number, string[]>();
  for (const { name, manifest_id: id } of tags) {
    const names = tagsOf.get(id);
    if (names === undefined) tagsOf.set(id, [name]);
    else names.push(name);
  }
  for (const names of tagsOf.values()) names.sort();
  return {
    tags: tagsOf,
    referrers: referrers.map((row) => row.digest),
    // Of each manifest its tags, then itself: the order in which they are told of.
    changes: [...doomed.values()].flatMap((row): NewChange[] => {
      const { manifest_id: manifestId, digest } = row;
      const names = tagsOf.get(manifestId) ?? [];
      return [
        ...names.map((name): NewChange => ({ kind: "tag-deleted", subject: name, before: { digest, ...kindOf(row) } })),
        { kind: "manifest-deleted", subject: digest, before: { manifestId, ...kindOf(row), tags: names.length } },
      ];
    }),
  };
}

function kindOf({ subject_digest: subjectDigest }: Pick<Doomed, "subject_digest">): { readonly isReferrer?: true } {
  return subjectDigest === null ? {} : { isReferrer: true };
}

/** The live referrers of manifests, and theirs, level by level. What a live index names as a child stays, with all behind it. */
async function collectReferrers(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  manifests: readonly Doomed[],
): Promise<Doomed[]> {
  const found = new Map<number, Doomed>();
  const known = new Set(manifests.map((row) => row.manifest_id));
  let level: readonly Doomed[] = manifests;
  while (level.length > 0) {
    const digests = level.map((row) => row.digest);
    const { rows } = await sql<Doomed>`
      select m.manifest_id, m.digest, m.subject_digest from manifest m
      where m.repository_id = ${repositoryId} and ${db.dialect.textIn("m.subject_digest", digests)} and m.subject_digest is not null
        and m.deleted_at is null
        and not exists (select 1 from manifest_child c where c.repository_id = ${repositoryId} and c.digest = m.digest and c.live = 1)`.execute(
      tx,
    );
    // Sorted here: asked for the order, SQLite walks all digests of the repository instead of the subject's referrers.
    // Digests cannot form a circle, but nothing here depends on that.
    level = rows
      .filter((row) => !known.has(row.manifest_id) && !found.has(row.manifest_id))
      .toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
    for (const row of level) found.set(row.manifest_id, row);
  }
  return [...found.values()];
}

/**
 * Remembers of the referrers that are left whether they would have gone with their subjects, had no index held them: lifecycle policies
 * let those follow later. Referrers of what is deleted without its referrers are on their own.
 */
async function markOrphans(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  subjects: readonly string[],
  withReferrers: boolean,
): Promise<void> {
  const left = sql`select m.manifest_id from manifest m
    where m.repository_id = ${repositoryId} and ${db.dialect.textIn("m.subject_digest", subjects)} and m.subject_digest is not null
      and m.deleted_at is null`;
  if (withReferrers) await sql`insert into orphaned_referrer (manifest_id) ${left} on conflict do nothing`.execute(tx);
  else await sql`delete from orphaned_referrer where manifest_id in (${left})`.execute(tx);
}
