/** Does a grant allow this? (AWS KMS Developer Guide, "Grants in AWS KMS".) Grants only ever add permission: a Deny is decided elsewhere. */
import type { Caller } from "#iam/caller.ts";
import type { KmsGrant } from "#metadata/kms-grants.ts";
import type { EncryptionContext } from "./encryption-context.ts";

/** A use of a key that a grant may cover. */
export interface GrantUse {
  /** The caller, by each of the names that grants know it by: {@link granteeKeysOf}. */
  readonly callerKeys: readonly string[];
  /** Such as `Decrypt`, without the service. */
  readonly operation: string;
  /** Of the request; for CreateGrant the pairs of the new grant's constraint. */
  readonly encryptionContext: EncryptionContext;
  /** For CreateGrant: what the new grant is to be. */
  readonly child?: { readonly operations: readonly string[]; readonly constraintKind: "equals" | "subset" | undefined };
}

/** Our own condition key: the grant that RetireGrant is asked for, which decides together with the policies. */
export const grantIdKey = "supercargo:GrantId";

/** Operations that have no encryption context, so that no constraint limits them. */
const withoutContext: ReadonlySet<string> = new Set(["DescribeKey", "RetireGrant"]);

/** The names by which grants know a caller: unique ids, and ARNs of those who have none. */
export function granteeKeysOf(caller: Caller): readonly string[] {
  switch (caller.kind) {
    case "root":
    case "federated":
      return [caller.arn];
    case "user":
      return [caller.uniqueId, caller.arn];
    case "role-session":
      return [caller.uniqueId, caller.roleArn, caller.arn];
    case "service":
      return [caller.service];
    case "web-identity":
    case "anonymous":
    default:
      return [];
  }
}

/** Does the grant allow the use? A grant that allows making grants allows only such as allow no more than itself. */
export function grantCovers(grant: KmsGrant, use: GrantUse): boolean {
  if (!use.callerKeys.includes(grant.granteeKey) || !grant.operations.includes(use.operation)) return false;
  if (use.operation === "CreateGrant" && !(use.child?.operations.every((operation) => grant.operations.includes(operation)) ?? false))
    return false;
  const { constraint } = grant;
  if (constraint === undefined || withoutContext.has(use.operation)) return true;
  if (use.operation === "CreateGrant") {
    const kind = use.child?.constraintKind;
    if (kind === undefined || (constraint.kind === "equals" && kind !== "equals")) return false;
  }
  const pairs = Object.entries(constraint.context);
  const isWithin = pairs.every(([key, value]) => Object.hasOwn(use.encryptionContext, key) && use.encryptionContext[key] === value);
  return isWithin && (constraint.kind === "subset" || Object.keys(use.encryptionContext).length === pairs.length);
}

/** May the caller end the grant by the grant itself, whatever policies say? */
export function mayRetire(grant: KmsGrant, callerKeys: readonly string[]): boolean {
  const isRetiring = grant.retiringKey !== undefined && callerKeys.includes(grant.retiringKey);
  return isRetiring || (callerKeys.includes(grant.granteeKey) && grant.operations.includes("RetireGrant"));
}
