import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { suite, test } from "node:test";
import recorded from "./testdata/recorded-requests.json" with { type: "json" };
import { emptyBodySha256, presign, signRequest, type SigningOptions } from "./sigv4-signer.ts";
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
} from "./sigv4.ts";

const secretAccessKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const now = Date.parse("2026-11-02T08:15:30Z");
const services = ["ecr", "sts"];
const regionIsServed = (region: string): boolean => region === "eu-west-1";
const knownKeys = new Set(["AKIDEXAMPLE", "ASIAEXAMPLE"]);
const sha256 = (bytes: string): string => createHash("sha256").update(bytes, "latin1").digest("hex");

/** Verifies as a server does; throws AuthFault. */
function verify(request: RequestFacts, body: string, at = now): SignatureClaim {
  const claim = readSignatureClaim(request);
  checkClaim(claim, { now: at, regionIsServed, services });
  if (!knownKeys.has(claim.accessKeyId)) throw new AuthFault("unrecognized-client");
  const key = deriveSigningKey(secretAccessKey, claim.scopeDate, claim.region, claim.service);
  const expected = expectedSignature(request, claim, sha256(body), key);
  if (!signaturesEqual(expected, claim.signature)) throw new AuthFault("invalid-signature");
  if (!bodyHashMatches(claim, sha256(body))) throw new AuthFault("invalid-signature");
  return claim;
}

const body = '{"repositoryNames":["shop/web"]}';
const options: SigningOptions = {
  credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey },
  region: "eu-west-1",
  service: "ecr",
  now,
  bodySha256: sha256(body),
};
const call: RequestFacts = {
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
const signedCall = (changes: Partial<SigningOptions> = {}, request = call): RequestFacts => ({
  ...request,
  rawHeaders: signRequest(request, { ...options, ...changes }),
});

/** Replaces the value of a header. */
function withHeader(request: RequestFacts, name: string, change: (value: string) => string): RequestFacts {
  const isValue = (index: number): boolean => index % 2 === 1 && request.rawHeaders[index - 1]?.toLowerCase() === name;
  return { ...request, rawHeaders: request.rawHeaders.map((text, index) => (isValue(index) ? change(text) : text)) };
}

function withoutHeader(request: RequestFacts, name: string): RequestFacts {
  const pairs = request.rawHeaders.flatMap((text, index) => (index % 2 === 0 ? [[text, request.rawHeaders[index + 1] ?? ""] as const] : []));
  return { ...request, rawHeaders: pairs.filter(([header]) => header.toLowerCase() !== name).flat() };
}

const addHeaders = (request: RequestFacts, ...added: string[]): RequestFacts => ({ ...request, rawHeaders: [...request.rawHeaders, ...added] });

function refuses(run: () => unknown, code: AuthFaultCode, message?: string | RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof AuthFault, String(error));
    assert.equal(error.code, code, error.message);
    if (typeof message === "string") assert.equal(error.message, message);
    else if (message !== undefined) assert.match(error.message, message);
    return true;
  });
}

suite("requests of stock clients", () => {
  for (const request of recorded.requests) {
    test(request.client, () => {
      const facts = { ...request, rawHeaders: request.headers.flat() };
      const sentAt = readSignatureClaim(facts).timestamp;
      const claim = verify(facts, request.body, sentAt);
      assert.equal(claim.sessionToken, request.client.includes("session token") ? "FwoG//example+token==" : undefined);
      assert.equal(claim.region, "eu-west-1");
      refuses(() => verify(facts, `${request.body} `, sentAt), "invalid-signature");
    });
  }
});

