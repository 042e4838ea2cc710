/** Paging of IAM: `MaxItems` (1 to 1000, default 100), an opaque `Marker`, and `IsTruncated` with the next one. */
import { refusalOf } from "#registry/failure.ts";
import { openPageToken, sealPageToken } from "#registry/page-token.ts";
import type { Json } from "#std/json.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault } from "../fault.ts";

const defaultItems = 100;

/** What a listing is asked for: where it goes on, and how many items. */
export interface IamPage {
  readonly after: string | undefined;
  readonly limit: number;
}

/** Reads `Marker` and `MaxItems`. `listing` names the operation and whatever else the marker is good for alone. Throws ApiFault. */
export function openIamPage(
  call: ApiCall,
  listing: readonly string[],
  input: { readonly Marker?: string | undefined; readonly MaxItems?: number | undefined },
): IamPage {
  const limit = input.MaxItems ?? defaultItems;
  if (input.Marker === undefined) return { after: undefined, limit };
  const position = openPosition(call, listing, input.Marker);
  if (typeof position !== "string") throw new ApiFault("ValidationError", "Invalid Marker.");
  return { after: position, limit };
}

function openPosition(call: ApiCall, listing: readonly string[], marker: string): Json | undefined {
  try {
    return openPageToken(call.context, purposeOf(listing), marker);
  } catch (error) {
    if (refusalOf(error)?.kind === "page-token-invalid") return undefined;
    throw error;
  }
}

function purposeOf(listing: readonly string[]): string {
  return JSON.stringify(["iam", ...listing]);
}

/** The members that end a page's answer. */
export function closeIamPage(
  call: ApiCall,
  listing: readonly string[],
  next: string | undefined,
): { readonly IsTruncated: boolean; readonly Marker?: string } {
  if (next === undefined) return { IsTruncated: false };
  return { IsTruncated: true, Marker: sealPageToken(call.context, purposeOf(listing), next) };
}
