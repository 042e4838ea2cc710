/**
 * AWS Signature Version 4 over HTTP requests, the server's side: who a request says it is from, and whether that is so.
 * Pure: the caller looks keys up, hashes the body and knows the time. The client's side is in `sigv4-signer.ts`.
 * See the AWS IAM User Guide, "Signature Version 4 signing process".
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Parsed } from "#std/parsed.ts";
import {
  canonicalRequest,
  headerValues,
  queryParameters,
  signatureAlgorithm,
  splitTarget,
  stringToSign,
  type HeaderValues,
  type RequestFacts,
} from "./sigv4-canonical.ts";
import {
  formatAmzDate,
  parseAmzDate,
  parseAuthorization,
  parseCredential,
  parseDateHeader,
  parseSignedHeaders,
  quoted,
  type ClaimDate,
  type ClaimTexts,
} from "./sigv4-text.ts";

export type { RequestFacts } from "./sigv4-canonical.ts";

/** What can be wrong with a signature, as far as a client is told apart. */
export type AuthFaultCode = "missing" | "incomplete" | "invalid-signature" | "unrecognized-client" | "expired-token" | "request-expired";

const usualTexts: Readonly<Record<AuthFaultCode, string>> = {
  missing: "Missing Authentication Token",
  incomplete: "The request signature is incomplete.",
  "invalid-signature":
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
  "unrecognized-client": "The security token included in the request is invalid.",
  "expired-token": "The security token included in the request is expired",
  "request-expired": "Request has expired.",
};

/** A request that is not let in. The message is AWS's text, made for the client. */
export class AuthFault extends Error {
  override readonly name = "AuthFault";
  readonly code: AuthFaultCode;
  /** Without a message, AWS's usual one for the code. */
  constructor(code: AuthFaultCode, message: string = usualTexts[code]) {
    super(message);
    this.code = code;
  }
}

/** What a request says about its signature. Nothing of it is proven. */
export interface SignatureClaim {
  /** In the Authorization header, or in the query (presigned). */
  readonly form: "header" | "query";
  readonly accessKeyId: string;
  readonly scopeDate: string;
  readonly region: string;
  readonly service: string;
  /** Lower-case, in order, none twice; `host`, the date and whatever else has to be signed is among them. */
  readonly signedHeaders: readonly string[];
  /** 32 bytes. */
  readonly signature: Buffer;
  /** `YYYYMMDDTHHMMSSZ`. */
  readonly amzDate: string;
  /** The same moment in milliseconds since the epoch. */
  readonly timestamp: number;
  readonly sessionToken?: string;
  /** How long a presigned request is good for. */
  readonly expiresSeconds?: number;
  /** `x-amz-content-sha256`: 64 lower-case hex digits. */
  readonly declaredBodySha256?: string;
}

/** Headers that two parsers might read differently when they come twice. */
const singleHeaders = [
  "host",
  "authorization",
  "date",
  "content-type",
  "x-amz-date",
  "x-amz-target",
  "x-amz-content-sha256",
  "x-amz-security-token",
];

const maxPresignedSeconds = 604_800;
const clockSkewMs = 15 * 60_000;
const mostRegionsShown = 20;

/**
 * Reads the signature of a request. Throws AuthFault: `missing` without any, `incomplete` when it is malformed,
 * `invalid-signature` when it leaves out what has to be signed or cannot match.
 */
export function readSignatureClaim(request: RequestFacts): SignatureClaim {
  const headers = headerValues(request.rawHeaders);
  const parameters = signatureParameters(request.target);
  const isPresigned = hasSignatureParameters(parameters);
  const authorization = headers.get("authorization")?.[0];
  if (authorization === undefined && !isPresigned) throw new AuthFault("missing");
  for (const name of singleHeaders) {
    if ((headers.get(name)?.length ?? 0) > 1) throw new AuthFault("incomplete", `The header '${name}' must not be repeated.`);
  }
  if (authorization !== undefined && isPresigned) {
    throw new AuthFault("incomplete", "A request is signed in its Authorization header or in its query, not in both.");
  }
  return authorization === undefined ? readQueryClaim(parameters, headers) : readHeaderClaim(authorization, headers);
}

/** Tells whether a request has any part of a signature; one that has none may still be of the few operations that need none. */
export function carriesSignature(request: RequestFacts): boolean {
  return headerValues(request.rawHeaders).has("authorization") || hasSignatureParameters(signatureParameters(request.target));
}

function hasSignatureParameters(parameters: ReadonlyMap<string, string>): boolean {
  return ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"].some((name) => parameters.has(name));
}

