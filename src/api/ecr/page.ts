/** Pages of listings: the position is sealed into `nextToken`, bound to the caller's account and to all that must stay the same between two pages. */
import type { Json } from "#std/json.ts";
import { refuse } from "#registry/errors.ts";
import { openPageToken, sealPageToken } from "#registry/page-token.ts";
import type { ApiCall } from "../call.ts";

/** What a listing is of: its operation, registry, repository and filters. */
export type Listing = readonly (string | undefined)[];

/** The position that `nextToken` holds, or undefined at the start. Throws `page-token-invalid` for a token of another listing. */
export function openPage<Position extends Json>(
  call: ApiCall,
  listing: Listing,
  nextToken: string | undefined,
  isPosition: (position: Json) => position is Position,
): Position | undefined {
  if (nextToken === undefined) return undefined;
  const position = openPageToken(call.context, JSON.stringify(listing), nextToken);
  return isPosition(position) ? position : refuse("page-token-invalid", {});
}

/** The member `nextToken` of an answer; absent on the last page. */
export function sealPage(call: ApiCall, listing: Listing, next: Json | undefined): { readonly nextToken?: string } {
  return next === undefined ? {} : { nextToken: sealPageToken(call.context, JSON.stringify(listing), next) };
}
