import { readJson } from "#std/json.ts";
import { sql } from "kysely";
import type { Transaction } from "kysely";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import { appendChanges } from "./changes.ts";
import type { Author, NewChange } from "./changes.ts";
import type { Database } from "./database.ts";
import type { NewLifecyclePolicy } from "./lifecycle-policies.ts";
import { preparedStatement } from "./prepared.ts";
import { insertEncryption } from "./repository-encryption.ts";
import type { NewRepositoryEncryption } from "./repository-encryption.ts";
import type { StoredPolicy } from "./resource-policies.ts";
import type { RepositoryRow, Schema } from "./schema.ts";

/** One registry: an account in a region. */
export interface RegistryKey {
  readonly accountId: string;
  readonly region: string;
}

/** Names a repository. */
export interface RepositoryKey extends RegistryKey {
  readonly name: string;
}

/** Whether tags may be moved; with exclusion, the filters name the tags for which the opposite holds. */
export type TagMutability = "MUTABLE" | "IMMUTABLE" | "MUTABLE_WITH_EXCLUSION" | "IMMUTABLE_WITH_EXCLUSION";

/** How what is in a repository is encrypted at rest. */
export type EncryptionType = RepositoryRow["encryption_type"];

/** A live repository. */
export interface Repository {
  readonly repositoryId: number;
  readonly accountId: string;
  readonly region: string;
  readonly name: string;
  readonly createdAt: number;
  readonly tagMutability: TagMutability;
  readonly mutabilityFilters: readonly string[];
  readonly scanOnPush: boolean;
  readonly encryptionType: EncryptionType;
  /** Of the key that encrypts what is in it; undefined with `AES256`. */
  readonly kmsKeyArn: string | undefined;
  /** Blobs are shared between repositories of one account and one protection domain, and with nobody else. */
  readonly protectionDomain: string;
}

/** What `createRepository` takes. */
export interface CreateRepository {
  readonly key: RepositoryKey;
  readonly tagMutability: TagMutability;
  readonly mutabilityFilters: readonly string[];
  readonly scanOnPush: boolean;
  readonly encryptionType: EncryptionType;
  readonly protectionDomain: string;
  /** Present with every type but `AES256`. */
  readonly encryption?: NewRepositoryEncryption | undefined;
  readonly resourceTags: Readonly<Record<string, string>>;
  readonly policy?: StoredPolicy | undefined;
  readonly lifecyclePolicy?: NewLifecyclePolicy | undefined;
  readonly maxRepositories: number;
  readonly author: Author;
}

/** What `createRepository` answers. */
export type CreateRepositoryOutcome =
  | { readonly outcome: "created"; readonly repository: Repository }
  | { readonly outcome: "exists" }
  | { readonly outcome: "limit" };

/** What `deleteRepository` answers. */
export type DeleteRepositoryOutcome =
  | { readonly outcome: "deleted"; readonly repository: Repository }
  | { readonly outcome: "not-empty" }
  | { readonly outcome: "not-found" };

/** Columns of a repository under the names that {@link repositoryOf} reads; the table's alias must be `r`. */
export const repositoryColumns = `r.repository_id, r.account_id, r.region, r.name, r.created_at, r.tag_mutability,
  r.mutability_filters, r.scan_on_push, r.encryption_type, r.protection_domain, r.kms_key_arn`;

const findByName = preparedStatement(
  "find_repository",
  `select ${repositoryColumns} from repository r
   where r.account_id = ?1 and r.region = ?2 and r.name = ?3 and r.deleted_at is null`,
);

/** The columns that {@link repositoryOf} needs. */
export type RepositoryFacts = Omit<RepositoryRow, "deleted_at" | "revision">;

const noFilters: readonly string[] = [];

/** A row as callers see it. */
export function repositoryOf(row: RepositoryFacts): Repository {
  return {
    repositoryId: row.repository_id,
    accountId: row.account_id,
    region: row.region,
    name: row.name,
    createdAt: row.created_at,
    tagMutability: row.tag_mutability,
    mutabilityFilters: row.mutability_filters === "[]" ? noFilters : (readJson(row.mutability_filters) as string[]),
    scanOnPush: row.scan_on_push === 1,
    encryptionType: row.encryption_type,
    kmsKeyArn: row.kms_key_arn ?? undefined,
    protectionDomain: row.protection_domain,
  };
}

/**
 * Finds the live repository inside a transaction and locks its row: shared by whoever adds to it, exclusively by
 * whoever deletes in it or changes its settings. Invariant: under the shared lock nothing in the repository is tombstoned.
 */