function readHeaderClaim(authorization: string, headers: HeaderValues): SignatureClaim {
  const amzDate = headers.get("x-amz-date")?.[0];
  const date = headers.get("date")?.[0];
  const texts = take(parseAuthorization(authorization.trim(), amzDate !== undefined || date !== undefined));
  const moment = take(amzDate === undefined ? parseDateHeader((date ?? "").trim()) : parseAmzDate(amzDate.trim()));
  const mustSign = amzDate === undefined ? ["date"] : [];
  return makeClaim("header", texts, moment, headers, mustSign, headers.get("x-amz-security-token")?.[0]?.trim());
}

function readQueryClaim(parameters: ReadonlyMap<string, string>, headers: HeaderValues): SignatureClaim {
  const required = ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date", "X-Amz-Expires"];
  const missing = required.filter((name) => (parameters.get(name) ?? "") === "").map((name) => `'${name}'`);
  if (missing.length > 0) {
    throw new AuthFault(
      "incomplete",
      `AWS query-string parameters must include ${missing.join(", ")}. Re-examine the query-string parameters.`,
    );
  }
  const text = (name: string): string => parameters.get(name) ?? "";
  if (text("X-Amz-Algorithm") !== signatureAlgorithm) {
    throw new AuthFault("incomplete", `Unsupported AWS 'algorithm': ${quoted(text("X-Amz-Algorithm"))}.`);
  }
  const expires = text("X-Amz-Expires");
  const expiresSeconds = /^[1-9][0-9]{0,6}$/.test(expires) ? Number(expires) : Number.NaN;
  if (!(expiresSeconds <= maxPresignedSeconds)) {
    throw new AuthFault(
      "incomplete",
      `X-Amz-Expires must be a number of seconds from 1 to ${maxPresignedSeconds}. Got ${quoted(expires)}.`,
    );
  }
  const token = parameters.get("X-Amz-Security-Token");
  if (headers.has("x-amz-security-token")) {
    throw new AuthFault("incomplete", "A request that is signed in its query has its security token there too.");
  }
  const texts = { credential: text("X-Amz-Credential"), signedHeaders: text("X-Amz-SignedHeaders"), signature: text("X-Amz-Signature") };
  return { ...makeClaim("query", texts, take(parseAmzDate(text("X-Amz-Date"))), headers, [], token), expiresSeconds };
}

/** Signature parameters of the query by name; none may come twice. */
function signatureParameters(target: string): ReadonlyMap<string, string> {
  const { query } = splitTarget(target);
  const parameters = new Map<string, string>();
  if (query === "") return parameters;
  for (const [name, value] of queryParameters(query)) {
    if (!name.startsWith("X-Amz-")) continue;
    if (parameters.has(name)) throw new AuthFault("incomplete", `The query parameter ${quoted(name)} must not be repeated.`);
    parameters.set(name, value);
  }
  return parameters;
}

function makeClaim(
  form: SignatureClaim["form"],
  texts: ClaimTexts,
  date: ClaimDate,
  headers: HeaderValues,
  mustSign: readonly string[],
  sessionToken: string | undefined,
): SignatureClaim {
  const { accessKeyId, scopeDate, region, service, terminator } = take(parseCredential(texts.credential));
  const signedHeaders = take(parseSignedHeaders(texts.signedHeaders));
  if (terminator !== "aws4_request") {
    throw new AuthFault(
      "invalid-signature",
      `Credential should be scoped with a valid terminator: 'aws4_request', not ${quoted(terminator)}.`,
    );
  }
  checkSignedHeaders(signedHeaders, headers, mustSign);
  if (!/^[0-9a-f]{64}$/.test(texts.signature)) throw new AuthFault("invalid-signature");
  const declaredBodySha256 = headers.get("x-amz-content-sha256")?.[0]?.trim();
  // UNSIGNED-PAYLOAD and STREAMING-… leave the body open to whoever is in between; only S3 takes them.
  if (declaredBodySha256 !== undefined && !/^[0-9a-f]{64}$/.test(declaredBodySha256)) {
    throw new AuthFault(
      "invalid-signature",
      `The header 'x-amz-content-sha256' must be the SHA-256 of the request's body in lower-case hex, not ${quoted(declaredBodySha256)}.`,
    );
  }
  return {
    form,
    accessKeyId,
    scopeDate,
    region,
    service,
    signedHeaders,
    signature: Buffer.from(texts.signature, "hex"),
    ...date,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    ...(declaredBodySha256 === undefined ? {} : { declaredBodySha256 }),
  };
}

/** Nothing that has a meaning to us may be changed on the way: the host, the date, the target and the token above all. */
function checkSignedHeaders(signedHeaders: readonly string[], headers: HeaderValues, mustSign: readonly string[]): void {
  const signed = new Set(signedHeaders);
  const present = [...headers.keys()].filter((name) => name === "content-type" || name.startsWith("x-amz-"));
  for (const name of ["host", ...mustSign, ...present]) {
    if (!signed.has(name)) {
      const shown = name === "host" ? "'Host' or ':authority'" : `'${name}'`;
      throw new AuthFault("invalid-signature", `${shown} must be a 'SignedHeader' in the AWS Authorization header.`);
    }
  }
  const absent = signedHeaders.find((name) => !headers.has(name));
  if (absent !== undefined) throw new AuthFault("invalid-signature", `The signed header '${absent}' is not in the request.`);
}

