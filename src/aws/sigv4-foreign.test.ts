/** Requests signed by an independent implementation, the AWS SDK's own signer, must be what our verifier expects. */
import { strict as assert } from "node:assert";
import { createHash, createHmac, type Hash, type Hmac } from "node:crypto";
import { test } from "node:test";
import { SignatureV4 } from "@smithy/signature-v4";
import * as fc from "fast-check";
import { deriveSigningKey, expectedSignature, readSignatureClaim, signaturesEqual, type RequestFacts } from "./sigv4.ts";

class Sha256 {
  readonly #hash: Hash | Hmac;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash("sha256") : createHmac("sha256", secret as Buffer);
  }
  update(data: string | Uint8Array): void {
    this.#hash.update(data);
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
  reset(): void {}
}

const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" };
const signingDate = new Date("2026-11-02T08:15:30Z");

const asciiText = fc.string({ unit: fc.constantFrom(..."abzAZ09-_.~ !\"#$%&'()*+,/:;<=>?@[]^`{|}".split("")), maxLength: 12 });
const characters = fc.string({ unit: "grapheme", maxLength: 8 }).map((text) => text.toWellFormed());
const requests = fc.record({
  region: fc.constantFrom("eu-west-1", "us-gov-west-1"),
  service: fc.constantFrom("ecr", "sts"),
  token: fc.option(fc.base64String({ minLength: 4, maxLength: 40 }), { nil: undefined }),
  method: fc.constantFrom("GET", "POST", "PUT"),
  segments: fc.array(fc.oneof(asciiText, characters), { maxLength: 4 }),
  query: fc.dictionary(
    fc.oneof(asciiText, characters).filter((name) => name !== "__proto__" && !/^x-amz/i.test(name)),
    fc.oneof(asciiText, characters, fc.array(asciiText, { minLength: 1, maxLength: 3 })),
    { maxKeys: 4 },
  ),
  headers: fc.dictionary(
    fc.stringMatching(/^x-[a-z]{1,6}$/).filter((name) => name !== "x-amz"),
    asciiText,
    { maxKeys: 3 },
  ),
  body: fc.string({ maxLength: 20 }),
});

type Sample = typeof requests extends fc.Arbitrary<infer T> ? T : never;

const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);

/** The request as the SDK's signer takes it, with the path as it will be on the wire. */
function unsigned(sample: Sample) {
  return {
    method: sample.method,
    protocol: "http:",
    hostname: "localhost",
    port: 4600,
    path: `/${sample.segments.map(encode).join("/")}`,
    query: { ...sample.query },
    headers: { host: "localhost:4600", "content-type": "text/plain", ...sample.headers },
    body: sample.body,
  };
}

function facts(signed: ReturnType<typeof unsigned>): RequestFacts {
  const items = Object.entries(signed.query).flatMap(([name, value]) => [value].flat().map((one) => `${encode(name)}=${encode(one)}`));
  const target = items.length === 0 ? signed.path : `${signed.path}?${items.join("&")}`;
  return { method: signed.method, target, rawHeaders: Object.entries(signed.headers).flat() };
}

function verifies(request: RequestFacts, body: string): boolean {
  const claim = readSignatureClaim(request);
  const key = deriveSigningKey(credentials.secretAccessKey, claim.scopeDate, claim.region, claim.service);
  const bodySha256 = createHash("sha256").update(body).digest("hex");
  return signaturesEqual(expectedSignature(request, claim, bodySha256, key), claim.signature);
}

function signer(sample: Sample): SignatureV4 {
  const sessionToken = sample.token === undefined ? {} : { sessionToken: sample.token };
  return new SignatureV4({
    credentials: { ...credentials, ...sessionToken },
    region: sample.region,
    service: sample.service,
    sha256: Sha256,
  });
}

test("requests that the AWS SDK signs in the header", async () => {
  const property = fc.asyncProperty(requests, async (sample) => {
    const signed = (await signer(sample).sign(unsigned(sample), { signingDate })) as ReturnType<typeof unsigned>;
    assert.ok(verifies(facts(signed), sample.body));
    assert.ok(!verifies({ ...facts(signed), method: "DELETE" }, sample.body));
  });
  await fc.assert(property, { numRuns: 150 });
});

test("requests that the AWS SDK presigns", async () => {
  const property = fc.asyncProperty(requests, async (sample) => {
    const presigned = await signer(sample).presign(unsigned(sample), {
      signingDate,
      expiresIn: 600,
      unhoistableHeaders: new Set(["x-amz-content-sha256"]),
      hoistableHeaders: new Set(),
    });
    assert.ok(verifies(facts(presigned as ReturnType<typeof unsigned>), sample.body));
  });
  await fc.assert(property, { numRuns: 150 });
});
