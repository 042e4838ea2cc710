/** Pull-through cache rules: which names of a registry are fetched from which other registry. */
import type { Selectable } from "kysely";
import { appendChanges } from "./changes.ts";
import type { Author } from "./changes.ts";
import type { Database } from "./database.ts";
import { preparedStatement } from "./prepared.ts";
import { lockRegistry } from "./repositories.ts";
import type { RegistryKey } from "./repositories.ts";
import type { PullThroughRuleTable } from "./schema-pull-through.ts";

/** As whom a rule asks its upstream. */
export interface PullThroughIdentity {
  readonly credentialArn: string | undefined;
  readonly roleArn: string | undefined;
}

/** A rule. Times are milliseconds since the epoch. */
export interface PullThroughRule extends PullThroughIdentity {
  /** Without a trailing slash; `ROOT` for every name. */
  readonly prefix: string;
  /** As it was written. */
  readonly givenPrefix: string;
  /** ECR's name of the upstream; undefined for one that ECR does not know. */
  readonly upstreamKind: string | undefined;
  /** `host[:port]` */
  readonly upstreamUrl: string;
  /** As it was written; undefined when nothing was, which means what `ROOT` does. */
  readonly upstreamPrefix: string | undefined;
  readonly createdAt: number;
  readonly updatedAt: number | undefined;
}

/** Names a rule. */
export interface PullThroughRuleKey extends RegistryKey {
  readonly prefix: string;
}

const readAll = preparedStatement("read_pull_through_rules", "select * from pull_through_rule where account_id = ?1 and region = ?2");

/** All rules of a registry, which are few. One statement. */
export async function readPullThroughRules(db: Database, registry: RegistryKey): Promise<readonly PullThroughRule[]> {
  const rows = await db.prepared.all<Selectable<PullThroughRuleTable>>(readAll, [registry.accountId, registry.region]);
  return rows.map(ruleOf);
}

/** One page of a registry's rules in the order of their prefixes. */
export async function listPullThroughRules(
  db: Database,
  registry: RegistryKey,
  page: { readonly after?: string | undefined; readonly limit: number },
): Promise<readonly PullThroughRule[]> {
  const rows = await db.read
    .selectFrom("pull_through_rule")
    .selectAll()
    .where("account_id", "=", registry.accountId)
    .where("region", "=", registry.region)
    .where("prefix", ">", page.after ?? "")
    .orderBy("prefix")
    .limit(page.limit)
    .execute();
  return rows.map(ruleOf);
}

/** Makes a rule, unless the registry has one of that prefix or as many as it may. */
export async function createPullThroughRule(
  db: Database,
  input: {
    readonly registry: RegistryKey;
    readonly rule: Omit<PullThroughRule, "createdAt" | "updatedAt">;
    readonly maxRules: number;
    readonly author: Author;
  },
): Promise<{ readonly outcome: "created"; readonly rule: PullThroughRule } | { readonly outcome: "exists" | "limit" }> {
  const { registry, rule, author } = input;
  return db.transaction(async (tx) => {
    // Two that count at the same time would both find room.
    await lockRegistry(db, tx, registry);
    const taken = await tx
      .selectFrom("pull_through_rule")
      .select("prefix")
      .where("account_id", "=", registry.accountId)
      .where("region", "=", registry.region)
      .execute();
    if (taken.some(({ prefix }) => prefix === rule.prefix)) return { outcome: "exists" as const };
    if (taken.length >= input.maxRules) return { outcome: "limit" as const };
    const row: Selectable<PullThroughRuleTable> = {
      account_id: registry.accountId,
      region: registry.region,
      prefix: rule.prefix,
      given_prefix: rule.givenPrefix,
      upstream_kind: rule.upstreamKind ?? null,
      upstream_url: rule.upstreamUrl,
      upstream_prefix: rule.upstreamPrefix ?? null,
      credential_arn: rule.credentialArn ?? null,
      role_arn: rule.roleArn ?? null,
      created_at: author.now,
      updated_at: null,
    };
    await tx.insertInto("pull_through_rule").values(row).execute();
    const made = ruleOf(row);
    await appendChanges(tx, whereOf(registry), author, [{ kind: "pull-through-rule-put", subject: rule.prefix, after: made }]);
    return { outcome: "created" as const, rule: made };
  });
}

/** Changes as whom a rule asks; what is undefined stays. Answers the rule as it is then, or undefined when there is none. */
export async function updatePullThroughRule(
  db: Database,
  input: { readonly key: PullThroughRuleKey; readonly identity: PullThroughIdentity; readonly author: Author },
): Promise<PullThroughRule | undefined> {
  const { key, identity, author } = input;
  return db.transaction(async (tx) => {
    const before = await tx
      .selectFrom("pull_through_rule")
      .selectAll()
      .where("account_id", "=", key.accountId)
      .where("region", "=", key.region)
      .where("prefix", "=", key.prefix)
      .$call(db.dialect.lockForUpdate)
      .executeTakeFirst();
    if (before === undefined) return undefined;
    const set = {
      credential_arn: identity.credentialArn ?? before.credential_arn,
      role_arn: identity.roleArn ?? before.role_arn,
      updated_at: author.now,
    };
    await tx
      .updateTable("pull_through_rule")
      .set(set)
      .where("account_id", "=", key.accountId)
      .where("region", "=", key.region)
      .where("prefix", "=", key.prefix)
      .execute();
    const after = ruleOf({ ...before, ...set });
    await appendChanges(tx, whereOf(key), author, [{ kind: "pull-through-rule-put", subject: key.prefix, before: ruleOf(before), after }]);
    return after;
  });
}

/** Deletes a rule; what was fetched by it stays. Answers what it was, or undefined when there is none. */
export async function deletePullThroughRule(
  db: Database,
  input: { readonly key: PullThroughRuleKey; readonly author: Author },
): Promise<PullThroughRule | undefined> {
  const { key, author } = input;
  return db.transaction(async (tx) => {
    const row = await tx
      .deleteFrom("pull_through_rule")
      .where("account_id", "=", key.accountId)
      .where("region", "=", key.region)
      .where("prefix", "=", key.prefix)
      .returningAll()
      .executeTakeFirst();
    if (row === undefined) return undefined;
    const before = ruleOf(row);
    await appendChanges(tx, whereOf(key), author, [{ kind: "pull-through-rule-deleted", subject: key.prefix, before }]);
    return before;
  });
}

function whereOf({ accountId, region }: RegistryKey) {
  return { accountId, region, repositoryId: undefined, name: "" };
}

function ruleOf(row: Selectable<PullThroughRuleTable>): PullThroughRule {
  return {
    prefix: row.prefix,
    givenPrefix: row.given_prefix,
    upstreamKind: row.upstream_kind ?? undefined,
    upstreamUrl: row.upstream_url,
    upstreamPrefix: row.upstream_prefix ?? undefined,
    credentialArn: row.credential_arn ?? undefined,
    roleArn: row.role_arn ?? undefined,
    createdAt: row.created_at,
    updatedAt: row.updated_at ?? undefined,
  };
}
