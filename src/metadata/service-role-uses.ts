/** Where an account has what the registry does as its service-linked roles. */
import { readJson } from "#std/json.ts";
import type { Database } from "./database.ts";

/** What such a role is for: rules of replication, pull-through cache rules, creation templates that name no role of their own. */
export type ServiceRoleUse = "replication" | "pull-through" | "creation-template";

/** The regions in which the account has it, in byte order. */
export async function listServiceRoleUses(db: Database, accountId: string, use: ServiceRoleUse): Promise<readonly string[]> {
  if (use === "replication") return replicationRegions(db, accountId);
  const rows =
    use === "pull-through"
      ? await db.read.selectFrom("pull_through_rule").select("region").distinct().where("account_id", "=", accountId).execute()
      : await db.read
          .selectFrom("creation_template")
          .select("region")
          .distinct()
          .where("account_id", "=", accountId)
          .where("role_arn", "is", null)
          .execute();
  return rows.map(({ region }) => region).toSorted();
}

async function replicationRegions(db: Database, accountId: string): Promise<readonly string[]> {
  const rows = await db.read
    .selectFrom("registry_setting")
    .select(["region", "value"])
    .where("account_id", "=", accountId)
    .where("name", "=", "replication")
    .execute();
  const hasRules = ({ value }: { readonly value: string }): boolean =>
    (readJson(value) as { readonly rules: readonly unknown[] }).rules.length > 0;
  return rows
    .filter(hasRules)
    .map(({ region }) => region)
    .toSorted();
}
