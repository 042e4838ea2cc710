/** Tags: the names that move (OCI distribution specification, "Pulling manifests"). */
import { parsed, problem } from "#std/parsed.ts";
import type { Parsed } from "#std/parsed.ts";

/** A tag, for example `latest`. */
export type Tag = string & { readonly __brand: "Tag" };

const maxLength = 128;
/** One character class without alternatives: it cannot backtrack. */
const grammar = /^\w[\w.-]*$/;

/** Parses a tag: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`. */
export function parseTag(text: string): Parsed<Tag> {
  if (text.length === 0 || text.length > maxLength) return problem("a tag has 1 to 128 characters");
  if (!grammar.test(text)) return problem("a tag consists of A-Z, a-z, 0-9, '_', '.' and '-', and does not begin with '.' or '-'");
  return parsed(text as Tag);
}
