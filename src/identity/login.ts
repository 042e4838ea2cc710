/** Console passwords of users (IAM User Guide, "Manage passwords for IAM users"). */
import { findAccountSettings } from "#metadata/account-settings.ts";
import { createLogin, deleteLogin, findLogin, updateLogin } from "#metadata/user-logins.ts";
import type { UserLogin } from "#metadata/user-logins.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { hashPassword, passwordMatches } from "./password-hash.ts";
import { checkPassword } from "./password-policy.ts";
import { getUser } from "./user.ts";

/** What is known of a user's password; its hash stays here. */
export type LoginProfile = Omit<UserLogin, "passwordHash">;

/** Gives a user a password. Throws IdentityError `not-found`, `exists` or `password-violation`. */
export async function createLoginProfile(
  ctx: IdentityContext,
  userName: string,
  input: { readonly password: string; readonly resetRequired: boolean },
): Promise<LoginProfile> {
  const { metadata, clock } = ctx.core;
  const user = await getUser(ctx, userName);
  if ((await findLogin(metadata, { accountId: ctx.accountId, userName })) !== undefined)
    throw refuse("exists", { noun: "login-profile", name: user.name });
  const passwordHash = await hashNew(ctx, user.name, input.password);
  const { resetRequired } = input;
  const made = await createLogin(metadata, { accountId: ctx.accountId, userName, passwordHash, resetRequired, now: clock.now() });
  if (made.outcome === "created") return profileOf(made.login);
  throw made.outcome === "exists"
    ? refuse("exists", { noun: "login-profile", name: user.name })
    : refuse("not-found", { noun: "user", name: userName });
}

/** What is known of a user's password. Throws IdentityError `not-found` for the user or the password. */
export async function getLoginProfile(ctx: IdentityContext, userName: string): Promise<LoginProfile> {
  return profileOf(await getLogin(ctx, userName));
}

/** Sets another password, or whether it must be changed at the next sign-in. Throws IdentityError `not-found` or `password-violation`. */
export async function updateLoginProfile(
  ctx: IdentityContext,
  userName: string,
  changes: { readonly password: string | undefined; readonly resetRequired: boolean | undefined },
): Promise<void> {
  const login = await getLogin(ctx, userName);
  const passwordHash = changes.password === undefined ? undefined : await hashNew(ctx, login.userName, changes.password);
  const { resetRequired } = changes;
  const isChanged = await updateLogin(ctx.core.metadata, { accountId: ctx.accountId, userName, passwordHash, resetRequired });
  if (!isChanged) throw refuse("not-found", { noun: "login-profile", name: userName });
}

/** Takes a user's password away; its access keys stay. Throws IdentityError `not-found` for the user or the password. */
export async function deleteLoginProfile(ctx: IdentityContext, userName: string): Promise<void> {
  const outcome = await deleteLogin(ctx.core.metadata, { accountId: ctx.accountId, userName });
  if (outcome === "user-not-found") throw refuse("not-found", { noun: "user", name: userName });
  if (outcome === "no-login") throw refuse("not-found", { noun: "login-profile", name: userName });
}

/**
 * A user's own change of its password, which takes the old one.
 * Throws IdentityError `not-found`, `wrong-password` or `password-violation`.
 */
export async function changePassword(
  ctx: IdentityContext,
  userName: string,
  passwords: { readonly oldPassword: string; readonly newPassword: string },
): Promise<void> {
  const login = await getLogin(ctx, userName);
  if (!(await passwordMatches(passwords.oldPassword, login.passwordHash))) throw refuse("wrong-password", { userName });
  const passwordHash = await hashNew(ctx, login.userName, passwords.newPassword);
  const change = { accountId: ctx.accountId, userName, passwordHash, resetRequired: false, expectedHash: login.passwordHash };
  // Not changed: somebody else changed it meanwhile, so what was given as the old password is none any more.
  if (!(await updateLogin(ctx.core.metadata, change))) throw refuse("wrong-password", { userName });
}

async function getLogin(ctx: IdentityContext, userName: string): Promise<UserLogin> {
  const login = await findLogin(ctx.core.metadata, { accountId: ctx.accountId, userName });
  if (login !== undefined) return login;
  const user = await getUser(ctx, userName);
  throw refuse("not-found", { noun: "login-profile", name: user.name });
}

/** The policy is asked before the work of hashing is done. */
async function hashNew(ctx: IdentityContext, userName: string, password: string): Promise<string> {
  const settings = await findAccountSettings(ctx.core.metadata, ctx.accountId);
  checkPassword(settings?.passwordPolicy, userName, password);
  return hashPassword(ctx.core.random, password);
}

function profileOf({ userName, resetRequired, createdAt }: UserLogin): LoginProfile {
  return { userName, resetRequired, createdAt };
}
