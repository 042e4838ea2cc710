/** Rules for console passwords (IAM User Guide, "Set an account password policy for IAM users"). Pure. */
import type { PasswordPolicy } from "#metadata/account-settings.ts";
import { refuse } from "./errors.ts";

/** What can be asked of passwords; what is absent is not required. */
type Asked<Rules> = { readonly [Rule in keyof Rules]?: Rules[Rule] | undefined };

/** A password policy as it is asked for. */
export type AskedPasswordPolicy = Asked<
  PasswordPolicy & { readonly maxAgeDays: number; readonly reusePrevention: number; readonly hardExpiry: boolean }
>;

/** What holds while an account has no policy of its own: eight characters of three kinds, and not the user's name. */
const defaultMinimumLength = 8;
const defaultKinds = 3;
/** What a policy means that names no length. */
const shortestLength = 6;

const kinds = [
  { rule: "requireUppercase", form: /[A-Z]/, name: "uppercase letter" },
  { rule: "requireLowercase", form: /[a-z]/, name: "lowercase letter" },
  { rule: "requireNumbers", form: /[0-9]/, name: "number" },
  { rule: "requireSymbols", form: /[!@#$%^&*()_+\-=[\]{}|']/, name: "symbol" },
] as const;

/**
 * The policy that is asked for. Throws IdentityError `invalid-input` for what would have no effect: passwords do not expire here, and
 * earlier ones are not kept.
 */
export function makePasswordPolicy(asked: AskedPasswordPolicy): PasswordPolicy {
  if (asked.maxAgeDays !== undefined) throw unsupported("MaxPasswordAge", "passwords do not expire");
  if (asked.hardExpiry === true) throw unsupported("HardExpiry", "passwords do not expire");
  if (asked.reusePrevention !== undefined) throw unsupported("PasswordReusePrevention", "earlier passwords are not kept");
  return {
    minimumLength: asked.minimumLength ?? shortestLength,
    requireSymbols: asked.requireSymbols ?? false,
    requireNumbers: asked.requireNumbers ?? false,
    requireUppercase: asked.requireUppercase ?? false,
    requireLowercase: asked.requireLowercase ?? false,
    allowUsersToChangePassword: asked.allowUsersToChangePassword ?? false,
  };
}

/** Checks a new password against the account's policy, or AWS's default when it has none. Throws IdentityError `password-violation`. */
export function checkPassword(policy: PasswordPolicy | undefined, userName: string, password: string): void {
  const minimumLength = policy?.minimumLength ?? defaultMinimumLength;
  if (password.length < minimumLength) throw violation(`Password should have a minimum length of ${minimumLength}`);
  const missing = kinds.filter(({ form }) => !form.test(password));
  if (policy === undefined) {
    if (kinds.length - missing.length < defaultKinds)
      throw violation("Password should have at least three of: uppercase letters, lowercase letters, numbers, symbols");
    if (password.toLowerCase() === userName.toLowerCase()) throw violation("Password should not be the same as the user name");
    return;
  }
  const first = missing.find(({ rule }) => policy[rule]);
  if (first !== undefined) throw violation(`Password should have at least one ${first.name}`);
}

function violation(message: string): Error {
  return refuse("password-violation", { message });
}

function unsupported(member: string, reason: string): Error {
  return refuse("invalid-input", { message: `${member} is not supported by this registry: ${reason}.` });
}
