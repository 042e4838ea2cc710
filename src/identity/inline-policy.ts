/** Policies inside users, groups and roles: they live and die with their holder. */
import { parsePolicy } from "#iam/document.ts";
import { policySize } from "#iam/policy-size.ts";
import {
  deleteInlinePolicy as remove,
  findInlinePolicy,
  listInlinePolicyNames,
  putInlinePolicy as put,
} from "#metadata/inline-policies.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import type { IdentityError } from "./errors.ts";
import type { PolicyPage } from "./managed-policy.ts";
import { getHolder, holderKey, holderQuotas, holderRefused } from "./policy-holder.ts";
import type { Holder } from "./policy-holder.ts";

/** Adds a policy or replaces the one of that name. Throws IdentityError `malformed-policy`, `inline-policy-size`, `not-found`, `unmodifiable`. */
export async function putInlinePolicy(
  ctx: IdentityContext,
  holder: Holder,
  { name, document }: { readonly name: string; readonly document: string },
): Promise<void> {
  const { inlineCharacters } = holderQuotas[holder.kind];
  const tooLarge = (): IdentityError => refuse("inline-policy-size", { holder: `${holder.kind} ${holder.name}`, limit: inlineCharacters });
  const read = parsePolicy(document, "inline");
  if (!read.ok && read.problem.isTooLong === true) throw tooLarge();
  if (!read.ok) throw refuse("malformed-policy", { message: read.problem.message });
  const result = await put(ctx.core.metadata, {
    holder: holderKey(ctx, holder),
    name,
    document,
    sizeCharacters: policySize(document),
    limitCharacters: inlineCharacters,
  });
  if (result.outcome === "not-found" || result.outcome === "protected") throw holderRefused(holder, result);
  if (result.outcome === "limit") throw tooLarge();
}

/** The document, exactly as it was given. Throws IdentityError `not-found`. */
export async function getInlinePolicy(ctx: IdentityContext, holder: Holder, name: string): Promise<string> {
  const { identityId } = await getHolder(ctx, holder);
  const document = await findInlinePolicy(ctx.core.metadata, identityId, name);
  if (document === undefined) throw noPolicy(holder, name);
  return document;
}

/** Deletes a policy. Throws IdentityError `not-found`, `unmodifiable`. */
export async function deleteInlinePolicy(ctx: IdentityContext, holder: Holder, name: string): Promise<void> {
  const result = await remove(ctx.core.metadata, { holder: holderKey(ctx, holder), name });
  if (result.outcome === "not-found" || result.outcome === "protected") throw holderRefused(holder, result);
  if (result.outcome === "no-policy") throw noPolicy(holder, name);
}

/** A page of the names of a holder's policies, in order. Throws IdentityError `not-found`. */
export async function listInlinePolicies(
  ctx: IdentityContext,
  holder: Holder,
  page: PolicyPage,
): Promise<{ readonly names: readonly string[]; readonly next: string | undefined }> {
  const { identityId } = await getHolder(ctx, holder);
  return listInlinePolicyNames(ctx.core.metadata, { ...page, identityId });
}

function noPolicy({ kind }: Holder, name: string): IdentityError {
  return refuse("not-found", { noun: `${kind}-policy`, name });
}
