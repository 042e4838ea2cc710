/** What an account says about itself: its alias, its password policy, and how much of everything it has. */
import { readJson } from "#std/json.ts";
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import type { IdentityKind } from "./identity-rows.ts";

/** The rules for console passwords of an account. */
export interface PasswordPolicy {
  readonly minimumLength: number;
  readonly requireSymbols: boolean;
  readonly requireNumbers: boolean;
  readonly requireUppercase: boolean;
  readonly requireLowercase: boolean;
  readonly allowUsersToChangePassword: boolean;
}

/** An account and its settings. */
export interface AccountSettings {
  readonly alias: string | undefined;
  /** Undefined while the account has no policy of its own. */
  readonly passwordPolicy: PasswordPolicy | undefined;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** How much an account has. */
export interface AccountCounts {
  readonly identities: Readonly<Record<IdentityKind, number>>;
  readonly policyVersions: number;
  readonly identityProviders: number;
  readonly rootKeys: number;
}

/** The settings of an account, or undefined when it is not one of this deployment. */
export async function findAccountSettings(db: Database, accountId: string): Promise<AccountSettings | undefined> {
  const row = await db.read
    .selectFrom("account")
    .select(["alias", "password_policy", "created_at"])
    .where("account_id", "=", accountId)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    alias: row.alias ?? undefined,
    passwordPolicy: row.password_policy === null ? undefined : (readJson(row.password_policy) as PasswordPolicy),
    createdAt: row.created_at,
  };
}

/** Gives the account an alias in place of the one it has. False when an account, this one included, has that alias already. */
export async function setAccountAlias(db: Database, input: { readonly accountId: string; readonly alias: string }): Promise<boolean> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const holder = await tx.selectFrom("account").select("account_id").where("alias", "=", input.alias).executeTakeFirst();
    if (holder !== undefined) return false;
    await tx.updateTable("account").set({ alias: input.alias }).where("account_id", "=", input.accountId).execute();
    return true;
  });
}

/** Takes the alias away. False when the account does not have it. */
export async function deleteAccountAlias(db: Database, input: { readonly accountId: string; readonly alias: string }): Promise<boolean> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const gone = await tx
      .updateTable("account")
      .set({ alias: null })
      .where("account_id", "=", input.accountId)
      .where("alias", "=", input.alias)
      .returning("account_id")
      .execute();
    return gone.length > 0;
  });
}

/** Sets or replaces the password policy. */
export async function putPasswordPolicy(
  db: Database,
  input: { readonly accountId: string; readonly policy: PasswordPolicy },
): Promise<void> {
  await db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    await tx
      .updateTable("account")
      .set({ password_policy: JSON.stringify(input.policy) })
      .where("account_id", "=", input.accountId)
      .execute();
  });
}

/** Removes the password policy. False when there was none. */
export async function deletePasswordPolicy(db: Database, accountId: string): Promise<boolean> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const gone = await tx
      .updateTable("account")
      .set({ password_policy: null })
      .where("account_id", "=", accountId)
      .where("password_policy", "is not", null)
      .returning("account_id")
      .execute();
    return gone.length > 0;
  });
}

/** Counts what an account has. Quotas bound every one of these numbers, and so the cost. */
export async function countAccount(db: Database, accountId: string): Promise<AccountCounts> {
  const [identities, versions, providers, rootKeys] = await Promise.all([
    db.read
      .selectFrom("identity")
      .select(["kind", (row) => row.fn.countAll<number>().as("count")])
      .where("account_id", "=", accountId)
      .groupBy("kind")
      .execute(),
    db.read
      .selectFrom("identity as i")
      .innerJoin("policy_version as v", "v.identity_id", "i.identity_id")
      .select((row) => row.fn.countAll<number>().as("count"))
      .where("i.account_id", "=", accountId)
      .where("i.kind", "=", "policy")
      .executeTakeFirstOrThrow(),
    db.read
      .selectFrom("identity_provider")
      .select((row) => row.fn.countAll<number>().as("count"))
      .where("account_id", "=", accountId)
      .executeTakeFirstOrThrow(),
    db.read
      .selectFrom("access_key")
      .select((row) => row.fn.countAll<number>().as("count"))
      .where("account_id", "=", accountId)
      .where("identity_id", "is", null)
      .executeTakeFirstOrThrow(),
  ]);
  const counts: Record<IdentityKind, number> = { user: 0, group: 0, role: 0, policy: 0, "instance-profile": 0 };
  for (const { kind, count } of identities) counts[kind] = count;
  return {
    identities: counts,
    policyVersions: versions.count,
    identityProviders: providers.count,
    rootKeys: rootKeys.count,
  };
}
