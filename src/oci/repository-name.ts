/** Names of repositories: ECR's grammar, which is OCI's with a length. */
import { parsed, problem } from "#std/parsed.ts";
import type { Parsed } from "#std/parsed.ts";

/** A repository's name as ECR allows it, for example `team/app`. */
export type RepositoryName = string & { readonly __brand: "RepositoryName" };

const minLength = 2;
const maxLength = 256;

/**
 * Parses a repository name: 2 to 256 characters that match ECR's
 * `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*` as a whole. Reads each character once; there is no
 * regular expression that could backtrack.
 */
export function parseRepositoryName(text: string): Parsed<RepositoryName> {
  if (text.length < minLength || text.length > maxLength) return problem("a repository name has 2 to 256 characters");
  // Invariant: what stands before `runStart` is well-formed and ends in a letter or digit; from there on only separators were seen.
  let runStart = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (isSeparator(code)) continue;
    if (!isLetterOrDigit(code)) return problem("a repository name consists of a-z, 0-9, '.', '_', '-' and '/'");
    if (at > runStart && (runStart === 0 || !mayJoin(text, runStart, at))) return misplacedSeparator();
    runStart = at + 1;
  }
  return runStart === text.length ? parsed(text as RepositoryName) : misplacedSeparator();
}

function misplacedSeparator(): Parsed<never> {
  return problem("the parts of a repository name begin and end with a-z or 0-9 and are joined by '/', '.', '_', '__' or hyphens");
}

function isLetterOrDigit(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39);
}

function isSeparator(code: number): boolean {
  return code === 0x2d || code === 0x2e || code === 0x2f || code === 0x5f;
}

/** May these separators stand between two letters? One of any kind, two underscores, or any number of hyphens. */
function mayJoin(text: string, start: number, end: number): boolean {
  if (end - start === 1) return true;
  if (end - start === 2 && text[start] === "_" && text[start + 1] === "_") return true;
  for (let at = start; at < end; at++) if (text[at] !== "-") return false;
  return true;
}
