import { strict as assert } from "node:assert";
import { suite, test } from "node:test";
import recorded from "./testdata/recorded-requests.json" with { type: "json" };
import {
  addHeaders,
  body,
  call,
  options,
  refuses,
  secretAccessKey,
  sha256,
  signedCall,
  verify,
  withHeader,
  now,
} from "./testdata/signed-call.ts";
import { emptyBodySha256, presign, signRequest } from "./sigv4-signer.ts";
import { AuthFault, deriveSigningKey, expectedSignature, readSignatureClaim, signaturesEqual, type RequestFacts } from "./sigv4.ts";

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
  const targets = [
    "/a%20b",
    "/a%2Fb/c",
    "/?a=+",
    "/?a=%2B",
    "/?a",
    "/?a=&a=b&a=",
    "/?%61=b",
    "/?a=%zz",
    "/?a=%c3%a9",
    "/a//b/../c/",
    "/?a=b=c",
  ];
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
    text
      .split("")
      .flatMap((_, at) => flips.map((flip) => text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ flip) + text.slice(at + 1)));

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
