/** What an account says about itself: its alias, its rules for passwords, and how much of everything it has. */
import {
  countAccount,
  deleteAccountAlias as removeAlias,
  deletePasswordPolicy as removePolicy,
  findAccountSettings,
  putPasswordPolicy,
  setAccountAlias,
} from "#metadata/account-settings.ts";
import type { AccountCounts, AccountSettings, PasswordPolicy } from "#metadata/account-settings.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { makePasswordPolicy } from "./password-policy.ts";
import type { AskedPasswordPolicy } from "./password-policy.ts";

/** The settings of the account; undefined for one that has no row, as accounts of `--dev` that nobody made. */
export async function findAccount({ core, accountId }: IdentityContext): Promise<AccountSettings | undefined> {
  return findAccountSettings(core.metadata, accountId);
}

/** Gives the account an alias, in place of the one it has. Throws IdentityError `exists` or `invalid-input`. */
export async function createAccountAlias({ core, accountId }: IdentityContext, alias: string): Promise<void> {
  // An alias stands where account numbers stand, and must not look like one.
  if (/^[0-9]{12}$/.test(alias)) throw refuse("invalid-input", { message: "An account alias cannot be a 12 digit number." });
  if (!(await setAccountAlias(core.metadata, { accountId, alias }))) throw refuse("exists", { noun: "account-alias", name: alias });
}

/** Takes the alias away. Throws IdentityError `not-found` when the account does not have it. */
export async function deleteAccountAlias({ core, accountId }: IdentityContext, alias: string): Promise<void> {
  if (!(await removeAlias(core.metadata, { accountId, alias }))) throw refuse("not-found", { noun: "account-alias", name: alias });
}

/** The account's own password policy. Throws IdentityError `not-found` when it has none. */
export async function getPasswordPolicy(ctx: IdentityContext): Promise<PasswordPolicy> {
  const policy = (await findAccount(ctx))?.passwordPolicy;
  if (policy === undefined) throw refuse("not-found", { noun: "password-policy", name: ctx.accountId });
  return policy;
}

/** Sets the password policy anew; what is not asked for is not required any more. Passwords that exist stay. Throws IdentityError `invalid-input`. */
export async function updatePasswordPolicy({ core, accountId }: IdentityContext, asked: AskedPasswordPolicy): Promise<void> {
  await putPasswordPolicy(core.metadata, { accountId, policy: makePasswordPolicy(asked) });
}

/** Goes back to AWS's default policy. Throws IdentityError `not-found` when the account has no policy of its own. */
export async function deletePasswordPolicy({ core, accountId }: IdentityContext): Promise<void> {
  if (!(await removePolicy(core.metadata, accountId))) throw refuse("not-found", { noun: "password-policy", name: accountId });
}

/** How much the account has. */
export async function summarizeAccount({ core, accountId }: IdentityContext): Promise<AccountCounts> {
  return countAccount(core.metadata, accountId);
}
