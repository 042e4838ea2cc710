/** Repository creation templates: the settings that a registry gives to repositories which it creates itself. */
import { readJson } from "#std/json.ts";
import type { Selectable } from "kysely";
import { appendChanges } from "./changes.ts";
import type { Author, ChangedRepository } from "./changes.ts";
import type { Database } from "./database.ts";
import { lockRegistry } from "./repositories.ts";
import type { EncryptionType, RegistryKey, TagMutability } from "./repositories.ts";
import type { StoredPolicy } from "./resource-policies.ts";
import type { CreationTemplateTable } from "./schema-creation-template.ts";

/** On what occasions the registry creates repositories itself. */
export type CreationOccasion = "PULL_THROUGH_CACHE" | "REPLICATION" | "CREATE_ON_PUSH";

/** What a template says. */
export interface CreationSettings {
  readonly description: string | undefined;
  readonly encryptionType: EncryptionType;
  /** Undefined with `AES256`, and where the account's default key is meant. */
  readonly kmsKey: string | undefined;
  /** Keys are unique; the order is as given. */
  readonly resourceTags: readonly (readonly [key: string, value: string])[];
  readonly tagMutability: TagMutability;
  readonly mutabilityFilters: readonly string[];
  readonly repositoryPolicy: StoredPolicy | undefined;
  /** As it was given. */
  readonly lifecyclePolicy: string | undefined;
  readonly appliedFor: readonly CreationOccasion[];
  /** The role as which repositories are created. */
  readonly roleArn: string | undefined;
}

/** A template. Times are milliseconds since the epoch. */
export interface CreationTemplate extends CreationSettings {
  /** Without a trailing slash; `ROOT` for what nothing else covers. */
  readonly prefix: string;
  /** As it was written. */
  readonly givenPrefix: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly revision: number;
}

/** Names a template. */
export interface CreationTemplateKey extends RegistryKey {
  readonly prefix: string;
}

/** What `createCreationTemplate` answers. */
export type CreateTemplateOutcome =
  | { readonly outcome: "created"; readonly template: CreationTemplate }
  | { readonly outcome: "exists" }
  | { readonly outcome: "limit" };

/** Makes a template, unless the registry has one of that prefix or as many as it may. */
export async function createCreationTemplate(
  db: Database,
  input: {
    readonly key: CreationTemplateKey;
    readonly givenPrefix: string;
    readonly settings: CreationSettings;
    readonly maxTemplates: number;
    readonly author: Author;
  },
): Promise<CreateTemplateOutcome> {
  const { key, author, settings } = input;
  return db.transaction(async (tx): Promise<CreateTemplateOutcome> => {
    // Two that count at the same time would both find room.
    await lockRegistry(db, tx, key);
    const taken = await tx
      .selectFrom("creation_template")
      .select("prefix")
      .where("account_id", "=", key.accountId)
      .where("region", "=", key.region)
      .execute();
    if (taken.some(({ prefix }) => prefix === key.prefix)) return { outcome: "exists" };
    if (taken.length >= input.maxTemplates) return { outcome: "limit" };
    const row = {
      account_id: key.accountId,
      region: key.region,
      prefix: key.prefix,
      given_prefix: input.givenPrefix,
      ...columnsOf(settings),
      created_at: author.now,
      updated_at: author.now,
      revision: 1,
    };
    await tx.insertInto("creation_template").values(row).execute();
    await appendChanges(tx, wholeOf(key), author, [{ kind: "creation-template-put", subject: key.prefix, after: logged(settings) }]);
    return { outcome: "created", template: templateOf(row) };
  });
}

/** Replaces what a template says, if it is still at the revision that the caller has read; undefined otherwise. */
export async function replaceCreationTemplate(
  db: Database,
  input: {
    readonly key: CreationTemplateKey;
    readonly revision: number;
    readonly settings: CreationSettings;
    readonly author: Author;
  },
): Promise<CreationTemplate | undefined> {
  const { key, author, settings, revision } = input;
  return db.transaction(async (tx) => {
    const before = await tx
      .selectFrom("creation_template")
      .selectAll()
      .where("account_id", "=", key.accountId)
      .where("region", "=", key.region)
      .where("prefix", "=", key.prefix)
      .$call(db.dialect.lockForUpdate)
      .executeTakeFirst();
    if (before?.revision !== revision) return undefined;
    const set = { ...columnsOf(settings), updated_at: author.now, revision: revision + 1 };
    await tx
      .updateTable("creation_template")
      .set(set)
      .where("account_id", "=", key.accountId)
      .where("region", "=", key.region)
      .where("prefix", "=", key.prefix)
      .execute();
    await appendChanges(tx, wholeOf(key), author, [
      { kind: "creation-template-put", subject: key.prefix, before: logged(templateOf(before)), after: logged(settings) },
    ]);
    return templateOf({ ...before, ...set });
  });
}

