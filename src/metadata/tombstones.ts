import { sql } from "kysely";
import type { Transaction } from "kysely";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import { appendChanges } from "./changes.ts";
import type { Author, NewChange } from "./changes.ts";
import type { Database } from "./database.ts";
import { resumeFollowUps } from "./follow-ups.ts";
import { removeManifests } from "./manifest-purge.ts";
import type { ManifestStatus } from "./manifest-rows.ts";
import { countRepository, findRepository, lockRegistry, lockRepository, repositoryOf } from "./repositories.ts";
import type { RepositoryKey } from "./repositories.ts";
import type { Schema } from "./schema.ts";
import { activateNeeded } from "./storage-class.ts";

/** Something deleted that can still come back. */
export interface Tombstone {
  readonly kind: "manifest" | "tag";
  readonly tombstoneId: number;
  readonly digest: string;
  readonly tag?: string;
  readonly deletedAt: number;
}

/** What `restoreManifest` and `restoreTag` answer; `in-the-way`: the name is in use by something live. */
export type RestoreOutcome =
  | { readonly outcome: "restored"; readonly digest: string; readonly tags: readonly string[] }
  | { readonly outcome: "repository-not-found" }
  | { readonly outcome: "not-found" }
  | { readonly outcome: "in-the-way" };

/** What `restoreRepository` answers. */
export type RestoreRepositoryOutcome =
  | { readonly outcome: "restored"; readonly repositoryId: number }
  | { readonly outcome: "not-found" }
  | { readonly outcome: "in-the-way" };

/** What `purgeManifest` and `purgeTag` answer. */
export type PurgeOutcome =
  | { readonly outcome: "purged"; readonly count: number }
  | { readonly outcome: "not-found" }
  | { readonly outcome: "repository-not-found" };

/** In which repository, and who asks. */
export interface TombstoneInput {
  readonly key: RepositoryKey;
  readonly author: Author;
}

/**
 * One page of what was deleted in a live repository: manifests first, then tags, each in the order of their ids, from
 * the first one after `after` on. Undefined: no such repository.
 */
export async function listTombstones(
  db: Database,
  key: RepositoryKey,
  page: { readonly limit: number; readonly after?: { readonly kind: "manifest" | "tag"; readonly tombstoneId: number } },
): Promise<Tombstone[] | undefined> {
  const repository = await findRepository(db, key);
  if (repository === undefined) return undefined;
  const { repositoryId } = repository;
  const manifests = page.after?.kind === "tag" ? [] : await deletedManifests(db, repositoryId, page.after?.tombstoneId ?? 0, page.limit);
  const left = page.limit - manifests.length;
  if (left <= 0) return manifests;
  return [...manifests, ...(await deletedTags(db, repositoryId, page.after?.kind === "tag" ? page.after.tombstoneId : 0, left))];
}

async function deletedManifests(db: Database, repositoryId: number, after: number, limit: number): Promise<Tombstone[]> {
  const rows = await db.read
    .selectFrom("manifest")
    .select(["manifest_id", "digest", "deleted_at"])
    .where("repository_id", "=", repositoryId)
    .where("deleted_at", "is not", null)
    .where("manifest_id", ">", after)
    .orderBy("manifest_id")
    .limit(limit)
    .execute();
  return rows.map((row) => ({ kind: "manifest", tombstoneId: row.manifest_id, digest: row.digest, deletedAt: row.deleted_at ?? 0 }));
}

async function deletedTags(db: Database, repositoryId: number, after: number, limit: number): Promise<Tombstone[]> {
  const rows = await db.read
    .selectFrom("tag as t")
    .innerJoin("manifest as m", "m.manifest_id", "t.manifest_id")
    .select(["t.tag_id", "t.name", "t.deleted_at", "m.digest"])
    .where("t.repository_id", "=", repositoryId)
    .where("t.deleted_at", "is not", null)
    .where("t.tag_id", ">", after)
    .orderBy("t.tag_id")
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    kind: "tag",
    tombstoneId: row.tag_id,
    digest: row.digest,
    tag: row.name,
    deletedAt: row.deleted_at ?? 0,
  }));
}

/**
 * Brings the newest tombstone of a digest back with the tags that went with it (unless they are in use again), and, for
 * an index, with the children that it needs and that are deleted.
 */
