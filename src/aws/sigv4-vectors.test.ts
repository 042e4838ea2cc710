/** The official suite of awslabs/aws-c-auth, through our signer and our verifier. */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { test } from "node:test";
import vectors from "./testdata/sigv4-vectors.json" with { type: "json" };
import type { RequestFacts } from "./sigv4-canonical.ts";
import { presign, signRequest, type SigningOptions } from "./sigv4-signer.ts";
import {
  AuthFault,
  bodyHashMatches,
  checkClaim,
  deriveSigningKey,
  expectedSignature,
  readSignatureClaim,
  signaturesEqual,
} from "./sigv4.ts";

type Vector = (typeof vectors.cases)[number];

/** The wire carries bytes; the suite has characters. */
const bytes = (text: string): string => Buffer.from(text, "utf8").toString("latin1");
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

function requestOf(vector: Vector): RequestFacts {
  return { method: vector.method, target: bytes(vector.target), rawHeaders: vector.headers.flat() };
}

function optionsOf(vector: Vector): SigningOptions {
  const { sessionToken } = vector;
  return {
    // Where the suite adds the token after signing, the signature is that of a request without it.
    credentials: { ...vectors.credentials, ...(sessionToken === null || vector.omitSessionToken === true ? {} : { sessionToken }) },
    region: vector.region,
    service: vector.service,
    now: Date.parse(vector.timestamp),
    bodySha256: sha256(vector.body),
    declareBody: vector.signBody,
    normalizePath: vector.normalizePath,
  };
}

/** Verifies as a server does, and answers the claim. */
function verify(request: RequestFacts, vector: Vector, now: number): void {
  const claim = readSignatureClaim(request);
  checkClaim(claim, { now, regions: new Set([vector.region]), services: [vector.service] });
  const key = deriveSigningKey(vectors.credentials.secretAccessKey, claim.scopeDate, claim.region, claim.service);
  const bodySha256 = sha256(vector.body);
  const expected = expectedSignature(request, claim, bodySha256, key, { normalizePath: vector.normalizePath });
  assert.ok(signaturesEqual(expected, claim.signature));
  assert.ok(bodyHashMatches(claim, bodySha256));
}

test("the suite is whole", () => {
  assert.equal(vectors.cases.length, 38);
});

for (const vector of vectors.cases) {
  test(`header signature: ${vector.name}`, () => {
    const request = requestOf(vector);
    const rawHeaders = signRequest(request, optionsOf(vector));
    assert.match(rawHeaders.at(-1) ?? "", new RegExp(`Signature=${vector.headerSignature}$`));
    verify({ ...request, rawHeaders }, vector, Date.parse(vector.timestamp));
  });

  test(`query signature: ${vector.name}`, () => {
    const request = requestOf(vector);
    const target = presign(request, { ...optionsOf(vector), expiresSeconds: vector.expiresSeconds });
    assert.match(target, new RegExp(`X-Amz-Signature=${vector.querySignature}$`));
    verify({ ...request, target }, vector, Date.parse(vector.timestamp) + vector.expiresSeconds * 1000);
  });

  if (vector.omitSessionToken === true) {
    test(`a token that is added after signing is refused: ${vector.name}`, () => {
      const request = requestOf(vector);
      const token = vector.sessionToken ?? "";
      const rawHeaders = [...signRequest(request, optionsOf(vector)), "X-Amz-Security-Token", token];
      assert.throws(() => readSignatureClaim({ ...request, rawHeaders }), AuthFault);
      const target = `${presign(request, { ...optionsOf(vector), expiresSeconds: 3600 })}&X-Amz-Security-Token=${encodeURIComponent(token)}`;
      assert.throws(() => verify({ ...request, target }, vector, Date.parse(vector.timestamp)), assert.AssertionError);
    });
  }
}
