/** Console passwords of users. What comes here and goes from here is the hash, which says itself how it was made. */
import { moveIdentityEpoch } from "./identity-epoch.ts";
import type { Database } from "./database.ts";
import { findIdentityIn } from "./identity-rows.ts";

/** A user by name. */
export interface LoginOwner {
  readonly accountId: string;
  readonly userName: string;
}

/** A user's password. Times are milliseconds since the epoch. */
export interface UserLogin {
  /** The user's name as it was made. */
  readonly userName: string;
  readonly passwordHash: string;
  /** The user has to choose another password when it signs in. */
  readonly resetRequired: boolean;
  readonly createdAt: number;
}

/** Gives a user a password. */
export async function createLogin(
  db: Database,
  input: LoginOwner & { readonly passwordHash: string; readonly resetRequired: boolean; readonly now: number },
): Promise<{ readonly outcome: "created"; readonly login: UserLogin } | { readonly outcome: "exists" | "user-not-found" }> {
  return db.transaction(async (tx) => {
    // Passwords decide nothing that is cached; the epoch's row keeps the user from being deleted meanwhile.
    await moveIdentityEpoch(tx);
    const user = await findIdentityIn(tx, { accountId: input.accountId, kind: "user", name: input.userName });
    if (user === undefined) return { outcome: "user-not-found" as const };
    const made = await tx
      .insertInto("user_login")
      .values({
        identity_id: user.identityId,
        password_hash: input.passwordHash,
        reset_required: input.resetRequired ? 1 : 0,
        created_at: input.now,
      })
      .onConflict((conflict) => conflict.doNothing())
      .returning("identity_id")
      .execute();
    if (made.length === 0) return { outcome: "exists" as const };
    const { passwordHash, resetRequired } = input;
    return { outcome: "created" as const, login: { userName: user.name, passwordHash, resetRequired, createdAt: input.now } };
  });
}

/** The password of a user; undefined when it has none or there is no such user. */
export async function findLogin(db: Database, owner: LoginOwner): Promise<UserLogin | undefined> {
  const row = await db.read
    .selectFrom("user_login as l")
    .innerJoin("identity as i", "i.identity_id", "l.identity_id")
    .select(["i.name", "l.password_hash", "l.reset_required", "l.created_at"])
    .where("i.account_id", "=", owner.accountId)
    .where("i.kind", "=", "user")
    .where("i.name_key", "=", owner.userName.toLowerCase())
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return { userName: row.name, passwordHash: row.password_hash, resetRequired: row.reset_required === 1, createdAt: row.created_at };
}

/** Changes what is given. With `expectedHash` only while the password is still that one. False when nothing was changed. */
export async function updateLogin(
  db: Database,
  input: LoginOwner & {
    readonly passwordHash?: string | undefined;
    readonly resetRequired?: boolean | undefined;
    readonly expectedHash?: string | undefined;
  },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const user = await findIdentityIn(tx, { accountId: input.accountId, kind: "user", name: input.userName });
    if (user === undefined) return false;
    const found = await tx.selectFrom("user_login").selectAll().where("identity_id", "=", user.identityId).executeTakeFirst();
    if (found === undefined || (input.expectedHash !== undefined && found.password_hash !== input.expectedHash)) return false;
    await tx
      .updateTable("user_login")
      .set({
        password_hash: input.passwordHash ?? found.password_hash,
        reset_required: input.resetRequired === undefined ? found.reset_required : input.resetRequired ? 1 : 0,
      })
      .where("identity_id", "=", user.identityId)
      .execute();
    return true;
  });
}

/** Takes a user's password away. */
export async function deleteLogin(db: Database, owner: LoginOwner): Promise<"deleted" | "no-login" | "user-not-found"> {
  return db.transaction(async (tx) => {
    await moveIdentityEpoch(tx);
    const user = await findIdentityIn(tx, { accountId: owner.accountId, kind: "user", name: owner.userName });
    if (user === undefined) return "user-not-found";
    const gone = await tx.deleteFrom("user_login").where("identity_id", "=", user.identityId).returning("identity_id").execute();
    return gone.length === 0 ? "no-login" : "deleted";
  });
}
