/** Reading the parts of a SigV4 claim out of text: the Authorization header, the credential, the date. Problems are in AWS's words. */
import { createHash } from "node:crypto";
import { parsed, problem, type Parsed } from "#std/parsed.ts";
import { signatureAlgorithm } from "./sigv4-canonical.ts";

/** What a claim says in either form. */
export interface ClaimTexts {
  readonly credential: string;
  readonly signedHeaders: string;
  readonly signature: string;
}

/** A credential taken apart. */
export interface Credential {
  readonly accessKeyId: string;
  readonly scopeDate: string;
  readonly region: string;
  readonly service: string;
  readonly terminator: string;
}

/** Shortens text of the client that an error message repeats. */
export function quoted(text: string): string {
  return text.length <= 200 ? `'${text}'` : `'${text.slice(0, 200)}…'`;
}

/** Messages name the header by its hash, as AWS's do: the header itself is good for 15 minutes in the hands of whoever reads the message. */
function headerHash(header: string): string {
  return createHash("sha256").update(header, "latin1").digest("base64");
}

/** Takes the Authorization header apart. `hasDate` says whether the request has one of the date headers, which the same message speaks of. */
export function parseAuthorization(header: string, hasDate: boolean): Parsed<ClaimTexts> {
  const algorithm = /^[^ ]*/.exec(header)?.[0] ?? "";
  if (algorithm !== signatureAlgorithm) {
    return problem(`Unsupported AWS 'algorithm': ${quoted(algorithm)}; this service takes '${signatureAlgorithm}'.`);
  }
  const parts = new Map<string, string>();
  const rest = header.slice(algorithm.length).trim();
  for (const item of rest === "" ? [] : rest.split(",")) {
    const part = item.trim();
    const equals = part.indexOf("=");
    if (equals < 0) {
      return problem(
        `${quoted(part)} not a valid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '${headerHash(header)}'.`,
      );
    }
    const name = part.slice(0, equals);
    if (parts.has(name)) return problem(`Authorization header has more than one ${quoted(name)} parameter.`);
    parts.set(name, part.slice(equals + 1));
  }
  const missing = ["Credential", "Signature", "SignedHeaders"].filter((name) => (parts.get(name) ?? "") === "");
  const sentences = missing.map((name) => `Authorization header requires '${name}' parameter.`);
  if (!hasDate) sentences.push("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.");
  if (sentences.length > 0) {
    return problem(`${sentences.join(" ")} (Hashed with SHA-256 and encoded with Base64) Authorization=${headerHash(header)}`);
  }
  const text = (name: string): string => parts.get(name) ?? "";
  return parsed({ credential: text("Credential"), signedHeaders: text("SignedHeaders"), signature: text("Signature") });
}

/** Takes a credential apart: `accessKeyId/date/region/service/terminator`. No part may be empty. */
export function parseCredential(text: string): Parsed<Credential> {
  const parts = text.split("/");
  const [accessKeyId = "", scopeDate = "", region = "", service = "", terminator = ""] = parts;
  if (parts.length !== 5 || parts.includes("")) {
    return problem(`Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got ${quoted(text)}.`);
  }
  if (!/^[!-~]{1,128}$/.test(accessKeyId)) return problem("The access key id in Credential is not an access key id.");
  return parsed({ accessKeyId, scopeDate, region, service, terminator });
}

/** The list of signed headers: lower-case header names in byte order, none of them twice. */
export function parseSignedHeaders(text: string): Parsed<readonly string[]> {
  const names = text.split(";");
  const isOrdered = names.every((name, index) => index === 0 || (names[index - 1] ?? "") < name);
  if (!isOrdered || !names.every((name) => /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name))) {
    return problem(`SignedHeaders must be lower-case header names in order and without repetition, separated by ';'. Got ${quoted(text)}.`);
  }
  return parsed(names);
}

/** A moment as both sides write it into the string to sign, and as milliseconds since the epoch. */
export interface ClaimDate {
  readonly amzDate: string;
  readonly timestamp: number;
}

/** Reads `YYYYMMDDTHHMMSSZ`. */
export function parseAmzDate(text: string): Parsed<ClaimDate> {
  const digits = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  if (digits !== null) {
    const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = digits.slice(1).map(Number);
    const timestamp = Date.UTC(year, month - 1, day, hour, minute, second);
    // A day that the month lacks would silently become another day.
    if (formatAmzDate(timestamp) === text) return parsed({ amzDate: text, timestamp });
  }
  return problem(`Date must be in ISO-8601 'basic format'. Got ${quoted(text)}. See http://en.wikipedia.org/wiki/ISO_8601`);
}

/** Reads the `Date` header of clients that send no `X-Amz-Date`: the form of RFC 9110 (IMF-fixdate), or the ISO basic format. */
export function parseDateHeader(text: string): Parsed<ClaimDate> {
  const isHttpDate = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text);
  const timestamp = isHttpDate ? Date.parse(text) : Number.NaN;
  return Number.isNaN(timestamp) ? parseAmzDate(text) : parsed({ amzDate: formatAmzDate(timestamp), timestamp });
}

/** Writes milliseconds since the epoch as `YYYYMMDDTHHMMSSZ`; a fraction of a second is dropped. */
export function formatAmzDate(timestamp: number): string {
  return new Date(timestamp).toISOString().replace(/[-:]|\.\d+/g, "");
}
