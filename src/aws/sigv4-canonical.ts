/**
 * The canonical request of Signature Version 4: the one text that client and server must both arrive at.
 * All text here is bytes, one character each (latin1), as Node hands over request lines and header values: what a client signed
 * are the bytes it sent, and decoding them to characters would lose some.
 */
import { createHash } from "node:crypto";
import { assert } from "#std/assert.ts";

/** What a signature covers of a request, besides its body. Every character stands for one byte. */
export interface RequestFacts {
  readonly method: string;
  /** Path and query exactly as on the request line. */
  readonly target: string;
  /** Names and values in turn, as Node's `rawHeaders` has them. */
  readonly rawHeaders: readonly string[];
}

/** Header values by lower-case name, in the order of arrival. */
export type HeaderValues = ReadonlyMap<string, readonly string[]>;

/** Groups the headers of a request by name. */
export function headerValues(rawHeaders: readonly string[]): HeaderValues {
  const values = new Map<string, string[]>();
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? "").toLowerCase();
    const value = rawHeaders[index + 1] ?? "";
    const others = values.get(name);
    if (others === undefined) values.set(name, [value]);
    else others.push(value);
  }
  return values;
}

/** Splits a request target at its first question mark. */
export function splitTarget(target: string): { readonly path: string; readonly query: string } {
  const mark = target.indexOf("?");
  return mark < 0 ? { path: target, query: "" } : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

/** The decoded parameters of a raw query, in order. A plus sign is a plus sign: only forms write blanks so. */
export function queryParameters(query: string): (readonly [name: string, value: string])[] {
  return query
    .split("&")
    .filter((item) => item !== "")
    .map((item) => {
      const equals = item.indexOf("=");
      return equals < 0 ? [decodePercent(item), ""] : [decodePercent(item.slice(0, equals)), decodePercent(item.slice(equals + 1))];
    });
}

/** Which parts of a request a canonical request is made of. */
export interface CanonicalParts {
  readonly signedHeaders: readonly string[];
  readonly payloadHash: string;
  /** Whether dot segments and repeated slashes go; all services but S3 do so. */
  readonly normalizePath: boolean;
}

/** The canonical request. */
export function canonicalRequest(request: RequestFacts, parts: CanonicalParts): string {
  const { path, query } = splitTarget(request.target);
  const values = headerValues(request.rawHeaders);
  const headerLines = parts.signedHeaders.map((name) => `${name}:${canonicalHeaderValue(values.get(name) ?? [])}\n`).join("");
  const lines = [
    request.method,
    canonicalPath(path, parts.normalizePath),
    canonicalQuery(query),
    headerLines,
    parts.signedHeaders.join(";"),
    parts.payloadHash,
  ];
  return lines.join("\n");
}

/** The string to sign for a canonical request; `scope` is `date/region/service/aws4_request`. */
export function stringToSign(canonical: string, amzDate: string, scope: string): string {
  // Beyond this, two texts would share their bytes.
  assert(!/[^\0-\xff]/.test(canonical), "a request to sign is given as bytes, one character each");
  return `${signatureAlgorithm}\n${amzDate}\n${scope}\n${createHash("sha256").update(canonical, "latin1").digest("hex")}`;
}

/** The only algorithm served; SigV4A's name is another. */
export const signatureAlgorithm = "AWS4-HMAC-SHA256";

/** Encodes everything but the unreserved characters of RFC 3986, byte by byte. */
export function encodePercent(text: string): string {
  return text.replace(/[^A-Za-z0-9\-_.~]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
}

function decodePercent(text: string): string {
  return text.includes("%") ? text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))) : text;
}

/** The path is encoded as it came, so what the client had encoded is encoded twice; S3 alone does without. */
function canonicalPath(path: string, normalize: boolean): string {
  if (path === "" || path === "/") return "/";
  // What does not begin with a slash is no path but a proxy's form; it stays as it is, and no signature matches it.
  return (normalize && path.startsWith("/") ? normalizedPath(path) : path).split("/").map(encodePercent).join("/");
}

function normalizedPath(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "..") kept.pop();
    else if (segment !== "" && segment !== ".") kept.push(segment);
  }
  return kept.length === 0 ? "/" : `/${kept.join("/")}${path.endsWith("/") ? "/" : ""}`;
}

function canonicalQuery(query: string): string {
  if (query === "") return "";
  return queryParameters(query)
    .filter(([name]) => name !== "X-Amz-Signature")
    .map(([name, value]) => [encodePercent(name), encodePercent(value)] as const)
    .toSorted(([leftName, leftValue], [rightName, rightValue]) => compareText(leftName, rightName) || compareText(leftValue, rightValue))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

/** Byte order: what is compared is ASCII. */
function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Repeated headers in the order of arrival; runs of blanks, and folded lines, become one blank. */
function canonicalHeaderValue(values: readonly string[]): string {
  return values.map((value) => value.replace(/[ \t\r\n]+/g, " ").replace(/^ | $/g, "")).join(",");
}