suite("what is accepted", () => {
  const getOptions = { ...options, bodySha256: emptyBodySha256 };
  const get = (target: string): RequestFacts => ({ method: "GET", target, rawHeaders: ["Host", "localhost:4600"] });
  const targets = ["/a%20b", "/a%2Fb/c", "/?a=+", "/?a=%2B", "/?a", "/?a=&a=b&a=", "/?%61=b", "/?a=%zz", "/?a=%c3%a9", "/a//b/../c/", "/?a=b=c"];
  for (const target of targets) {
    test(`target ${target}`, () => {
      verify({ ...get(target), rawHeaders: signRequest(get(target), getOptions) }, "");
      verify({ ...get(target), target: presign(get(target), { ...getOptions, expiresSeconds: 60 }) }, "");
    });
  }

  test("an encoded path is encoded again, and a plus in a query is a plus", () => {
    const key = deriveSigningKey(secretAccessKey, "20261102", "eu-west-1", "ecr");
    const signatureOf = (target: string): string =>
      expectedSignature(
        get(target),
        { amzDate: "20261102T081530Z", scopeDate: "20261102", region: "eu-west-1", service: "ecr", signedHeaders: ["host"] },
        emptyBodySha256,
        key,
      ).toString("hex");
    assert.notEqual(signatureOf("/a%20b"), signatureOf("/a b"));
    assert.equal(signatureOf("/?a=+"), signatureOf("/?a=%2B"));
    assert.notEqual(signatureOf("/?a=+"), signatureOf("/?a=%20"));
    assert.equal(signatureOf("/?b=1&a=2"), signatureOf("/?a=2&b=1"));
    assert.notEqual(signatureOf("/."), signatureOf("."));
  });

  const values: readonly (readonly [string, string])[] = [
    ["empty", ""],
    ["a tab", "a\tb"],
    ["blanks", "  a \t b  "],
    ["bytes beyond ASCII", "caf\xc3\xa9"],
  ];
  for (const [name, value] of values) {
    test(`a signed header with ${name}`, () => {
      verify(signedCall({}, addHeaders(call, "X-Amz-Meta", value)), body);
    });
  }

  test("blanks in the Authorization header, or none", () => {
    const loose = (header: string): string => header.replaceAll(", ", " ,\t ");
    const tight = (header: string): string => header.replaceAll(", ", ",");
    verify(withHeader(signedCall(), "authorization", loose), body);
    verify(withHeader(signedCall(), "authorization", tight), body);
  });

  test("a Date header in place of X-Amz-Date", () => {
    const dates = ["Mon, 02 Nov 2026 08:15:30 GMT", "20261102T081530Z"];
    for (const date of dates) {
      const request = addHeaders(call, "Date", date);
      const claim = { amzDate: "20261102T081530Z", scopeDate: "20261102", region: "eu-west-1", service: "ecr" };
      const signedHeaders = ["content-type", "date", "host", "x-amz-target"];
      const key = deriveSigningKey(secretAccessKey, claim.scopeDate, claim.region, claim.service);
      const signature = expectedSignature(request, { ...claim, signedHeaders }, sha256(body), key).toString("hex");
      const authorization = `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261102/eu-west-1/ecr/aws4_request, SignedHeaders=${signedHeaders.join(";")}, Signature=${signature}`;
      verify(addHeaders(request, "Authorization", authorization), body);
      const unsigned = authorization.replace("date;", "");
      refuses(() => verify(addHeaders(request, "Authorization", unsigned), body), "invalid-signature", /'date' must be a 'SignedHeader'/);
    }
  });

  test("an unsigned header without meaning to a signature", () => {
    verify(addHeaders(signedCall(), "amz-sdk-invocation-id", "1", "X-Amzn-Trace-Id", "Root=1", "User-Agent", "curl"), body);
  });
});

suite("single changed bytes are refused", () => {
  const flips = [1, 2, 32];
  const changesOf = (text: string): string[] =>
    [...text].flatMap((_, at) =>
      flips.map((flip) => text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ flip) + text.slice(at + 1)),
    );

  for (const [form, request] of [
    ["header", signedCall({ credentials: { ...options.credentials, sessionToken: "FwoG//token" } })],
    ["header, body declared", signedCall({ declareBody: true })],
    ["query", { ...call, target: presign({ ...call, target: "/?a=b%2F" }, { ...options, expiresSeconds: 900 }) }],
  ] as const) {
    test(form, () => {
      verify(request, body);
      const fails = (changed: RequestFacts, changedBody: string, what: string): void => {
        assert.throws(() => verify(changed, changedBody), AuthFault, what);
      };
      for (const text of changesOf(body)) fails(request, text, text);
      for (const method of changesOf(request.method)) fails({ ...request, method }, body, method);
      for (const target of changesOf(request.target)) {
        // %2F and %2f are one byte.
        if (target.replace(/%../g, (hex) => hex.toUpperCase()) !== request.target) fails({ ...request, target }, body, target);
      }
      request.rawHeaders.forEach((text, index) => {
        for (const changed of changesOf(text)) {
          const isSameName = index % 2 === 0 && changed.toLowerCase() === text.toLowerCase();
          if (!isSameName) fails({ ...request, rawHeaders: request.rawHeaders.with(index, changed) }, body, changed);
        }
      });
    });
  }
});

