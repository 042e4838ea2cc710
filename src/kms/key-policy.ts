/** Policies of keys: the only source of permission on a key that all others hang on. */
import { parsePolicy, principalsOf } from "#iam/document.ts";
import type { StoredPolicy } from "#metadata/resource-policies.ts";
import { findKeyForDecision, updateKmsKey } from "#metadata/kms-keys.ts";
import type { KmsKey } from "#metadata/kms-keys.ts";
import { kmsKeyArn } from "./arn.ts";
import type { KmsContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { everyState, requireCustomers } from "./key-state.ts";

/** The only name that a key's policy has. */
export const policyName = "default";

/** Says whether whoever asks could change the key's policy again once this one stands. */
export type LockOutCheck = (keyArn: string, policy: StoredPolicy) => Promise<boolean>;

/** The policy of a key made without one: the account decides by its own policies (AWS KMS Developer Guide, "Default key policy"). */
export function defaultPolicy(accountId: string): StoredPolicy {
  const document = {
    Version: "2012-10-17",
    Id: "key-default-1",
    Statement: [
      {
        Sid: "Enable IAM User Permissions",
        Effect: "Allow",
        Principal: { AWS: `arn:aws:iam::${accountId}:root` },
        Action: "kms:*",
        Resource: "*",
      },
    ],
  };
  return { document: JSON.stringify(document, undefined, 2), principals: {} };
}

/** Reads a policy as it may be written on a key. Throws `policy-malformed` with AWS's words. */
export async function checkPolicy(ctx: KmsContext, document: string): Promise<StoredPolicy> {
  const read = parsePolicy(document, "key");
  if (!read.ok) throw refuse("policy-malformed", { message: read.problem.message });
  const found = await ctx.resolvePrincipals(principalsOf(read.value));
  // Terraform waits and tries again at these words: a role that was made a moment ago may not be known yet.
  if (!found.ok) throw refuse("policy-malformed", { message: "Policy contains a statement with one or more invalid principals." });
  return { document, principals: found.resolved };
}

/** Throws `policy-malformed` when the policy would lock out who asks. */
export async function refuseLockOut(check: LockOutCheck, keyArn: string, policy: StoredPolicy): Promise<void> {
  if (await check(keyArn, policy)) return;
  throw refuse("policy-malformed", { message: "The new key policy will not allow you to update the key policy in the future." });
}

/** Replaces the policy of a key, in any state. `check` is left out where the caller takes the risk. */
export async function putKeyPolicy(
  ctx: KmsContext,
  key: KmsKey,
  name: string,
  document: string,
  check: LockOutCheck | undefined,
): Promise<void> {
  if (name !== policyName) throw refuse("policy-not-found", {});
  requireCustomers(key);
  const policy = await checkPolicy(ctx, document);
  const keyArn = kmsKeyArn(key);
  if (check !== undefined) await refuseLockOut(check, keyArn, policy);
  const { outcome } = await updateKmsKey(ctx.core.metadata, { keyId: key.keyId, onlyIn: everyState, patch: { policy } });
  if (outcome !== "updated") throw refuse("key-not-found", { keyArn });
}

/** The policy of a key, exactly as it was given. Throws `policy-not-found` for any other name than `default`. */
export async function getKeyPolicy(ctx: KmsContext, key: KmsKey, name: string): Promise<string> {
  if (name !== policyName) throw refuse("policy-not-found", {});
  const found = await findKeyForDecision(ctx.core.metadata, key);
  if (found === undefined) throw refuse("key-not-found", { keyArn: kmsKeyArn(key) });
  return found.policy.document;
}