/** What a claim is held against. */
export interface ClaimScope {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Those that are served. */
  readonly regions: ReadonlySet<string>;
  readonly services: readonly string[];
}

/** Checks what can be checked without a key: scope and time. Throws AuthFault `invalid-signature` or `request-expired`. */
export function checkClaim(claim: SignatureClaim, scope: ClaimScope): void {
  const { amzDate, timestamp } = claim;
  const day = amzDate.slice(0, 8);
  if (claim.scopeDate !== day) {
    throw new AuthFault(
      "invalid-signature",
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: ${quoted(claim.scopeDate)} != '${day}', from '${amzDate}'.`,
    );
  }
  if (!scope.regions.has(claim.region)) {
    throw new AuthFault("invalid-signature", wrongRegionText(claim.region, scope.regions));
  }
  if (!scope.services.includes(claim.service)) {
    const services = scope.services.map((service) => `'${service}'`).join(" or ");
    throw new AuthFault("invalid-signature", `Credential should be scoped to correct service: ${services}.`);
  }
  const now = formatAmzDate(scope.now);
  if (timestamp > scope.now + clockSkewMs) {
    const limit = formatAmzDate(scope.now + clockSkewMs);
    throw new AuthFault("invalid-signature", `Signature not yet current: ${amzDate} is still later than ${limit} (${now} + 15 min.)`);
  }
  if (claim.expiresSeconds !== undefined) {
    if (scope.now > timestamp + claim.expiresSeconds * 1000) throw new AuthFault("request-expired");
  } else if (timestamp < scope.now - clockSkewMs) {
    const limit = formatAmzDate(scope.now - clockSkewMs);
    throw new AuthFault("invalid-signature", `Signature expired: ${amzDate} is now earlier than ${limit} (${now} - 15 min.)`);
  }
}

/** AWS's sentence, and which regions would do: there are few here, and whoever has set up a client reads this. */
function wrongRegionText(region: string, served: ReadonlySet<string>): string {
  const names = [...served].slice(0, mostRegionsShown).map((name) => `'${name}'`);
  const more = served.size > names.length ? ", …" : "";
  return `Credential should be scoped to a valid Region, not ${quoted(region)}. This server answers for ${names.join(", ")}${more}.`;
}

/** The key that requests of one day, region and service are signed with. */
export function deriveSigningKey(secretAccessKey: string, scopeDate: string, region: string, service: string): Buffer {
  const hmac = (key: Buffer | string, text: string): Buffer => createHmac("sha256", key).update(text, "utf8").digest();
  return hmac(hmac(hmac(hmac(`AWS4${secretAccessKey}`, scopeDate), region), service), "aws4_request");
}

/**
 * The signature that the request would have if the holder of the signing key had made it, 32 bytes.
 * `bodySha256` is the hash of the bytes that came, in lower-case hex; a client that declared another one must be refused
 * whatever its signature: see {@link bodyHashMatches}.
 */
export function expectedSignature(
  request: RequestFacts,
  claim: Pick<SignatureClaim, "amzDate" | "scopeDate" | "region" | "service" | "signedHeaders" | "declaredBodySha256">,
  bodySha256: string,
  signingKey: Buffer,
  options: { readonly normalizePath?: boolean } = {},
): Buffer {
  const canonical = canonicalRequest(request, {
    signedHeaders: claim.signedHeaders,
    payloadHash: claim.declaredBodySha256 ?? bodySha256,
    normalizePath: options.normalizePath ?? true,
  });
  const scope = `${claim.scopeDate}/${claim.region}/${claim.service}/aws4_request`;
  return createHmac("sha256", signingKey)
    .update(stringToSign(canonical, claim.amzDate, scope), "latin1")
    .digest();
}

/** Compares two signatures in a time that does not tell where they differ. */
export function signaturesEqual(left: Uint8Array, right: Uint8Array): boolean {
  return left.byteLength === right.byteLength && timingSafeEqual(left, right);
}

/** Whether the body is the one that the request declared, if it declared one. A signature alone proves only the declaration. */
export function bodyHashMatches(claim: SignatureClaim, bodySha256: string): boolean {
  return claim.declaredBodySha256 === undefined || claim.declaredBodySha256 === bodySha256;
}

function take<T>(result: Parsed<T>): T {
  if (!result.ok) throw new AuthFault("incomplete", result.problem);
  return result.value;
}
