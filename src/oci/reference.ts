/** References: what stands behind `/manifests/` in a path, a tag or a digest. */
import { parsed } from "#std/parsed.ts";
import type { Parsed } from "#std/parsed.ts";
import { parseDigest } from "./digest.ts";
import type { Digest } from "./digest.ts";
import { parseTag } from "./tag.ts";
import type { Tag } from "./tag.ts";

/** Names a manifest inside a repository. */
export type Reference = { readonly kind: "tag"; readonly tag: Tag } | { readonly kind: "digest"; readonly digest: Digest };

/** Parses a reference. No tag holds a colon and every digest does, so a text with one is meant as a digest and is never tried as a tag. */
export function parseReference(text: string): Parsed<Reference> {
  if (text.includes(":")) {
    const digest = parseDigest(text);
    return digest.ok ? parsed({ kind: "digest", digest: digest.value }) : digest;
  }
  const tag = parseTag(text);
  return tag.ok ? parsed({ kind: "tag", tag: tag.value }) : tag;
}
