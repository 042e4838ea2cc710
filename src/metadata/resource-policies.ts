/** Policies of repositories and registries, exactly as they were given, and what else of a repository decides about access: its resource tags. */
import { readJson } from "#std/json.ts";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import { appendChanges } from "./changes.ts";
import type { Author, ChangedRepository } from "./changes.ts";
import type { Database } from "./database.ts";
import { preparedStatement } from "./prepared.ts";
import { lockRepository } from "./repositories.ts";
import type { RegistryKey, RepositoryKey } from "./repositories.ts";

/** A policy as it was stored. */
export interface StoredPolicy {
  readonly document: string;
  /** Users and roles, as the document names them, to the unique ids that they had when the policy was stored. */
  readonly principals: Readonly<Record<string, string>>;
}

/** What of a repository decides about access to it. */
export interface RepositoryAccess {
  readonly policy: StoredPolicy | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

/** What `deleteRepositoryPolicy` answers. */
export type DeletePolicyOutcome =
  | { readonly outcome: "deleted"; readonly document: string }
  | { readonly outcome: "no-policy" }
  | { readonly outcome: "not-found" };

interface PolicyRow {
  readonly document: string;
  readonly principals: string;
}

const findAccess = preparedStatement(
  "find_repository_access",
  `select r.repository_id, p.document, p.principals from repository r
   left join repository_policy p on p.repository_id = r.repository_id
   where r.account_id = ?1 and r.region = ?2 and r.name = ?3 and r.deleted_at is null`,
);
const findTags = preparedStatement("find_resource_tags", "select key, value from resource_tag where repository_id = ?1");
const findRegistry = preparedStatement(
  "find_registry_policy",
  "select document, principals from registry_policy where account_id = ?1 and region = ?2",
);
const findScoped = preparedStatement(
  "find_registry_access",
  `select p.document, p.principals, s.value as scope from registry_policy p
   left join registry_setting s on s.account_id = p.account_id and s.region = p.region and s.name = 'account:REGISTRY_POLICY_SCOPE'
   where p.account_id = ?1 and p.region = ?2`,
);

/** No row has it. */
const noRepositoryId = 0;

/** The policy and the resource tags of a live repository; undefined when there is no such repository, after the same statements. */
export async function findRepositoryAccess(db: Database, key: RepositoryKey): Promise<RepositoryAccess | undefined> {
  type Row = { readonly repository_id: number; readonly document: string | null; readonly principals: string | null };
  const row = await db.prepared.one<Row>(findAccess, [key.accountId, key.region, key.name]);
  const repositoryId = row?.repository_id ?? noRepositoryId;
  const tags = await db.prepared.all<{ readonly key: string; readonly value: string }>(findTags, [repositoryId]);
  if (row === undefined) return undefined;
  const { document, principals } = row;
  return {
    policy: document === null || principals === null ? undefined : policyOf({ document, principals }),
    // From entries, so that a key named __proto__ is a key like any other.
    tags: Object.fromEntries(tags.map((tag) => [tag.key, tag.value])),
  };
}

/** Sets or replaces the policy of a live repository. False when there is no such repository. */
export async function putRepositoryPolicy(
  db: Database,
  input: StoredPolicy & { readonly key: RepositoryKey; readonly author: Author },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const repository = await lockRepository(db, tx, input.key, "update");
    if (repository === undefined) return false;
    const { repositoryId } = repository;
    const before = await tx.selectFrom("repository_policy").select("document").where("repository_id", "=", repositoryId).executeTakeFirst();
    const policy = { document: input.document, principals: JSON.stringify(input.principals), updated_at: input.author.now };
    await tx
      .insertInto("repository_policy")
      .values({ repository_id: repositoryId, ...policy })
      .onConflict((conflict) => conflict.column("repository_id").doUpdateSet(policy))
      .execute();
    await appendChanges(tx, repository, input.author, [{ kind: "repository-policy-put", before: before?.document, after: input.document }]);
    return true;
  });
}

/** Removes the policy of a live repository and answers what it was. */
export async function deleteRepositoryPolicy(
  db: Database,
  { key, author }: { readonly key: RepositoryKey; readonly author: Author },
): Promise<DeletePolicyOutcome> {
  return db.transaction(async (tx): Promise<DeletePolicyOutcome> => {
    await moveIdentityEpoch(tx);
    const repository = await lockRepository(db, tx, key, "update");
    if (repository === undefined) return { outcome: "not-found" };
    const row = await tx
      .deleteFrom("repository_policy")
      .where("repository_id", "=", repository.repositoryId)
      .returning("document")
      .executeTakeFirst();
    if (row === undefined) return { outcome: "no-policy" };
    await appendChanges(tx, repository, author, [{ kind: "repository-policy-deleted", before: row.document }]);
    return { outcome: "deleted", document: row.document };
  });
}

/** The policy of a registry, or undefined. */
export async function findRegistryPolicy(db: Database, registry: RegistryKey): Promise<StoredPolicy | undefined> {
  const row = await db.prepared.one<PolicyRow>(findRegistry, [registry.accountId, registry.region]);
  return row === undefined ? undefined : policyOf(row);
}

/** A registry's policy, and the value of the account setting for its scope as it is stored; undefined where that was never set. */
export interface ScopedPolicy extends StoredPolicy {
  readonly scope: unknown;
}

/** The policy of a registry with its scope, for decisions; undefined where there is no policy. */
export async function findRegistryAccess(db: Database, registry: RegistryKey): Promise<ScopedPolicy | undefined> {
  const row = await db.prepared.one<PolicyRow & { readonly scope: string | null }>(findScoped, [registry.accountId, registry.region]);
  return row === undefined ? undefined : { ...policyOf(row), scope: row.scope === null ? undefined : readJson(row.scope) };
}

/** Sets or replaces the policy of a registry, which need not hold anything yet. */
export async function putRegistryPolicy(
  db: Database,
  input: StoredPolicy & { readonly registry: RegistryKey; readonly author: Author },
): Promise<void> {
  await db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const before = await tx
      .selectFrom("registry_policy")
      .select("document")
      .where("account_id", "=", input.registry.accountId)
      .where("region", "=", input.registry.region)
      .executeTakeFirst();
    const policy = { document: input.document, principals: JSON.stringify(input.principals), updated_at: input.author.now };
    await tx
      .insertInto("registry_policy")
      .values({ account_id: input.registry.accountId, region: input.registry.region, ...policy })
      .onConflict((conflict) => conflict.columns(["account_id", "region"]).doUpdateSet(policy))
      .execute();
    await appendChanges(tx, wholeOf(input.registry), input.author, [
      { kind: "registry-policy-put", before: before?.document, after: input.document },
    ]);
  });
}

/** Removes the policy of a registry and answers the document; undefined when there was none. */
export async function deleteRegistryPolicy(
  db: Database,
  { registry, author }: { readonly registry: RegistryKey; readonly author: Author },
): Promise<string | undefined> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const row = await tx
      .deleteFrom("registry_policy")
      .where("account_id", "=", registry.accountId)
      .where("region", "=", registry.region)
      .returning("document")
      .executeTakeFirst();
    if (row !== undefined) {
      await appendChanges(tx, wholeOf(registry), author, [{ kind: "registry-policy-deleted", before: row.document }]);
    }
    return row?.document;
  });
}

/** The registry as the change log names it. */
function wholeOf({ accountId, region }: RegistryKey): ChangedRepository {
  return { repositoryId: undefined, accountId, region, name: "" };
}

function policyOf(row: PolicyRow): StoredPolicy {
  return { document: row.document, principals: readJson(row.principals) as Record<string, string> };
}
