import type { Json } from "#std/json.ts";
import { parseJson } from "#std/json.ts";
import type { RegistryContext } from "./context.ts";
import { refuse } from "./errors.ts";

/** Longer than any token made here; what is longer is not opened at all. */
const tokenLimitChars = 4_096;

/**
 * Seals a position in a listing into an opaque token. `purpose` names the listing and everything that must not change
 * between two pages (operation, registry, repository, filters): a token opens for the same purpose and account only.
 */
export function sealPageToken(ctx: RegistryContext, purpose: string, position: Json): string {
  const plain = Buffer.from(JSON.stringify([ctx.actor.accountId, position]), "utf8");
  return ctx.core.sealer.seal(`page:${purpose}`, plain);
}

/** The position that a token holds. Throws `page-token-invalid` for anything forged, foreign or made for another listing. */
export function openPageToken(ctx: RegistryContext, purpose: string, token: string): Json {
  const plain = token.length <= tokenLimitChars ? ctx.core.sealer.open(`page:${purpose}`, token) : undefined;
  const opened = plain === undefined ? undefined : parseJson(plain);
  if (opened?.ok !== true || !Array.isArray(opened.value)) return refuse("page-token-invalid", {});
  const [accountId, position] = opened.value;
  if (accountId !== ctx.actor.accountId || position === undefined) return refuse("page-token-invalid", {});
  return position;
}
