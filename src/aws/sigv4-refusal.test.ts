import { strict as assert } from "node:assert";
import { suite, test } from "node:test";
import { presign } from "./sigv4-signer.ts";
import { readSignatureClaim, type AuthFaultCode, type RequestFacts } from "./sigv4.ts";
import { addHeaders, body, call, options, refuses, sha256, signedCall, verify, withHeader, withoutHeader } from "./testdata/signed-call.ts";

suite("what is refused", () => {
  const signed = signedCall();
  const presigned = (expiresSeconds = 900): RequestFacts => ({ ...call, target: presign(call, { ...options, expiresSeconds }) });
  const inAuthorization = (from: string | RegExp, to: string): RequestFacts =>
    withHeader(signed, "authorization", (text) => text.replace(from, to));
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
    [
      "no signature part",
      inAuthorization(/, Signature=.*/, ""),
      "incomplete",
      /^Authorization header requires 'Signature' parameter\. \(Hashed/,
    ],
    [
      "an empty part",
      inAuthorization(/SignedHeaders=[^,]*/, "SignedHeaders="),
      "incomplete",
      /^Authorization header requires 'SignedHeaders'/,
    ],
    [
      "no equal sign",
      inAuthorization("Credential=", "Credential"),
      "incomplete",
      /^'CredentialAKID.*not a valid key=value pair \(missing equal-sign\)/,
    ],
    ["a part twice", inAuthorization(/$/, ", Credential=a"), "incomplete", /more than one 'Credential'/],
    ["four elements", inAuthorization("/ecr/", "/"), "incomplete", /exactly 5 slash-delimited elements/],
    ["an empty element", inAuthorization("AKIDEXAMPLE", ""), "incomplete", /exactly 5 slash-delimited elements/],
    ["a key id with a blank", inAuthorization("AKIDEXAMPLE", "AKID EXAMPLE"), "incomplete", /not an access key id/],
    ["no date", withoutHeader(signed, "x-amz-date"), "incomplete", /either a 'X-Amz-Date' or a 'Date' header/],
    [
      "a date with milliseconds",
      withHeader(signed, "x-amz-date", () => "20261102T081530.000Z"),
      "incomplete",
      /^Date must be in ISO-8601 'basic format'\. Got '20261102T081530\.000Z'/,
    ],
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
    [
      "another region",
      signedCall({ region: "us-west-1" }),
      "invalid-signature",
      "Credential should be scoped to a valid Region, not 'us-west-1'. This server answers for 'eu-west-1'.",
    ],
    [
      "another service",
      signedCall({ service: "s3" }),
      "invalid-signature",
      "Credential should be scoped to correct service: 'ecr' or 'sts'.",
    ],
    ["another secret", signedCall({ credentials: { ...token, secretAccessKey: "x" } }), "invalid-signature", mismatch],
    ["upper-case hex", inAuthorization(/[0-9a-f]{64}$/, "A".repeat(64)), "invalid-signature", mismatch],
    ["a short signature", inAuthorization(/.$/, ""), "invalid-signature", mismatch],
    [
      "host unsigned",
      inAuthorization(";host", ""),
      "invalid-signature",
      "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization header.",
    ],
    [
      "date unsigned",
      inAuthorization(";x-amz-date", ""),
      "invalid-signature",
      "'x-amz-date' must be a 'SignedHeader' in the AWS Authorization header.",
    ],
    ["target unsigned", inAuthorization(";x-amz-target", ""), "invalid-signature", /'x-amz-target' must be/],
    ["content type unsigned", inAuthorization("content-type;", ""), "invalid-signature", /'content-type' must be/],
    [
      "content type added",
      addHeaders(signedCall({}, withoutHeader(call, "content-type")), "Content-Type", "text/plain"),
      "invalid-signature",
      /'content-type' must be/,
    ],
    ["x-amz-* added", addHeaders(signed, "X-Amz-Meta", "1"), "invalid-signature", /'x-amz-meta' must be/],
    ["token added", addHeaders(signed, "X-Amz-Security-Token", "t"), "invalid-signature", /'x-amz-security-token' must be/],
    [
      "a signed header taken away",
      withoutHeader(signedCall({}, addHeaders(call, "X-Amz-Meta", "")), "x-amz-meta"),
      "invalid-signature",
      "The signed header 'x-amz-meta' is not in the request.",
    ],
    ["signed headers out of order", inAuthorization("content-type;host", "host;content-type"), "incomplete", /^SignedHeaders must be/],
    ["a signed header twice", inAuthorization("host;", "host;host;"), "incomplete", /^SignedHeaders must be/],
    ["upper-case signed headers", inAuthorization("content-type;host", "Content-Type;host"), "incomplete", /^SignedHeaders must be/],
    [
      "UNSIGNED-PAYLOAD",
      signedCall({}, addHeaders(call, "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")),
      "invalid-signature",
      /not 'UNSIGNED-PAYLOAD'/,
    ],
    [
      "a streaming payload",
      signedCall({}, addHeaders(call, "X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")),
      "invalid-signature",
      /not 'STREAMING-/,
    ],
    [
      "upper-case body hash",
      signedCall({}, addHeaders(call, "X-Amz-Content-Sha256", sha256(body).toUpperCase())),
      "invalid-signature",
      /lower-case hex/,
    ],
    ["another body declared", signedCall({ declareBody: true, bodySha256: sha256("{}") }), "invalid-signature", mismatch],
    ["both forms", { ...presigned(), rawHeaders: signed.rawHeaders }, "incomplete", /not in both/],
    ["a query parameter added", { ...presigned(), target: `${presigned().target}&x=y` }, "invalid-signature", mismatch],
    [
      "a signature parameter twice",
      { ...presigned(), target: `${presigned().target}&X-Amz-Date=1` },
      "incomplete",
      /'X-Amz-Date' must not be repeated/,
    ],
    [
      "a signature parameter twice, encoded",
      { ...presigned(), target: `${presigned().target}&X-Amz-D%61te=1` },
      "incomplete",
      /must not be repeated/,
    ],
    [
      "no expiry",
      { ...presigned(), target: presigned().target.replace("X-Amz-Expires", "x") },
      "incomplete",
      /must include 'X-Amz-Expires'\. Re-examine/,
    ],
    ["no expiry left", presigned(0), "incomplete", /^X-Amz-Expires must be/],
    ["eight days", presigned(604_801), "incomplete", /^X-Amz-Expires must be/],
    ["half a second", presigned(0.5), "incomplete", /^X-Amz-Expires must be/],
    [
      "presigned by SigV4A",
      { ...presigned(), target: presigned().target.replace("HMAC", "ECDSA") },
      "incomplete",
      /^Unsupported AWS 'algorithm'/,
    ],
    ["presigned, token in a header", addHeaders(presigned(), "X-Amz-Security-Token", "t"), "incomplete", /security token there too/],
  ];
  for (const [name, request, code, message] of cases) {
    test(name, () => refuses(() => verify(request, body), code, message));
  }

  for (const name of [
    "Host",
    "X-Amz-Date",
    "X-Amz-Target",
    "Content-Type",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
    "Authorization",
  ]) {
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
