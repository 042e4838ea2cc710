import type { SecretGone } from "#metadata/secret-rows.ts";
import { refuse } from "./errors.ts";

/** What a change answered, unless there was nothing to change. Throws `not-found`, `marked-deleted`. */
export function present<Outcome extends { readonly outcome: string }>(result: Outcome | SecretGone): Exclude<Outcome, SecretGone> {
  if (result.outcome === "not-found") throw refuse("not-found", {});
  if (result.outcome === "marked-deleted") throw refuse("marked-deleted", {});
  return result as Exclude<Outcome, SecretGone>;
}
