/** Paging of Secrets Manager: `MaxResults` (1 to 100, default 100) and an opaque `NextToken`. */
import { refusalOf } from "#registry/failure.ts";
import { openPageToken, sealPageToken } from "#registry/page-token.ts";
import type { Json } from "#std/json.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault } from "../fault.ts";

/** How many items a page has when nothing is said. */
export const defaultResults = 100;

/** The position in a token, or undefined at the start. `listing` is all that must be the same on every page. Throws InvalidNextTokenException. */
export function openSecretsPage<Position extends Json>(
  call: ApiCall,
  listing: Json,
  token: string | undefined,
  isPosition: (position: Json) => position is Position,
): Position | undefined {
  if (token === undefined) return undefined;
  const position = openPosition(call, listing, token);
  if (position === undefined || !isPosition(position)) throw new ApiFault("InvalidNextTokenException", "The NextToken value is invalid.");
  return position;
}

/** The member that ends a page's answer; absent on the last page. */
export function closeSecretsPage(call: ApiCall, listing: Json, next: Json | undefined): { readonly NextToken?: string } {
  return next === undefined ? {} : { NextToken: sealPageToken(call.context, purposeOf(call, listing), next) };
}

function openPosition(call: ApiCall, listing: Json, token: string): Json | undefined {
  try {
    return openPageToken(call.context, purposeOf(call, listing), token);
  } catch (error) {
    if (refusalOf(error)?.kind === "page-token-invalid") return undefined;
    throw error;
  }
}

function purposeOf(call: ApiCall, listing: Json): string {
  return JSON.stringify(["secretsmanager", call.region, listing]);
}
