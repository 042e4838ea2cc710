/**
 * What decides about keys of the key management service: the key's policy, without which nothing goes, and its grants, which add to it. All of
 * it is read at each decision; no cache knows it, so a change holds at once.
 */
import type { Caller } from "#iam/caller.ts";
import { parseKeyName } from "#kms/arn.ts";
import { isGranted, isRetirable } from "#kms/grant.ts";
import { granteeKeysOf, grantIdKey } from "#kms/grant-cover.ts";
import type { GrantUse } from "#kms/grant-cover.ts";
import { accountExists } from "#metadata/accounts.ts";
import type { Database } from "#metadata/database.ts";
import { findKeyForDecision } from "#metadata/kms-keys.ts";
import type { ConditionKeys } from "./condition-keys.ts";
import type { PolicyCache } from "./policy-cache.ts";
import type { ResourceStanding } from "./resource-policies.ts";

const prefix = "kms:";
const contextPrefix = "kms:EncryptionContext:";
/** No policy allows this; the grant does, or the key's account by its own policies. */
const retireAction = "kms:RetireGrant";
const aliasOrAll: ResourceStanding = { policies: [], rule: "grants" };
const noKey: ResourceStanding = { policies: [], rule: "must-allow" };

/** What hangs on a key; aliases, and what has no ARN, have no policies of their own. Rejects when the database cannot be reached. */
export async function findKeyStanding(
  metadata: Database,
  policies: PolicyCache,
  { resource, action, keyOwner }: { readonly resource: string; readonly action: string; readonly keyOwner: string | undefined },
): Promise<ResourceStanding> {
  const name = parseKeyName(resource);
  if (name?.kind !== "key-arn")
    return keyOwner !== undefined && isKeyArn(resource) ? keptElsewhere(metadata, resource, keyOwner) : aliasOrAll;
  const { keyId } = name;
  const found = await findKeyForDecision(metadata, { ...name.scope, keyId });
  if (found === undefined) return keyOwner === undefined ? noKey : keptElsewhere(metadata, resource, keyOwner);
  const { tags, policy } = found;
  const compiled = policies.ofResource(resource, policy.document, policy.principals);
  if (action === retireAction) {
    const findGrant = (caller: Caller, keys: ConditionKeys): Promise<boolean> =>
      isRetirable({ metadata }, keyId, textOf(keys, grantIdKey), granteeKeysOf(caller));
    return { policies: [{ ...compiled, allows: [] }], rule: "grants", tags, findGrant };
  }
  const findGrant = (caller: Caller, keys: ConditionKeys): Promise<boolean> => isGranted({ metadata }, keyId, useOf(caller, action, keys));
  return { policies: [compiled], rule: "must-allow", tags, findGrant };
}

/**
 * A key that another deployment keeps. Its policy is judged there, for this deployment as a whole; here the policies of its owner's people
 * say who of them may use it: the account that has its number, or else the one that the deployment itself belongs to.
 */
async function keptElsewhere(metadata: Database, resource: string, keyOwner: string): Promise<ResourceStanding> {
  const accountId = resource.split(":")[4] ?? "";
  const ownerAccountId = (await accountExists(metadata, accountId)) ? accountId : keyOwner;
  return { policies: [], rule: "grants", ownerAccountId };
}

/** Also such as the keys here never have: of other partitions, of several regions. */
function isKeyArn(resource: string): boolean {
  return /^arn:aws[a-z-]{0,16}:kms:[a-z0-9-]{1,64}:[0-9]{12}:key\//.test(resource);
}

/** The request as grants see it. The rows of the API give conditions the encryption context, and CreateGrant what it is to make. */
function useOf(caller: Caller, action: string, keys: ConditionKeys): GrantUse {
  const pairs = Object.entries(keys).filter(([name]) => name.startsWith(contextPrefix));
  const kind = textOf(keys, "kms:GrantConstraintType");
  return {
    callerKeys: granteeKeysOf(caller),
    operation: action.slice(prefix.length),
    encryptionContext: Object.fromEntries(pairs.map(([name, value]) => [name.slice(contextPrefix.length), String(value)])),
    child: {
      operations: [keys["kms:GrantOperations"] ?? []].flat(),
      constraintKind: kind === "EncryptionContextEquals" ? "equals" : kind === "EncryptionContextSubset" ? "subset" : undefined,
    },
  };
}

function textOf(keys: ConditionKeys, name: string): string {
  const value = keys[name];
  return typeof value === "string" ? value : "";
}
