/** Pages of listings: `n` says how many, `last` where the page before ended, `Link` where the next one is (RFC 5988). */
import { refuse } from "#registry/errors.ts";
import { OciFault } from "./errors.ts";

/** What a listing was asked for. */
export interface PageQuery {
  /** 0 asks for nothing: an empty page without a link. */
  readonly limit: number;
  readonly after: string | undefined;
}

/** The most that one page holds; asking for more is no error, the link leads on. */
const largestPage = 1_000;
const longestPosition = 512;

/** Reads `n` and `last`. Throws 400 for an `n` that is no count, and for a position that no listing can have handed out. */
export function readPageQuery(query: URLSearchParams, defaultLimit: number): PageQuery {
  const n = query.get("n");
  if (n !== null && !/^[0-9]{1,18}$/.test(n)) {
    throw new OciFault(
      400,
      "PAGINATION_NUMBER_INVALID",
      "Invalid parameter at 'n' failed to satisfy constraint: 'must be a number that is not negative'",
    );
  }
  const last = query.get("last");
  if (last !== null && (last.length > longestPosition || hasControls(last))) refuse("page-token-invalid", {});
  const limit = Math.min(n === null ? defaultLimit : Number(n), largestPage);
  return { limit, after: last === null || last === "" ? undefined : last };
}

/** The header that leads to the next page, with the query's other parameters kept. Relative, as Location is. */
export function nextPageHeaders(path: string, parameters: readonly (readonly [string, string])[]): string[] {
  const query = new URLSearchParams(parameters.map(([name, value]) => [name, value])).toString();
  return ["Link", `<${path}?${query}>; rel="next"`];
}

/** No tag, name or digest holds control characters, and Postgres takes no NUL in a text at all. */
function hasControls(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) < 32) return true;
  return false;
}