export async function lockRepository(
  db: Database,
  tx: Transaction<Schema>,
  key: RepositoryKey,
  mode: "share" | "update",
): Promise<Repository | undefined> {
  const row = await tx
    .selectFrom("repository")
    .selectAll()
    .where("account_id", "=", key.accountId)
    .where("region", "=", key.region)
    .where("name", "=", key.name)
    .where("deleted_at", "is", null)
    .$call(mode === "share" ? db.dialect.lockForShare : db.dialect.lockForUpdate)
    .executeTakeFirst();
  return row === undefined ? undefined : repositoryOf(row);
}

/** As {@link lockRepository}, by id. */
export async function lockRepositoryById(
  db: Database,
  tx: Transaction<Schema>,
  repositoryId: number,
  mode: "share" | "update",
): Promise<Repository | undefined> {
  const row = await tx
    .selectFrom("repository")
    .selectAll()
    .where("repository_id", "=", repositoryId)
    .where("deleted_at", "is", null)
    .$call(mode === "share" ? db.dialect.lockForShare : db.dialect.lockForUpdate)
    .executeTakeFirst();
  return row === undefined ? undefined : repositoryOf(row);
}

/** Locks the registry's row, made when missing, and answers how many live repositories it has. */
export async function lockRegistry(db: Database, tx: Transaction<Schema>, registry: RegistryKey): Promise<number> {
  await tx
    .insertInto("registry")
    .values({ account_id: registry.accountId, region: registry.region, repository_count: 0 })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const row = await tx
    .selectFrom("registry")
    .select("repository_count")
    .where("account_id", "=", registry.accountId)
    .where("region", "=", registry.region)
    .$call(db.dialect.lockForUpdate)
    .executeTakeFirstOrThrow();
  return row.repository_count;
}

/** Adds to the count of live repositories, under the lock of {@link lockRegistry}. */
export async function countRepository(tx: Transaction<Schema>, registry: RegistryKey, by: 1 | -1): Promise<void> {
  await tx
    .updateTable("registry")
    .set({ repository_count: sql`repository_count + ${by}` })
    .where("account_id", "=", registry.accountId)
    .where("region", "=", registry.region)
    .execute();
}