/** Removes a template and answers it; undefined when there is none. */
export async function deleteCreationTemplate(
  db: Database,
  { key, author }: { readonly key: CreationTemplateKey; readonly author: Author },
): Promise<CreationTemplate | undefined> {
  return db.transaction(async (tx) => {
    const row = await tx
      .deleteFrom("creation_template")
      .where("account_id", "=", key.accountId)
      .where("region", "=", key.region)
      .where("prefix", "=", key.prefix)
      .returningAll()
      .executeTakeFirst();
    if (row === undefined) return undefined;
    const template = templateOf(row);
    await appendChanges(tx, wholeOf(key), author, [{ kind: "creation-template-deleted", subject: key.prefix, before: logged(template) }]);
    return template;
  });
}

/** The templates of these prefixes that there are, in byte order of the prefixes. */
export async function findCreationTemplates(
  db: Database,
  registry: RegistryKey,
  prefixes: readonly string[],
): Promise<readonly CreationTemplate[]> {
  const rows = await db.read
    .selectFrom("creation_template")
    .selectAll()
    .where("account_id", "=", registry.accountId)
    .where("region", "=", registry.region)
    .where(db.dialect.textIn("prefix", prefixes))
    .orderBy("prefix")
    .execute();
  return rows.map(templateOf);
}

/** One page of templates in byte order of their prefixes, from the first one after `after` on. */
export async function listCreationTemplates(
  db: Database,
  registry: RegistryKey,
  page: { readonly after?: string | undefined; readonly limit: number },
): Promise<readonly CreationTemplate[]> {
  const rows = await db.read
    .selectFrom("creation_template")
    .selectAll()
    .where("account_id", "=", registry.accountId)
    .where("region", "=", registry.region)
    .where("prefix", ">", page.after ?? "")
    .orderBy("prefix")
    .limit(page.limit)
    .execute();
  return rows.map(templateOf);
}

function columnsOf(settings: CreationSettings) {
  const { repositoryPolicy: policy } = settings;
  return {
    description: settings.description ?? null,
    encryption_type: settings.encryptionType,
    kms_key: settings.kmsKey ?? null,
    resource_tags: JSON.stringify(settings.resourceTags),
    tag_mutability: settings.tagMutability,
    mutability_filters: JSON.stringify(settings.mutabilityFilters),
    repository_policy: policy?.document ?? null,
    policy_principals: policy === undefined ? null : JSON.stringify(policy.principals),
    lifecycle_policy: settings.lifecyclePolicy ?? null,
    applied_for: JSON.stringify(settings.appliedFor),
    role_arn: settings.roleArn ?? null,
  };
}

function templateOf(row: Selectable<CreationTemplateTable>): CreationTemplate {
  const { repository_policy: document, policy_principals: principals } = row;
  return {
    prefix: row.prefix,
    givenPrefix: row.given_prefix,
    description: row.description ?? undefined,
    encryptionType: row.encryption_type,
    kmsKey: row.kms_key ?? undefined,
    resourceTags: readJson(row.resource_tags) as [string, string][],
    tagMutability: row.tag_mutability,
    mutabilityFilters: readJson(row.mutability_filters) as string[],
    repositoryPolicy:
      document === null ? undefined : { document, principals: readJson(principals ?? "{}") as Readonly<Record<string, string>> },
    lifecyclePolicy: row.lifecycle_policy ?? undefined,
    appliedFor: readJson(row.applied_for) as CreationOccasion[],
    roleArn: row.role_arn ?? undefined,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    revision: row.revision,
  };
}

/** What the change log keeps of a template; what is not set is left out. */
function logged(settings: CreationSettings): object {
  const { repositoryPolicy, ...said } = settings;
  return { ...said, repositoryPolicy: repositoryPolicy?.document };
}

/** The registry as the change log names it. */
function wholeOf({ accountId, region }: RegistryKey): ChangedRepository {
  return { repositoryId: undefined, accountId, region, name: "" };
}
