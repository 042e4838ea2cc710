/** How a resource policy names a caller (IAM User Guide, "AWS JSON policy elements: Principal"), and what the way of naming is worth. */
import type { Caller } from "./caller.ts";
import type { PrincipalEntry, Principals } from "./statement.ts";

/** Names nobody that asks. */
export const unnamed = 0;
/** Names the caller's account, which delegates: the account's own policies still have to allow. */
const byAccount = 1;
/** Names the role of a session, or the user behind a federated session: the session's limits still hold. */
export const byIssuer = 2;
/** Names the caller itself, or everyone. */
export const byItself = 3;
/** How closely a policy names a caller; a larger number is worth more. */
export type Naming = typeof unnamed | typeof byAccount | typeof byIssuer | typeof byItself;

/** Principals, sorted for looking up. */
export interface CompiledPrincipals {
  readonly isNegated: boolean;
  readonly isEveryone: boolean;
  readonly accounts: ReadonlySet<string>;
  /** Users, roles and sessions that are named by ARN. */
  readonly arns: ReadonlySet<string>;
  /** Users and roles that are named by unique id, or were found to have it when the policy was stored. */
  readonly uniqueIds: ReadonlySet<string>;
  /** Sessions whose role was found when the policy was stored: the session's ARN to the role's unique id. */
  readonly sessions: ReadonlyMap<string, string>;
  readonly services: ReadonlySet<string>;
  readonly providers: ReadonlySet<string>;
}

const accountId = /^[0-9]{12}$/;
const rootArn = /^arn:[a-z0-9-]+:iam::([0-9]{12}):root$/;
const uniqueId = /^(?:AIDA|AROA)[A-Z0-9]{1,124}$/;
const iamArn = /^arn:[a-z0-9-]+:iam::[0-9]{12}:(?:user|role)\/[!-~]{1,600}$/;
const stsArn = /^arn:[a-z0-9-]+:sts::[0-9]{12}:(?:assumed-role\/[\w+=,.@-]{1,64}|federated-user)\/[\w+=,.@-]{2,64}$/;
const providerArn = /^arn:[a-z0-9-]+:iam::[0-9]{12}:(?:oidc|saml)-provider\/[!-~]{1,600}$/;
const serviceName = /^[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8}$/;
/** Identity providers that need no provider of one's own. */
const builtInProviders = new Set(["cognito-identity.amazonaws.com", "accounts.google.com", "graph.facebook.com", "www.amazon.com"]);

/** Could the entry name somebody? Wildcards inside a name, groups and foreign kinds never do. Whether the principal exists is not asked. */
export function isNameable({ type, name }: PrincipalEntry): boolean {
  switch (type) {
    case "AWS":
      if (name === "*" || accountOf(name) !== undefined || uniqueId.test(name)) return true;
      return !/[*?]/.test(name) && (iamArn.test(name) || stsArn.test(name));
    case "Service":
      return serviceName.test(name);
    case "Federated":
      return builtInProviders.has(name) || (!/[*?]/.test(name) && providerArn.test(name));
    case "CanonicalUser":
    default:
      return false;
  }
}

function accountOf(name: string): string | undefined {
  return accountId.test(name) ? name : rootArn.exec(name)?.[1];
}

/**
 * Sorts principals. `resolved` gives the unique ids that users and roles, by the name as written, had when the policy was stored; they are
 * then known by the id alone, so that a user who later gets the same name gets nothing.
 */
export function compilePrincipals(principals: Principals, resolved: ReadonlyMap<string, string> | undefined): CompiledPrincipals {
  const [accounts, arns, uniqueIds, services, providers] = [1, 2, 3, 4, 5].map(() => new Set<string>()) as SortedNames;
  const sessions = new Map<string, string>();
  let isEveryone = false;
  for (const { type, name } of principals.entries) {
    if (type === "Service") services.add(name);
    else if (type === "Federated") providers.add(name);
    else if (type === "AWS") {
      const account = accountOf(name);
      const id = resolved?.get(name);
      if (name === "*") isEveryone = true;
      else if (account !== undefined) accounts.add(account);
      else if (uniqueId.test(name)) uniqueIds.add(name);
      else if (id === undefined) arns.add(name);
      else if (name.includes(":assumed-role/")) sessions.set(name, id);
      else uniqueIds.add(id);
    }
  }
  return { isNegated: principals.isNegated, isEveryone, accounts, arns, uniqueIds, sessions, services, providers };
}

type SortedNames = [Set<string>, Set<string>, Set<string>, Set<string>, Set<string>];

/** How the list names the caller, negation aside. */
export function namingOf(principals: CompiledPrincipals, caller: Caller): Naming {
  if (principals.isEveryone || namesItself(principals, caller)) return byItself;
  if (namesIssuer(principals, caller)) return byIssuer;
  return "accountId" in caller && principals.accounts.has(caller.accountId) ? byAccount : unnamed;
}

/**
 * Does NotPrincipal with Deny leave the caller out? Only if the list names it and its account, and for a session the role or user that
 * it comes from too; AWS documents that a caller may be denied otherwise, so here it is.
 */
export function isLeftOut(principals: CompiledPrincipals, caller: Caller): boolean {
  if (principals.isEveryone) return true;
  if (!namesItself(principals, caller)) return false;
  const hasIssuer = caller.kind === "role-session" || (caller.kind === "federated" && caller.issuer.kind === "user");
  if (hasIssuer && !namesIssuer(principals, caller)) return false;
  return !("accountId" in caller) || principals.accounts.has(caller.accountId);
}

function namesItself(principals: CompiledPrincipals, caller: Caller): boolean {
  switch (caller.kind) {
    case "root":
      return principals.accounts.has(caller.accountId);
    case "user":
      return principals.arns.has(caller.arn) || principals.uniqueIds.has(caller.uniqueId);
    case "role-session":
      return principals.arns.has(caller.arn) || principals.sessions.get(caller.arn) === caller.uniqueId;
    case "federated":
      return principals.arns.has(caller.arn);
    case "service":
      return principals.services.has(caller.service);
    case "web-identity":
      return principals.providers.has(caller.providerArn);
    case "anonymous":
    default:
      return false;
  }
}

function namesIssuer(principals: CompiledPrincipals, caller: Caller): boolean {
  if (caller.kind === "role-session") return principals.arns.has(caller.roleArn) || principals.uniqueIds.has(caller.uniqueId);
  return caller.kind === "federated" && caller.issuer.kind === "user" && namesItself(principals, caller.issuer);
}