export async function restoreManifest(db: Database, input: TombstoneInput & { readonly digest: string }): Promise<RestoreOutcome> {
  const { digest, author } = input;
  return db.transaction(async (tx): Promise<RestoreOutcome> => {
    const repository = await lockRepository(db, tx, input.key, "update");
    if (repository === undefined) return { outcome: "repository-not-found" };
    const { repositoryId } = repository;
    if ((await findLiveManifest(tx, repositoryId, digest)) !== undefined) return { outcome: "in-the-way" };
    const dead = await findDeadManifest(db, tx, repositoryId, digest);
    if (dead === undefined) return { outcome: "not-found" };
    const changes = await revive(db, tx, repositoryId, dead, author.now);
    const tags = await tx
      .updateTable("tag")
      .set({ deleted_at: null })
      .where("manifest_id", "=", dead.manifest_id)
      .where("deleted_at", "=", dead.deleted_at)
      .where(
        sql<boolean>`not exists (select 1 from tag live
          where live.repository_id = ${repositoryId} and live.name = tag.name and live.deleted_at is null)`,
      )
      // A tag that went twice in the same millisecond comes back once.
      .where(
        sql<boolean>`not exists (select 1 from tag later
          where later.repository_id = ${repositoryId} and later.name = tag.name and later.deleted_at = tag.deleted_at and later.tag_id > tag.tag_id)`,
      )
      .returning("name")
      .execute();
    await tx.updateTable("manifest").set({ tag_count: tags.length }).where("manifest_id", "=", dead.manifest_id).execute();
    const names = tags.map((tag) => tag.name).toSorted();
    changes.push(...names.map((name): NewChange => ({ kind: "tag-restored", subject: name, after: { digest } })));
    await appendChanges(tx, repository, author, changes);
    return { outcome: "restored", digest, tags: names };
  });
}

/** Brings the newest tombstone of a tag back, and its manifest if that is deleted. Refuses while the tag is in use. */
export async function restoreTag(db: Database, input: TombstoneInput & { readonly tag: string }): Promise<RestoreOutcome> {
  const { tag, author } = input;
  return db.transaction(async (tx): Promise<RestoreOutcome> => {
    const repository = await lockRepository(db, tx, input.key, "update");
    if (repository === undefined) return { outcome: "repository-not-found" };
    const { repositoryId } = repository;
    const rows = tx.selectFrom("tag").select(["tag_id", "manifest_id"]).where("repository_id", "=", repositoryId).where("name", "=", tag);
    if ((await rows.where("deleted_at", "is", null).executeTakeFirst()) !== undefined) return { outcome: "in-the-way" };
    const dead = await rows
      .where("deleted_at", "is not", null)
      .orderBy("deleted_at", "desc")
      .orderBy("tag_id", "desc")
      .limit(1)
      .$call(db.dialect.lockForUpdate)
      .executeTakeFirst();
    if (dead === undefined) return { outcome: "not-found" };
    const { digest } = await tx
      .selectFrom("manifest")
      .select("digest")
      .where("manifest_id", "=", dead.manifest_id)
      .executeTakeFirstOrThrow();
    const changes: NewChange[] = [];
    // The same digest may have been pushed again beside its tombstone; then the tag belongs there.
    let target = await findLiveManifest(tx, repositoryId, digest);
    if (target === undefined) {
      const deadManifest = await findDeadManifest(db, tx, repositoryId, digest);
      if (deadManifest === undefined) return { outcome: "not-found" };
      changes.push(...(await revive(db, tx, repositoryId, deadManifest, author.now)));
      target = deadManifest;
    }
    await tx.updateTable("tag").set({ deleted_at: null, manifest_id: target.manifest_id }).where("tag_id", "=", dead.tag_id).execute();
    await tx
      .updateTable("manifest")
      .set({ tag_count: sql`tag_count + 1` })
      .where("manifest_id", "=", target.manifest_id)
      .execute();
    await appendChanges(tx, repository, author, [...changes, { kind: "tag-restored", subject: tag, after: { digest } }]);
    return { outcome: "restored", digest, tags: [tag] };
  });
}

/** Brings the newest tombstone of a repository back with everything in it. Refuses while the name is in use. */
export async function restoreRepository(db: Database, input: TombstoneInput): Promise<RestoreRepositoryOutcome> {
  const { key, author } = input;
  return db.transaction(async (tx): Promise<RestoreRepositoryOutcome> => {
    // It comes back with its policy and its tags.
    await moveIdentityEpoch(tx);
    await lockRegistry(db, tx, key);
    if ((await lockRepository(db, tx, key, "update")) !== undefined) return { outcome: "in-the-way" };
    const row = await tx
      .selectFrom("repository")
      .selectAll()
      .where("account_id", "=", key.accountId)
      .where("region", "=", key.region)
      .where("name", "=", key.name)
      .where("deleted_at", "is not", null)
      .orderBy("deleted_at", "desc")
      .orderBy("repository_id", "desc")
      .limit(1)
      .$call(db.dialect.lockForUpdate)
      .executeTakeFirst();
    if (row === undefined) return { outcome: "not-found" };
    await tx.updateTable("repository").set({ deleted_at: null }).where("repository_id", "=", row.repository_id).execute();
    await countRepository(tx, key, 1);
    await resumeFollowUps(db, tx, { repositoryId: row.repository_id }, author.now);
    await appendChanges(tx, repositoryOf(row), author, [{ kind: "repository-restored", after: { repositoryId: row.repository_id } }]);
    return { outcome: "restored", repositoryId: row.repository_id };
  });
}

