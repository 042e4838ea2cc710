/** Paging of KMS: `Limit`, an opaque `Marker`, and `Truncated` with the next one. */
import { refusalOf } from "#registry/failure.ts";
import { openPageToken, sealPageToken } from "#registry/page-token.ts";
import type { Json } from "#std/json.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault } from "../fault.ts";

interface PageInput {
  readonly Limit?: number | undefined;
  readonly Marker?: string | undefined;
}

/** The end of a page's answer. */
export interface PageEnd {
  readonly Truncated: boolean;
  readonly NextMarker?: string;
}

/**
 * Reads one page: `read` is given where it goes on and for how many, and is asked for one more than the page holds, which tells whether there
 * are more. `listing` names the operation and all that must be the same for the next page. Throws InvalidMarkerException.
 */
export async function readPage<Item, Position extends string | number>(
  call: ApiCall,
  listing: readonly string[],
  input: PageInput & { readonly defaultLimit: number },
  read: {
    readonly start: Position | undefined;
    readonly items: (page: { readonly after: Position | undefined; readonly limit: number }) => Promise<readonly Item[]>;
    readonly positionOf: (item: Item) => Position;
  },
): Promise<{ readonly items: readonly Item[]; readonly end: PageEnd }> {
  const purpose = JSON.stringify(["kms", ...listing]);
  const limit = input.Limit ?? input.defaultLimit;
  const after = input.Marker === undefined ? read.start : (openMarker(call, purpose, input.Marker) as Position);
  const found = await read.items({ after, limit: limit + 1 });
  const items = found.slice(0, limit);
  const last = items.at(-1);
  if (found.length <= limit || last === undefined) return { items, end: { Truncated: false } };
  return { items, end: { Truncated: true, NextMarker: sealPageToken(call.context, purpose, read.positionOf(last)) } };
}

/** What we sealed for this listing is one of its positions. */
function openMarker(call: ApiCall, purpose: string, marker: string): Json {
  try {
    return openPageToken(call.context, purpose, marker);
  } catch (error) {
    if (refusalOf(error)?.kind !== "page-token-invalid") throw error;
    throw new ApiFault("InvalidMarkerException", "Could not deserialize marker");
  }
}
