/** Permissions boundaries: the managed policy that a user or role cannot get beyond, whatever else it is given. */
import { putBoundary as put } from "#metadata/policy-attachments.ts";
import { policyReference } from "./attachment.ts";
import type { IdentityContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { holderKey, holderRefused } from "./policy-holder.ts";
import type { Holder } from "./policy-holder.ts";

/** Sets or replaces the boundary. Throws IdentityError `not-found`, `not-attachable`, `unmodifiable`, `invalid-input`. */
export async function putBoundary(ctx: IdentityContext, holder: Holder, arn: string): Promise<void> {
  await change(ctx, holder, arn);
}

/** Takes the boundary away; without one that is no error. Throws IdentityError `not-found`, `unmodifiable`. */
export async function deleteBoundary(ctx: IdentityContext, holder: Holder): Promise<void> {
  await change(ctx, holder, undefined);
}

async function change(ctx: IdentityContext, holder: Holder, arn: string | undefined): Promise<void> {
  const policy = arn === undefined ? undefined : policyReference(ctx, arn);
  const result = await put(ctx.core.metadata, { holder: holderKey(ctx, holder), policy });
  if (result.outcome === "not-found" || result.outcome === "protected") throw holderRefused(holder, result);
  if (result.outcome === "no-policy") throw refuse("not-found", { noun: "attachable-policy", name: arn ?? "" });
}