/** Removes all tombstones of a digest now, without waiting for the undo window. A live manifest stays. */
export async function purgeManifest(db: Database, input: TombstoneInput & { readonly digest: string }): Promise<PurgeOutcome> {
  const { digest, author } = input;
  return db.transaction(async (tx): Promise<PurgeOutcome> => {
    const repository = await lockRepository(db, tx, input.key, "update");
    if (repository === undefined) return { outcome: "repository-not-found" };
    const rows = await tx
      .selectFrom("manifest")
      .select("manifest_id")
      .where("repository_id", "=", repository.repositoryId)
      .where("digest", "=", digest)
      .where("deleted_at", "is not", null)
      .$call(db.dialect.lockForUpdate)
      .execute();
    if (rows.length === 0) return { outcome: "not-found" };
    await removeManifests(
      db,
      tx,
      rows.map((row) => row.manifest_id),
    );
    await appendChanges(tx, repository, author, [{ kind: "manifest-purged", subject: digest, before: { tombstones: rows.length } }]);
    return { outcome: "purged", count: rows.length };
  });
}

/** Removes all tombstones of a tag now. A live tag stays. */
export async function purgeTag(db: Database, input: TombstoneInput & { readonly tag: string }): Promise<PurgeOutcome> {
  const { tag, author } = input;
  return db.transaction(async (tx): Promise<PurgeOutcome> => {
    const repository = await lockRepository(db, tx, input.key, "update");
    if (repository === undefined) return { outcome: "repository-not-found" };
    const result = await tx
      .deleteFrom("tag")
      .where("repository_id", "=", repository.repositoryId)
      .where("name", "=", tag)
      .where("deleted_at", "is not", null)
      .executeTakeFirst();
    const count = Number(result.numDeletedRows);
    if (count === 0) return { outcome: "not-found" };
    await appendChanges(tx, repository, author, [{ kind: "tag-purged", subject: tag, before: { tombstones: count } }]);
    return { outcome: "purged", count };
  });
}

interface DeadManifest {
  readonly manifest_id: number;
  readonly digest: string;
  readonly deleted_at: number | null;
  readonly status: ManifestStatus;
}

async function findLiveManifest(
  tx: Transaction<Schema>,
  repositoryId: number,
  digest: string,
): Promise<{ manifest_id: number } | undefined> {
  return tx
    .selectFrom("manifest")
    .select("manifest_id")
    .where("repository_id", "=", repositoryId)
    .where("digest", "=", digest)
    .where("deleted_at", "is", null)
    .executeTakeFirst();
}

async function findDeadManifest(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  digest: string,
): Promise<DeadManifest | undefined> {
  return tx
    .selectFrom("manifest")
    .select(["manifest_id", "digest", "deleted_at", "status"])
    .where("repository_id", "=", repositoryId)
    .where("digest", "=", digest)
    .where("deleted_at", "is not", null)
    .orderBy("deleted_at", "desc")
    .orderBy("manifest_id", "desc")
    .limit(1)
    .$call(db.dialect.lockForUpdate)
    .executeTakeFirst();
}

/**
 * Makes a manifest live again without its tags, and the deleted children that an index needs, level by level. What was archived still is;
 * what has become active or is on its way gets its archived children back.
 */
async function revive(db: Database, tx: Transaction<Schema>, repositoryId: number, first: DeadManifest, now: number): Promise<NewChange[]> {
  const revived: DeadManifest[] = [];
  const needed: number[] = [];
  for (let level: DeadManifest[] = [first]; level.length > 0;) {
    const ids = level.map((manifest) => manifest.manifest_id);
    await tx.updateTable("manifest").set({ deleted_at: null, tag_count: 0 }).where(db.dialect.integerIn("manifest_id", ids)).execute();
    // A referrer that somebody brings back does not follow its subject once more.
    await tx.deleteFrom("orphaned_referrer").where(db.dialect.integerIn("manifest_id", ids)).execute();
    const active = level.filter((manifest) => manifest.status === "ACTIVE").map((manifest) => manifest.manifest_id);
    const outside = level.filter((manifest) => manifest.status !== "ARCHIVED").map((manifest) => manifest.manifest_id);
    await tx.updateTable("manifest_blob").set({ live: 1 }).where(db.dialect.integerIn("manifest_id", active)).execute();
    await tx.updateTable("manifest_child").set({ live: 1 }).where(db.dialect.integerIn("manifest_id", outside)).execute();
    needed.push(...outside);
    revived.push(...level);
    const children = await tx
      .selectFrom("manifest_child")
      .select("digest")
      .distinct()
      .where(db.dialect.integerIn("manifest_id", ids))
      .orderBy("digest")
      .execute();
    level = [];
    for (const { digest } of children) {
      if ((await findLiveManifest(tx, repositoryId, digest)) !== undefined) continue;
      const dead = await findDeadManifest(db, tx, repositoryId, digest);
      if (dead !== undefined) level.push(dead);
    }
  }
  await tx
    .updateTable("repository_usage")
    .set({ manifest_count: sql`manifest_count + ${revived.length}` })
    .where("repository_id", "=", repositoryId)
    .execute();
  await resumeFollowUps(db, tx, { repositoryId, manifestIds: revived.map((manifest) => manifest.manifest_id) }, now);
  const activating = await activateNeeded(db, tx, repositoryId, needed, now);
  const restored = revived.map((manifest): NewChange => ({
    kind: "manifest-restored",
    subject: manifest.digest,
    after: { manifestId: manifest.manifest_id },
  }));
  return [...restored, ...activating];
}