suite("what is refused", () => {
  const signed = signedCall();
  const presigned = (expiresSeconds = 900): RequestFacts => ({ ...call, target: presign(call, { ...options, expiresSeconds }) });
  const inAuthorization = (from: string | RegExp, to: string): RequestFacts => withHeader(signed, "authorization", (text) => text.replace(from, to));
  const token = { ...options.credentials, sessionToken: "FwoG//token" };
  const mismatch =
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

  const cases: readonly (readonly [name: string, request: RequestFacts, code: AuthFaultCode, message: string | RegExp])[] = [
    ["no signature", call, "missing", "Missing Authentication Token"],
    ["another scheme", addHeaders(call, "Authorization", "Basic QVdTOng="), "incomplete", /^Unsupported AWS 'algorithm': 'Basic'/],
    ["SigV4A", inAuthorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), "incomplete", /^Unsupported AWS 'algorithm'/],
    [
      "nothing but the algorithm",
      addHeaders(call, "Authorization", "AWS4-HMAC-SHA256"),
      "incomplete",
      /^Authorization header requires 'Credential' parameter\. Authorization header requires 'Signature' parameter\. Authorization header requires 'SignedHeaders' parameter\. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header\. /,
    ],
    ["no signature part", inAuthorization(/, Signature=.*/, ""), "incomplete", /^Authorization header requires 'Signature' parameter\. \(Hashed/],
    ["an empty part", inAuthorization(/SignedHeaders=[^,]*/, "SignedHeaders="), "incomplete", /^Authorization header requires 'SignedHeaders'/],
    ["no equal sign", inAuthorization("Credential=", "Credential"), "incomplete", /^'CredentialAKID.*not a valid key=value pair \(missing equal-sign\)/],
    ["a part twice", inAuthorization(/$/, ", Credential=a"), "incomplete", /more than one 'Credential'/],
    ["four elements", inAuthorization("/ecr/", "/"), "incomplete", /exactly 5 slash-delimited elements/],
    ["an empty element", inAuthorization("AKIDEXAMPLE", ""), "incomplete", /exactly 5 slash-delimited elements/],
    ["a key id with a blank", inAuthorization("AKIDEXAMPLE", "AKID EXAMPLE"), "incomplete", /not an access key id/],
    ["no date", withoutHeader(signed, "x-amz-date"), "incomplete", /either a 'X-Amz-Date' or a 'Date' header/],
    ["a date with milliseconds", withHeader(signed, "x-amz-date", () => "20261102T081530.000Z"), "incomplete", /^Date must be in ISO-8601 'basic format'\. Got '20261102T081530\.000Z'/],
    ["a day that is none", withHeader(signed, "x-amz-date", () => "20260230T081530Z"), "incomplete", /^Date must be in ISO-8601/],
    [
      "a terminator of one's own",
      inAuthorization("aws4_request", "aws5_request"),
      "invalid-signature",
      "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'.",
    ],
    [
      "another day",
      inAuthorization("/20261102/", "/20261101/"),
      "invalid-signature",
      "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20261101' != '20261102', from '20261102T081530Z'.",
    ],
    ["another region", signedCall({ region: "us-west-1" }), "invalid-signature", "Credential should be scoped to a valid Region, not 'us-west-1'."],
    ["another service", signedCall({ service: "s3" }), "invalid-signature", "Credential should be scoped to correct service: 'ecr' or 'sts'."],
    ["another secret", signedCall({ credentials: { ...token, secretAccessKey: "x" } }), "invalid-signature", mismatch],
    ["upper-case hex", inAuthorization(/[0-9a-f]{64}$/, "A".repeat(64)), "invalid-signature", mismatch],
    ["a short signature", inAuthorization(/.$/, ""), "invalid-signature", mismatch],
    ["host unsigned", inAuthorization(";host", ""), "invalid-signature", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization header."],
    ["date unsigned", inAuthorization(";x-amz-date", ""), "invalid-signature", "'x-amz-date' must be a 'SignedHeader' in the AWS Authorization header."],
    ["target unsigned", inAuthorization(";x-amz-target", ""), "invalid-signature", /'x-amz-target' must be/],
    ["content type unsigned", inAuthorization("content-type;", ""), "invalid-signature", /'content-type' must be/],
    ["content type added", addHeaders(signedCall({}, withoutHeader(call, "content-type")), "Content-Type", "text/plain"), "invalid-signature", /'content-type' must be/],
    ["x-amz-* added", addHeaders(signed, "X-Amz-Meta", "1"), "invalid-signature", /'x-amz-meta' must be/],
    ["token added", addHeaders(signed, "X-Amz-Security-Token", "t"), "invalid-signature", /'x-amz-security-token' must be/],
    ["a signed header taken away", withoutHeader(signedCall({}, addHeaders(call, "X-Amz-Meta", "")), "x-amz-meta"), "invalid-signature", "The signed header 'x-amz-meta' is not in the request."],
    ["signed headers out of order", inAuthorization("content-type;host", "host;content-type"), "incomplete", /^SignedHeaders must be/],
    ["a signed header twice", inAuthorization("host;", "host;host;"), "incomplete", /^SignedHeaders must be/],
    ["upper-case signed headers", inAuthorization("content-type;host", "Content-Type;host"), "incomplete", /^SignedHeaders must be/],
    ["UNSIGNED-PAYLOAD", signedCall({}, addHeaders(call, "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")), "invalid-signature", /not 'UNSIGNED-PAYLOAD'/],
    [
      "a streaming payload",
      signedCall({}, addHeaders(call, "X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")),
      "invalid-signature",
      /not 'STREAMING-/,
    ],
    ["upper-case body hash", signedCall({}, addHeaders(call, "X-Amz-Content-Sha256", sha256(body).toUpperCase())), "invalid-signature", /lower-case hex/],
    ["another body declared", signedCall({ declareBody: true, bodySha256: sha256("{}") }), "invalid-signature", mismatch],
    ["both forms", { ...presigned(), rawHeaders: signed.rawHeaders }, "incomplete", /not in both/],
    ["a query parameter added", { ...presigned(), target: `${presigned().target}&x=y` }, "invalid-signature", mismatch],
    ["a signature parameter twice", { ...presigned(), target: `${presigned().target}&X-Amz-Date=1` }, "incomplete", /'X-Amz-Date' must not be repeated/],
    ["a signature parameter twice, encoded", { ...presigned(), target: `${presigned().target}&X-Amz-D%61te=1` }, "incomplete", /must not be repeated/],
    ["no expiry", { ...presigned(), target: presigned().target.replace("X-Amz-Expires", "x") }, "incomplete", /must include 'X-Amz-Expires'\. Re-examine/],
    ["no expiry left", presigned(0), "incomplete", /^X-Amz-Expires must be/],
    ["eight days", presigned(604_801), "incomplete", /^X-Amz-Expires must be/],
    ["half a second", presigned(0.5), "incomplete", /^X-Amz-Expires must be/],
    ["presigned by SigV4A", { ...presigned(), target: presigned().target.replace("HMAC", "ECDSA") }, "incomplete", /^Unsupported AWS 'algorithm'/],
    ["presigned, token in a header", addHeaders(presigned(), "X-Amz-Security-Token", "t"), "incomplete", /security token there too/],
  ];
  for (const [name, request, code, message] of cases) {
    test(name, () => refuses(() => verify(request, body), code, message));
  }

  for (const name of ["Host", "X-Amz-Date", "X-Amz-Target", "Content-Type", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "Authorization"]) {
    test(`${name} twice`, () => {
      const request = signedCall({ credentials: token, declareBody: true });
      const index = request.rawHeaders.indexOf(name);
      const again = addHeaders(request, name.toUpperCase(), request.rawHeaders[index + 1] ?? "");
      refuses(() => verify(again, body), "incomplete", `The header '${name.toLowerCase()}' must not be repeated.`);
    });
  }

  test("a message never holds the Authorization header", () => {
    const request = inAuthorization("SignedHeaders=", "SignedHeaders");
    const signature = /Signature=([0-9a-f]{64})/.exec(signed.rawHeaders.at(-1) ?? "")?.[1] ?? "";
    assert.throws(
      () => readSignatureClaim(request),
      (error) => error instanceof Error && signature !== "" && !error.message.includes(signature),
    );
  });
});

suite("the clock", () => {
  const minute = 60_000;
  const presigned: RequestFacts = { ...call, target: presign(call, { ...options, expiresSeconds: 3600 }) };
  const expired = "Signature expired: 20261102T081530Z is now earlier than 20261102T081531Z (20261102T083031Z - 15 min.)";
  const early = "Signature not yet current: 20261102T081530Z is still later than 20261102T081529Z (20261102T080029Z + 15 min.)";

  test("15 minutes either way", () => {
    verify(signedCall(), body, now + 15 * minute);
    verify(signedCall(), body, now - 15 * minute);
    refuses(() => verify(signedCall(), body, now + 15 * minute + 1000), "invalid-signature", expired);
    refuses(() => verify(signedCall(), body, now - 15 * minute - 1000), "invalid-signature", early);
  });

  test("a presigned request until it expires, and not before its time", () => {
    verify(presigned, body, now + 60 * minute);
    verify(presigned, body, now - 15 * minute);
    refuses(() => verify(presigned, body, now + 60 * minute + 1), "request-expired", "Request has expired.");
    refuses(() => verify(presigned, body, now - 15 * minute - 1000), "invalid-signature", early);
  });
});

test("signatures of other lengths are not equal", () => {
  assert.equal(signaturesEqual(Buffer.alloc(32), Buffer.alloc(32)), true);
  assert.equal(signaturesEqual(Buffer.alloc(32), Buffer.alloc(31)), false);
  assert.equal(signaturesEqual(Buffer.alloc(32), Buffer.alloc(32, 1)), false);
});
