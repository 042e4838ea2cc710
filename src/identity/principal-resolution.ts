/**
 * Principals of resource policies: which user or role an ARN means when a policy is stored, and what it is called when the policy is read
 * (IAM User Guide, "AWS JSON policy elements: Principal"). Who later gets the name of somebody who is gone gets nothing with it.
 */
import { readJson } from "#std/json.ts";
import { accountExists } from "#metadata/accounts.ts";
import { findIdentity } from "#metadata/identities.ts";
import { findPrincipalIdentities } from "#metadata/roles.ts";
import { identityArn, parseIdentityArn } from "./arn.ts";
import type { IdentityCore } from "./context.ts";

/** What resolving answers: unique ids by the names as written, or the first name that means nobody. */
export type ResolvedPrincipals =
  | { readonly ok: true; readonly resolved: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly principal: string };

/** What one name means: a unique id, nobody, or somebody who has no row and is known by the name itself. */
type Meaning = { readonly uniqueId: string } | "nobody" | "by-name";

const accountForm = /^(?:[0-9]{12}|arn:aws:iam::[0-9]{12}:root)$/;
const uniqueIdForm = /^(?:AIDA|AROA)[A-Z0-9]{1,124}$/;
const sessionForm = /^arn:aws:sts::([0-9]{12}):(assumed-role|federated-user)\/([\w+=,.@-]{1,64})(?:\/[\w+=,.@-]{2,64})?$/;

/**
 * Resolves the users and roles among principals, of any account of this deployment. Accounts, sessions, and whatever is in accounts that this
 * deployment does not have stay as they are written: they are known by name, and those of foreign accounts can never call.
 */
export async function resolvePrincipals(
  { core }: { readonly core: IdentityCore },
  principals: readonly string[],
): Promise<ResolvedPrincipals> {
  const accounts = new Map<string, boolean>();
  const isOurs = async (accountId: string): Promise<boolean> => {
    const known = accounts.get(accountId) ?? (await accountExists(core.metadata, accountId));
    accounts.set(accountId, known);
    return known;
  };
  const resolved: [string, string][] = [];
  for (const principal of new Set(principals)) {
    const meaning = await meaningOf(core, isOurs, principal);
    if (meaning === "nobody") return { ok: false, principal };
    if (meaning !== "by-name") resolved.push([principal, meaning.uniqueId]);
  }
  return { ok: true, resolved: Object.fromEntries(resolved) };
}

async function meaningOf(core: IdentityCore, isOurs: (accountId: string) => Promise<boolean>, principal: string): Promise<Meaning> {
  if (principal === "*" || accountForm.test(principal)) return "by-name";
  if (uniqueIdForm.test(principal)) return (await findPrincipalIdentities(core.metadata, [principal])).length > 0 ? "by-name" : "nobody";
  const [, sessionAccount, sessionKind, sessionOwner = ""] = sessionForm.exec(principal) ?? [];
  if (sessionAccount !== undefined) {
    // A federated user is nothing but its name; a role session at least has a role.
    if (sessionKind === "federated-user" || !(await isOurs(sessionAccount))) return "by-name";
    const role = await findIdentity(core.metadata, { accountId: sessionAccount, kind: "role", name: sessionOwner });
    return role?.name === sessionOwner ? "by-name" : "nobody";
  }
  const parts = parseIdentityArn(principal);
  if (parts === undefined || (parts.kind !== "user" && parts.kind !== "role")) return "nobody";
  const { accountId, kind, name } = parts;
  if (!(await isOurs(accountId))) return "by-name";
  const found = await findIdentity(core.metadata, { accountId, kind, name });
  // Names are found without regard to case and path, but an ARN means itself.
  const isMeant = found !== undefined && identityArn(kind, accountId, found.path, found.name) === principal;
  return isMeant ? { uniqueId: found.uniqueId } : "nobody";
}

/** A policy as it is stored: the text, and the unique ids of the users and roles in it by the names as written. */
export interface StoredPrincipals {
  readonly document: string;
  readonly principals: Readonly<Record<string, string>>;
}

/**
 * The documents as they are shown: users and roles by the ARNs that they have now, and by their unique ids when they are gone. A document in
 * which nothing of this has changed is shown exactly as it was stored.
 */
export async function showPrincipals(
  { core }: { readonly core: IdentityCore },
  policies: readonly StoredPrincipals[],
): Promise<readonly string[]> {
  const uniqueIds = new Set(policies.flatMap(({ principals }) => Object.values(principals)));
  const identities = await findPrincipalIdentities(core.metadata, [...uniqueIds]);
  const arns = new Map(
    identities.flatMap(({ uniqueId, accountId, kind, path, name }) =>
      kind === "user" || kind === "role" ? [[uniqueId, identityArn(kind, accountId, path, name)] as const] : [],
    ),
  );
  return policies.map(({ document, principals }) => {
    const shown = new Map(Object.entries(principals).map(([written, uniqueId]) => [written, arns.get(uniqueId) ?? uniqueId]));
    return [...shown].every(([written, now]) => written === now) ? document : renamed(document, shown);
  });
}

/** What of a document may hold principals. It was checked when it was stored, so other shapes do not occur. */
interface DocumentJson {
  readonly Statement: StatementJson | StatementJson[];
}

interface StatementJson {
  Principal?: PrincipalJson;
  NotPrincipal?: PrincipalJson;
}

type PrincipalJson = string | { AWS?: string | string[] };

function renamed(document: string, shown: ReadonlyMap<string, string>): string {
  const json = readJson(document) as DocumentJson;
  const nameOf = (name: string): string => shown.get(name) ?? name;
  for (const statement of Array.isArray(json.Statement) ? json.Statement : [json.Statement]) {
    for (const principal of [statement.Principal, statement.NotPrincipal]) {
      if (typeof principal !== "object" || principal.AWS === undefined) continue;
      principal.AWS = Array.isArray(principal.AWS) ? principal.AWS.map(nameOf) : nameOf(principal.AWS);
    }
  }
  return JSON.stringify(json);
}
