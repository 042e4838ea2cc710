/** The referrers that an upstream names, beside those that the repository holds: one list in the order of the digests, in pages. */
import { parseDigest } from "#oci/digest.ts";
import type { Digest } from "#oci/digest.ts";
import type { Referrer } from "#registry/referrer.ts";
import { parseJson } from "#std/json.ts";
import type { Json } from "#std/json.ts";

/** A page as the registry room answers it. */
export interface ReferrerList {
  readonly referrers: readonly Referrer[];
  readonly next?: string;
}

const maxTextLength = 255;

/**
 * Reads an upstream's index of referrers: descriptors with a digest, a media type and a size, each once, in the order of the digests.
 * What cannot be read is left out; undefined when it is no index at all.
 */
export function readReferrers(bytes: Uint8Array): readonly Referrer[] | undefined {
  const json = parseJson(bytes);
  if (!json.ok || !isObject(json.value) || !Array.isArray(json.value["manifests"])) return undefined;
  const found = new Map<Digest, Referrer>();
  for (const entry of json.value["manifests"]) {
    const referrer = readReferrer(entry);
    if (referrer !== undefined) found.set(referrer.digest, referrer);
  }
  return [...found.values()].toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
}

function readReferrer(entry: Json): Referrer | undefined {
  if (!isObject(entry)) return undefined;
  const { digest: text, mediaType, size, artifactType, annotations } = entry;
  const digest = typeof text === "string" ? parseDigest(text) : undefined;
  if (digest?.ok !== true || typeof mediaType !== "string" || mediaType.length > maxTextLength) return undefined;
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) return undefined;
  return {
    digest: digest.value,
    mediaType,
    sizeBytes: size,
    status: "ACTIVE",
    ...(typeof artifactType === "string" && artifactType.length <= maxTextLength && { artifactType }),
    ...(isObject(annotations) && isOfText(annotations) && { annotations }),
  };
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isOfText(value: { readonly [key: string]: Json }): value is { [key: string]: string } {
  return Object.values(value).every((member) => typeof member === "string");
}

/** Merges the upstream's into a page of the repository's own, which began after `after` and holds at most `limit`. */
export function mergeReferrers(
  own: ReferrerList,
  upstream: readonly Referrer[],
  page: { readonly after?: string | undefined; readonly limit: number; readonly artifactTypes?: readonly string[] | undefined },
): ReferrerList {
  const { after = "", limit, artifactTypes = [] } = page;
  const known = new Set(own.referrers.map(({ digest }) => digest));
  const isWanted = ({ digest, artifactType }: Referrer): boolean =>
    digest > after &&
    // What comes after the page's end belongs to a later page.
    (own.next === undefined || digest <= own.next) &&
    !known.has(digest) &&
    (artifactTypes.length === 0 || (artifactType !== undefined && artifactTypes.includes(artifactType)));
  const all = [...own.referrers, ...upstream.filter(isWanted)].toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
  const referrers = all.slice(0, limit);
  const next = all.length > limit ? referrers.at(-1)?.digest : own.next;
  return { referrers, ...(next !== undefined && { next }) };
}
