/** A signed call of ECR, and what the tests of signatures do with one. */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { signRequest, type SigningOptions } from "../sigv4-signer.ts";
import {
  AuthFault,
  bodyHashMatches,
  checkClaim,
  deriveSigningKey,
  expectedSignature,
  readSignatureClaim,
  signaturesEqual,
  type AuthFaultCode,
  type RequestFacts,
  type SignatureClaim,
} from "../sigv4.ts";

/** The secret of every key here. */
export const secretAccessKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/** When the sample call is signed, in milliseconds since the epoch. */
export const now = Date.parse("2026-11-02T08:15:30Z");
const services = ["ecr", "sts"];
const regions: ReadonlySet<string> = new Set(["eu-west-1"]);
const knownKeys = new Set(["AKIDEXAMPLE", "ASIAEXAMPLE"]);
/** Lower-case hex SHA-256 of bytes that are one character each. */
export const sha256 = (bytes: string): string => createHash("sha256").update(bytes, "latin1").digest("hex");

/** Verifies as a server does; throws AuthFault. */
export function verify(request: RequestFacts, body: string, at = now): SignatureClaim {
  const claim = readSignatureClaim(request);
  checkClaim(claim, { now: at, regions, services });
  if (!knownKeys.has(claim.accessKeyId)) throw new AuthFault("unrecognized-client");
  const key = deriveSigningKey(secretAccessKey, claim.scopeDate, claim.region, claim.service);
  const expected = expectedSignature(request, claim, sha256(body), key);
  if (!signaturesEqual(expected, claim.signature)) throw new AuthFault("invalid-signature");
  if (!bodyHashMatches(claim, sha256(body))) throw new AuthFault("invalid-signature");
  return claim;
}

/** The body of the sample call. */
export const body = '{"repositoryNames":["shop/web"]}';
/** How the sample call is signed. */
export const options: SigningOptions = {
  credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey },
  region: "eu-west-1",
  service: "ecr",
  now,
  bodySha256: sha256(body),
};
/** The sample call, unsigned. */
export const call: RequestFacts = {
  method: "POST",
  target: "/",
  rawHeaders: [
    "Host",
    "localhost:4600",
    "Content-Type",
    "application/x-amz-json-1.1",
    "X-Amz-Target",
    "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories",
  ],
};
/** The sample call, or another, signed with some options changed. */
export const signedCall = (changes: Partial<SigningOptions> = {}, request = call): RequestFacts => ({
  ...request,
  rawHeaders: signRequest(request, { ...options, ...changes }),
});

/** Replaces the value of a header. */
export function withHeader(request: RequestFacts, name: string, change: (value: string) => string): RequestFacts {
  const isValue = (index: number): boolean => index % 2 === 1 && request.rawHeaders[index - 1]?.toLowerCase() === name;
  return { ...request, rawHeaders: request.rawHeaders.map((text, index) => (isValue(index) ? change(text) : text)) };
}

/** Takes a header away. */
export function withoutHeader(request: RequestFacts, name: string): RequestFacts {
  const pairs = request.rawHeaders.flatMap((text, index) =>
    index % 2 === 0 ? [[text, request.rawHeaders[index + 1] ?? ""] as const] : [],
  );
  return { ...request, rawHeaders: pairs.filter(([header]) => header.toLowerCase() !== name).flat() };
}

/** Adds headers: names and values in turn. */
export const addHeaders = (request: RequestFacts, ...added: string[]): RequestFacts => ({
  ...request,
  rawHeaders: [...request.rawHeaders, ...added],
});

/** Asserts that `run` throws an AuthFault of that code and message. */
export function refuses(run: () => unknown, code: AuthFaultCode, message?: string | RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof AuthFault, String(error));
    assert.equal(error.code, code, error.message);
    if (typeof message === "string") assert.equal(error.message, message);
    else if (message !== undefined) assert.match(error.message, message);
    return true;
  });
}