/** Creates a repository with its resource tags. The name may have tombstones; they stay what they are. */
export async function createRepository(db: Database, input: CreateRepository): Promise<CreateRepositoryOutcome> {
  const { key, author } = input;
  const tags = Object.entries(input.resourceTags);
  return db.transaction(async (tx): Promise<CreateRepositoryOutcome> => {
    // Caches of access know repositories by name: one of this name may have been there without these tags and this policy.
    if (tags.length > 0 || input.policy !== undefined) await moveIdentityEpoch(tx);
    const count = await lockRegistry(db, tx, key);
    if ((await lockRepository(db, tx, key, "share")) !== undefined) return { outcome: "exists" };
    if (count >= input.maxRepositories) return { outcome: "limit" };
    const row = await tx
      .insertInto("repository")
      .values({
        account_id: key.accountId,
        region: key.region,
        name: key.name,
        created_at: author.now,
        deleted_at: null,
        tag_mutability: input.tagMutability,
        mutability_filters: JSON.stringify(input.mutabilityFilters),
        scan_on_push: input.scanOnPush ? 1 : 0,
        encryption_type: input.encryptionType,
        protection_domain: input.protectionDomain,
        kms_key_arn: input.encryption?.keyArn ?? null,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
    const repository = repositoryOf(row);
    await tx.insertInto("repository_usage").values({ repository_id: repository.repositoryId, manifest_count: 0 }).execute();
    if (input.encryption !== undefined) await insertEncryption(tx, repository, input.encryption);
    if (tags.length > 0) {
      await tx
        .insertInto("resource_tag")
        .values(tags.map(([tagKey, value]) => ({ repository_id: repository.repositoryId, key: tagKey, value })))
        .execute();
    }
    const policyChanges = await insertPolicies(tx, repository, input);
    await countRepository(tx, key, 1);
    const after = {
      tagMutability: input.tagMutability,
      mutabilityFilters: input.mutabilityFilters,
      scanOnPush: input.scanOnPush,
      encryptionType: input.encryptionType,
      ...(input.encryption !== undefined && { kmsKey: input.encryption.keyArn }),
      resourceTags: input.resourceTags,
    };
    await appendChanges(tx, repository, author, [{ kind: "repository-created", after }, ...policyChanges]);
    return { outcome: "created", repository };
  });
}

/** The policies that a repository has from the beginning, and what the change log says of them. */
async function insertPolicies(
  tx: Transaction<Schema>,
  { repositoryId: repository_id }: Repository,
  { policy, lifecyclePolicy, author }: CreateRepository,
): Promise<readonly NewChange[]> {
  const changes: NewChange[] = [];
  if (policy !== undefined) {
    const { document, principals } = policy;
    const row = { repository_id, document, principals: JSON.stringify(principals), updated_at: author.now };
    await tx.insertInto("repository_policy").values(row).execute();
    changes.push({ kind: "repository-policy-put", after: document });
  }
  if (lifecyclePolicy !== undefined) {
    const { policy: text, policyId: policy_id, waitingSince: waiting_since } = lifecyclePolicy;
    const row = { repository_id, policy_id, version: 1, policy: text, updated_at: author.now, waiting_since, last_evaluated_at: null };
    await tx.insertInto("lifecycle_policy").values(row).execute();
    changes.push({ kind: "lifecycle-policy-put", after: text });
  }
  return changes;
}

/** The live repository of that name. */
export async function findRepository(db: Database, key: RepositoryKey): Promise<Repository | undefined> {
  const [row] = await db.prepared.all<RepositoryFacts>(findByName, [key.accountId, key.region, key.name]);
  return row === undefined ? undefined : repositoryOf(row);
}

/** One page of live repositories in byte order of their names, from the first one after `after` on. */
export async function listRepositories(
  db: Database,
  registry: RegistryKey,
  page: { readonly after?: string; readonly limit: number },
): Promise<Repository[]> {
  const rows = await db.read
    .selectFrom("repository")
    .selectAll()
    .where("account_id", "=", registry.accountId)
    .where("region", "=", registry.region)
    .where("deleted_at", "is", null)
    .where("name", ">", page.after ?? "")
    .orderBy("name")
    .limit(page.limit)
    .execute();
  return rows.map(repositoryOf);
}

/**
 * Tombstones a repository; without `force` only when it has no live manifest. One row changes whatever the repository
 * holds: its manifests and tags are hidden behind it and come back with it.
 */
export async function deleteRepository(
  db: Database,
  input: { readonly key: RepositoryKey; readonly force: boolean; readonly author: Author },
): Promise<DeleteRepositoryOutcome> {
  const { key, author } = input;
  return db.transaction(async (tx): Promise<DeleteRepositoryOutcome> => {
    // Its policy and its tags must not decide about the next repository of this name.
    await moveIdentityEpoch(tx);
    await lockRegistry(db, tx, key);
    const repository = await lockRepository(db, tx, key, "update");
    if (repository === undefined) return { outcome: "not-found" };
    if (!input.force) {
      const held = await tx
        .selectFrom("manifest")
        .select("manifest_id")
        .where("repository_id", "=", repository.repositoryId)
        .where("deleted_at", "is", null)
        .limit(1)
        .executeTakeFirst();
      if (held !== undefined) return { outcome: "not-empty" };
    }
    await tx.updateTable("repository").set({ deleted_at: author.now }).where("repository_id", "=", repository.repositoryId).execute();
    await countRepository(tx, key, -1);
    await appendChanges(tx, repository, author, [{ kind: "repository-deleted", before: { repositoryId: repository.repositoryId } }]);
    return { outcome: "deleted", repository };
  });
}

/** Sets tag mutability; existing tags are not looked at. Undefined: no such repository. */
export async function setTagMutability(
  db: Database,
  input: {
    readonly key: RepositoryKey;
    readonly tagMutability: TagMutability;
    readonly mutabilityFilters: readonly string[];
    readonly author: Author;
  },
): Promise<Repository | undefined> {
  return db.transaction(async (tx) => {
    const before = await lockRepository(db, tx, input.key, "update");
    if (before === undefined) return undefined;
    const { tagMutability, mutabilityFilters } = input;
    await tx
      .updateTable("repository")
      .set({ tag_mutability: tagMutability, mutability_filters: JSON.stringify(mutabilityFilters), revision: sql`revision + 1` })
      .where("repository_id", "=", before.repositoryId)
      .execute();
    const settings = ({ tagMutability, mutabilityFilters }: Pick<Repository, "tagMutability" | "mutabilityFilters">) => ({
      tagMutability,
      mutabilityFilters,
    });
    const after: Repository = { ...before, tagMutability, mutabilityFilters };
    await appendChanges(tx, before, input.author, [{ kind: "tag-mutability-set", before: settings(before), after: settings(after) }]);
    return after;
  });
}
