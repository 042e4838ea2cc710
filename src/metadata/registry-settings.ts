/** Settings of a registry (an account in a region): each is one JSON value under its name. What the values mean is the registry room's. */
import { readJson } from "#std/json.ts";
import { appendChanges } from "./changes.ts";
import type { Author } from "./changes.ts";
import type { Database } from "./database.ts";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import { preparedStatement } from "./prepared.ts";
import type { RegistryKey } from "./repositories.ts";

/** The settings that there are. */
export type RegistrySettingName =
  | "replication"
  | "scanning"
  | "signing"
  | "account:BASIC_SCAN_TYPE_VERSION"
  | "account:REGISTRY_POLICY_SCOPE"
  | "account:BLOB_MOUNTING";

/** All settings of a registry that were ever set, by name. */
export type RegistrySettings = ReadonlyMap<RegistrySettingName, unknown>;

/** Says for which actions a registry's policy is asked: caches of access depend on it. */
const policyScopeSetting: RegistrySettingName = "account:REGISTRY_POLICY_SCOPE";

const readAll = preparedStatement(
  "read_registry_settings",
  "select name, value from registry_setting where account_id = ?1 and region = ?2",
);

/** Everything that is set in a registry. One statement. */
export async function readRegistrySettings(db: Database, registry: RegistryKey): Promise<RegistrySettings> {
  const rows = await db.prepared.all<{ readonly name: string; readonly value: string }>(readAll, [registry.accountId, registry.region]);
  return new Map(rows.map((row) => [row.name as RegistrySettingName, readJson(row.value)]));
}

/** Sets or replaces a setting. */
export async function putRegistrySetting(
  db: Database,
  input: { readonly registry: RegistryKey; readonly name: RegistrySettingName; readonly value: unknown; readonly author: Author },
): Promise<void> {
  const { registry, name, author } = input;
  const key = { account_id: registry.accountId, region: registry.region, name };
  await db.transaction(async (tx) => {
    if (name === policyScopeSetting) await moveIdentityEpoch(tx);
    const before = await tx
      .selectFrom("registry_setting")
      .select("value")
      .where("account_id", "=", key.account_id)
      .where("region", "=", key.region)
      .where("name", "=", name)
      .executeTakeFirst();
    const set = { value: JSON.stringify(input.value), updated_at: author.now };
    await tx
      .insertInto("registry_setting")
      .values({ ...key, ...set })
      .onConflict((conflict) => conflict.columns(["account_id", "region", "name"]).doUpdateSet(set))
      .execute();
    await appendChanges(tx, { ...registry, repositoryId: undefined, name: "" }, author, [
      {
        kind: "registry-setting-put",
        subject: name,
        ...(before !== undefined && { before: readJson(before.value) }),
        after: input.value,
      },
    ]);
  });
}

/** Takes a setting back; answers what it was, or undefined when it was not set. */
export async function deleteRegistrySetting(
  db: Database,
  input: { readonly registry: RegistryKey; readonly name: RegistrySettingName; readonly author: Author },
): Promise<unknown> {
  const { registry, name, author } = input;
  return db.transaction(async (tx) => {
    if (name === policyScopeSetting) await moveIdentityEpoch(tx);
    const row = await tx
      .deleteFrom("registry_setting")
      .where("account_id", "=", registry.accountId)
      .where("region", "=", registry.region)
      .where("name", "=", name)
      .returning("value")
      .executeTakeFirst();
    if (row === undefined) return undefined;
    const before = readJson(row.value);
    await appendChanges(tx, { ...registry, repositoryId: undefined, name: "" }, author, [
      { kind: "registry-setting-deleted", subject: name, before },
    ]);
    return before;
  });
}
