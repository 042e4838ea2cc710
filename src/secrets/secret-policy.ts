/** Resource policies of secrets. */
import { parsePolicy } from "#iam/document.ts";
import type { PolicyDocument } from "#iam/document.ts";
import type { Secret } from "#metadata/secret-rows.ts";
import * as metadata from "#metadata/secrets.ts";
import type { SecretsContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { present } from "./failure.ts";

type PolicyStatement = PolicyDocument["statements"][number];

/** Conditions on these say who may ask, so that a statement for everyone is not for everyone. */
const narrowingKeys: ReadonlySet<string> = new Set([
  "aws:principalaccount",
  "aws:principalarn",
  "aws:principalorgid",
  "aws:principalorgpaths",
  "aws:sourceaccount",
  "aws:sourcearn",
  "aws:sourcevpc",
  "aws:sourcevpce",
  "aws:userid",
]);
const narrowingOperator = /^(?:foranyvalue:)?(?:stringequals|stringequalsignorecase|stringlike|arnequals|arnlike)$/i;

/** Reads a policy that is to be put on a secret. Throws `malformed-policy`, and `public-policy` for one that is open to everyone when that is not wanted. */
export function readSecretPolicy(text: string, options: { readonly blockPublic: boolean }): PolicyDocument {
  const policy = parsePolicy(text, "secret");
  if (!policy.ok) throw refuse("malformed-policy", { message: policy.problem.message, detail: policy.problem.detail });
  if (options.blockPublic && isPublicPolicy(policy.value)) throw refuse("public-policy", {});
  return policy.value;
}

/** Does the policy allow something to everyone? */
export function isPublicPolicy({ statements }: PolicyDocument): boolean {
  return statements.some(isPublic);
}

/** Sets or replaces the policy. Throws `marked-deleted`, `not-found`. */
export async function putSecretPolicy(
  ctx: SecretsContext,
  secret: Secret,
  policy: { readonly document: string; readonly principals: Readonly<Record<string, string>> },
): Promise<void> {
  const { metadata: db, clock } = ctx.core;
  present(await metadata.putSecretPolicy(db, { secretId: secret.secretId, policy, now: clock.now() }));
}

/** Removes the policy; no error when there is none. Throws `marked-deleted`, `not-found`. */
export async function deleteSecretPolicy(ctx: SecretsContext, secret: Secret): Promise<void> {
  const { metadata: db, clock } = ctx.core;
  present(await metadata.putSecretPolicy(db, { secretId: secret.secretId, policy: undefined, now: clock.now() }));
}

/** The policy as it was given, or undefined. Throws `marked-deleted`, `not-found`. */
export async function findSecretPolicy(ctx: SecretsContext, secret: Secret): Promise<string | undefined> {
  if (secret.removeAt !== undefined) throw refuse("marked-deleted", {});
  const access = await metadata.findSecretAccess(ctx.core.metadata, secret);
  if (access === undefined) throw refuse("not-found", {});
  return access.policy?.document;
}

/** Does the statement allow something to everyone? In doubt it does: a value with a wildcard or a variable narrows nothing. */
function isPublic({ effect, principals, conditions }: PolicyStatement): boolean {
  if (effect !== "Allow" || principals === undefined) return false;
  if (!principals.isNegated && !principals.entries.some(({ name }) => name === "*")) return false;
  return !conditions.some(
    ({ operator, key, values }) =>
      narrowingKeys.has(key.toLowerCase()) && narrowingOperator.test(operator) && !values.some((value) => /[*?$]/.test(value)),
  );
}
