/** Credentials that are missing, forged, expired, of elsewhere or for something else: refused on every door, before anything is written. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { sealToken } from "#access/token.ts";
import { resetRootKey } from "#access/root-key.ts";
import { digestOf } from "#oci/digest.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";
import { createDownloadTicket } from "#registry/blob.ts";
import { makeInstanceKey } from "#sealing/instance-key.ts";
import { createSealer } from "#sealing/sealer.ts";
import { systemRandom } from "#std/random.ts";
import { makeBlob } from "../fixtures/oci-content.ts";
import type { RequestOptions } from "../registry-server.ts";
import { callEcr, callQuery, signedEcrHeaders } from "../signed-call.ts";
import type { CallOptions } from "../signed-call.ts";
import { expectAlive, expectRefusal, startGround } from "./ground.ts";
import type { Ground, Verdict } from "./ground.ts";
import { Line, head } from "./line.ts";

let ground: Ground;
before(async () => void (ground = await startGround()));
after(() => ground.close());

const blob = makeBlob(500, "credentials");
const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;

/** One request of every kind; all of them are good with good credentials. */
async function everyRequest(): Promise<readonly (readonly [string, string, RequestOptions])[]> {
  const { path } = await ground.openUpload("012");
  const { image } = ground;
  const manifest = { body: image.bytes, headers: { "Content-Type": image.mediaType } };
  return [
    ["GET", "/v2/", {}],
    ["GET", "/v2/_catalog", {}],
    ["GET", "/v2/team/app/tags/list", {}],
    ["GET", "/v2/team/app/manifests/v1", {}],
    ["PUT", "/v2/team/app/manifests/stolen", manifest],
    ["DELETE", "/v2/team/app/manifests/v1", {}],
    ["GET", `/v2/team/app/blobs/${image.config.digest}`, {}],
    ["DELETE", `/v2/team/app/blobs/${image.config.digest}`, {}],
    ["GET", `/v2/team/app/referrers/${image.digest}`, {}],
    ["POST", "/v2/team/app/blobs/uploads/", {}],
    ["POST", `/v2/team/app/blobs/uploads/?digest=${blob.digest}`, { body: blob.bytes }],
    ["POST", `/v2/team/other/blobs/uploads/?mount=${image.config.digest}&from=team/app`, {}],
    ["GET", path, {}],
    ["PATCH", path, { body: "345" }],
    ["PUT", `${path}?digest=${digestOf("sha256", Buffer.from("012345"))}`, { body: "345" }],
    ["DELETE", path, {}],
  ];
}

async function refusedEverywhere(authorization: string | null, verdict: Verdict, isChallenged: boolean): Promise<void> {
  for (const [method, path, options] of await everyRequest()) {
    let challenge: string | undefined;
    await expectRefusal(ground, {
      verdict,
      async send() {
        const answer = await ground.server.request(method, path, { ...options, authorization });
        challenge = answer.headers["www-authenticate"];
        return answer;
      },
    });
    assert.equal(challenge !== undefined, isChallenged, `${method} ${path}`);
  }
}

describe("tokens", () => {
  const unauthorized = { status: 401, code: "UNAUTHORIZED", message: "Not Authorized" };
  const claims = (): Parameters<typeof sealToken>[1] => {
    const { accessKeyId, principalId, keyVersion = "" } = ground.server.principal;
    return { accessKeyId, principalId, keyVersion, region: ground.server.region, expiresAt: ground.server.core.clock.now() + 60_000 };
  };
  const seal = (more: object): string => basic(`AWS:${sealToken(ground.server.core.sealer, { ...claims(), ...more })}`);
  const middle = (text: string, letter: string): string => text.slice(0, 60) + letter + text.slice(61);

  const cases: Readonly<Record<string, () => string | null>> = {
    "no header": () => null,
    "an empty one": () => "",
    "another scheme": () => `Digest ${ground.server.token}`,
    "no base64": () => "Basic !!!",
    base64url: () => basic(`AWS:${ground.server.token}~~~`).replaceAll("+", "-").replaceAll("/", "_") + "-_",
    "no colon": () => basic(`AWS${ground.server.token}`),
    "another user": () => basic(`aws:${ground.server.token}`),
    "no user": () => basic(`:${ground.server.token}`),
    "no password": () => basic("AWS:"),
    "the secret key itself": () => basic(`${ground.server.credentials.accessKeyId}:${ground.server.credentials.secretAccessKey}`),
    "the secret key as password": () => basic(`AWS:${ground.server.credentials.secretAccessKey}`),
    "the bare password": () => `Bearer ${ground.server.token}`,
    "a JSON web token without signature": () =>
      `Bearer ${[{ alg: "none" }, { sub: "AWS" }].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".")}.`,
    "a changed letter": () => basic(`AWS:${middle(ground.server.token, ground.server.token[60] === "A" ? "B" : "A")}`),
    "a cut token": () => basic(`AWS:${ground.server.token.slice(0, -4)}`),
    "a lengthened token": () => basic(`AWS:${ground.server.token}AAAA`),
    "two tokens": () => `${ground.server.authorization()}, ${ground.server.authorization()}`,
    "5,000 letters": () => basic(`AWS:${"a".repeat(5_000)}`),
    "a token of another instance": () => basic(`AWS:${sealToken(createSealer([makeInstanceKey(systemRandom)], systemRandom), claims())}`),
    "something sealed for another purpose": () =>
      basic(`AWS:${ground.server.core.sealer.seal("page:x", Buffer.from(JSON.stringify([1, ...Object.values(claims())])))}`),
    "a key that does not exist": () => seal({ accessKeyId: "AKIAABCDEFGHIJKLMNOP" }),
    "somebody else's principal": () => seal({ principalId: "210987654321" }),
    "an earlier secret of the key": () => seal({ keyVersion: "x" }),
  };
  for (const [what, make] of Object.entries(cases)) test(what, () => refusedEverywhere(make(), unauthorized, true));

  test("a download ticket is no token", async () => {
    const name = parseRepositoryName("team/app");
    assert.ok(name.ok);
    const { accountId, region, core, principal } = ground.server;
    const context = { core, actor: principal, requestId: "test" };
    const { ticket } = await createDownloadTicket(context, { accountId, region }, name.value, ground.image.config.digest);
    await refusedEverywhere(basic(`AWS:${ticket}`), unauthorized, true);
  });
  test("expired, by a millisecond and by a year", async () => {
    const message = "Your authorization token has expired. Reauthenticate and try again.";
    for (const lateMs of [1, 31_536_000_000]) {
      const authorization = seal({ expiresAt: ground.server.core.clock.now() - lateMs });
      await refusedEverywhere(authorization, { status: 403, code: "DENIED", message }, false);
    }
  });
  test("of another region, served here or not", async () => {
    for (const region of ["us-east-1", "ap-south-1"]) {
      const port = new URL(ground.server.url).port;
      const message = `Your authorization token was issued for the region '${region}' and is valid only at 123456789012.dkr.ecr.${region}.localhost:${port}. Use that host, or get a token for this region.`;
      await refusedEverywhere(seal({ region }), { status: 403, code: "DENIED", message }, false);
    }
  });
  test("of another account, whether the repository is there or not", async () => {
    const stranger = await ground.server.addAccount("111111111111");
    const authorization = ground.server.authorization({ principal: stranger });
    for (const [method, path, options] of await everyRequest()) {
      if (path === "/v2/") continue;
      const texts: string[] = [];
      for (const target of [path, path.replace("/team/app/", "/team/nothing/")]) {
        await expectRefusal(ground, {
          verdict: {
            status: 403,
            code: "DENIED",
            message: /^User: arn:aws:iam::111111111111:root is not authorized to perform: ecr:\w+ on resource: arn:aws:ecr:/,
          },
          async send() {
            const answer = await ground.server.request(method, target, { ...options, authorization });
            texts.push(answer.message.replace("team/nothing", "team/app"));
            return answer;
          },
        });
      }
      assert.equal(texts[0], texts[1], "the words do not tell whether the repository exists");
    }
  });
});

const minute = 60_000;

describe("signatures", () => {
  const wrong = (): object => ({ ...ground.server.credentials, secretAccessKey: "x".repeat(40) });
  const mismatch = /^The request signature we calculated does not match the signature you provided\./;
  const tamper = (change: (headers: Record<string, string>) => unknown): CallOptions => ({ tamper: (headers) => void change(headers) });
  const authorization = (from: string | RegExp, to: string): CallOptions =>
    tamper((headers) => (headers["Authorization"] = (headers["Authorization"] ?? "").replace(from, to)));
  const cases: readonly (readonly [string, () => CallOptions, string, RegExp])[] = [
    [
      "none",
      () => tamper((headers) => delete headers["Authorization"]),
      "MissingAuthenticationTokenException",
      /^Missing Authentication Token$/,
    ],
    [
      "garbage",
      () => authorization(/.*/, "AWS4-HMAC-SHA256 x"),
      "IncompleteSignatureException",
      /^'x' not a valid key=value pair \(missing equal-sign\) in Authorization header/,
    ],
    [
      "without a credential",
      () => authorization(/Credential=[^,]+,? ?/, ""),
      "IncompleteSignatureException",
      /^Authorization header requires 'Credential' parameter\./,
    ],
    [
      "without signed headers",
      () => authorization(/SignedHeaders=[^,]+,? ?/, ""),
      "IncompleteSignatureException",
      /^Authorization header requires 'SignedHeaders' parameter\./,
    ],
    [
      "without a signature",
      () => authorization(/, ?Signature=.+/, ""),
      "IncompleteSignatureException",
      /^Authorization header requires 'Signature' parameter\./,
    ],
    [
      "without a date",
      () => tamper((headers) => delete headers["X-Amz-Date"]),
      "IncompleteSignatureException",
      /^Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header\./,
    ],
    [
      "an unknown key",
      () => ({ credentials: { accessKeyId: "AKIAABCDEFGHIJKLMNOP", secretAccessKey: "x".repeat(40) } }),
      "UnrecognizedClientException",
      /^The security token included in the request is invalid\.$/,
    ],
    ["a wrong secret", () => ({ credentials: wrong() as never }), "InvalidSignatureException", mismatch],
    ["a cut one", () => authorization(/.$/, ""), "InvalidSignatureException", mismatch],
    ["a changed one", () => authorization(/Signature=../, "Signature=00"), "InvalidSignatureException", mismatch],
    [
      "upper case",
      () =>
        tamper(
          (headers) =>
            (headers["Authorization"] = (headers["Authorization"] ?? "").replace(
              /Signature=.*/,
              (text) => `Signature=${text.slice(10).toUpperCase()}`,
            )),
        ),
      "InvalidSignatureException",
      mismatch,
    ],
    [
      "the host not signed",
      () => authorization("host;", ""),
      "InvalidSignatureException",
      /^'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization header\.$/,
    ],
    [
      "the target not signed",
      () => authorization(";x-amz-target", ""),
      "InvalidSignatureException",
      /^'x-amz-target' must be a 'SignedHeader' in the AWS Authorization header\.$/,
    ],
    ["another body", () => ({ sentBody: '{"repositoryName":"team/evil"}' }), "InvalidSignatureException", mismatch],
    [
      "another body, declared",
      () => ({ sentBody: '{"repositoryName":"team/evil"}', declareBody: true }),
      "InvalidSignatureException",
      mismatch,
    ],
    [
      "a body in chunks that is another",
      () => ({ sentBody: [Buffer.from('{"repositoryName":'), Buffer.from('"team/evil"}')] }),
      "InvalidSignatureException",
      mismatch,
    ],
    [
      "an unsigned body",
      () => tamper((headers) => (headers["X-Amz-Content-Sha256"] = "UNSIGNED-PAYLOAD")),
      "InvalidSignatureException",
      /^'x-amz-content-sha256' must be a 'SignedHeader' in the AWS Authorization header\.$/,
    ],
    [
      "a streaming body",
      () => ({ declareBody: true, ...tamper((headers) => (headers["X-Amz-Content-Sha256"] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")) }),
      "InvalidSignatureException",
      /^The header 'x-amz-content-sha256' must be the SHA-256 of the request's body in lower-case hex, not 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'\.$/,
    ],
    [
      "another operation",
      () => tamper((headers) => (headers["X-Amz-Target"] = "AmazonEC2ContainerRegistry_V20150921.DeleteRepository")),
      "InvalidSignatureException",
      mismatch,
    ],
    ["another host", () => tamper((headers) => (headers["Host"] = "evil.example")), "InvalidSignatureException", mismatch],
    [
      "another date",
      () =>
        tamper((headers) => (headers["X-Amz-Date"] = (headers["X-Amz-Date"] ?? "").replace(/\dZ$/, (end) => (end === "0Z" ? "1Z" : "0Z")))),
      "InvalidSignatureException",
      mismatch,
    ],
    [
      "another date's scope",
      () => authorization(/\/2\d{7}\//, "/20200101/"),
      "InvalidSignatureException",
      /^Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20200101' != '\d{8}', from '\d{8}T\d{6}Z'\.$/,
    ],
    [
      "another service",
      () => ({ service: "sts" }),
      "InvalidSignatureException",
      /^Credential should be scoped to correct service: 'ecr'\.$/,
    ],
    [
      "another region",
      () => ({ region: "ap-south-1" }),
      "InvalidSignatureException",
      /^Credential should be scoped to a valid Region, not 'ap-south-1'\. This server answers for 'eu-central-1', 'us-east-1'\.$/,
    ],
    ["a region that is not the signed one", () => authorization("/eu-central-1/", "/us-east-1/"), "InvalidSignatureException", mismatch],
    ["no region", () => authorization("/eu-central-1/", "//"), "IncompleteSignatureException", /exactly 5 slash-delimited elements/],
    [
      "fifteen minutes and a second old",
      () => ({ skewMs: -15 * minute - 1_000 }),
      "InvalidSignatureException",
      /^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 15 min\.\)$/,
    ],
    ["sixteen minutes early", () => ({ skewMs: 16 * minute }), "InvalidSignatureException", /^Signature not yet current: /],
    [
      "a session token with a long-term key",
      () => ({ headers: { "X-Amz-Security-Token": "x" } }),
      "UnrecognizedClientException",
      /^The security token included in the request is invalid\.$/,
    ],
  ];
  const input = { repositoryName: "team/new" };
  for (const [what, options, code, message] of cases) {
    test(what, async () => {
      const verdict = { status: 400, code, message };
      await expectRefusal(ground, { verdict, send: () => callEcr(ground.server, "CreateRepository", input, options()) });
      const put = { repositoryName: "team/other", imageManifest: ground.image.bytes.toString(), imageTag: "stolen" };
      if (options().sentBody === undefined)
        await expectRefusal(ground, { verdict, send: () => callEcr(ground.server, "PutImage", put, options()) });
    });
  }

  test("in a form", async () => {
    const form = "Action=GetCallerIdentity&Version=2011-06-15";
    const ours = /^The request signature we calculated does not match the signature you provided\./;
    const cases: readonly (readonly [CallOptions, number, string, RegExp])[] = [
      [tamper((headers) => delete headers["Authorization"]), 403, "MissingAuthenticationToken", /^Missing Authentication Token$/],
      [{ credentials: wrong() as never }, 403, "SignatureDoesNotMatch", ours],
      [{ sentBody: form.replace("Caller", "Called") }, 403, "SignatureDoesNotMatch", ours],
      [{ skewMs: -16 * minute }, 403, "SignatureDoesNotMatch", /^Signature expired: /],
      [{ service: "ecr" }, 403, "SignatureDoesNotMatch", /^Credential should be scoped to correct service: /],
      [authorization(/.*/, "AWS4-HMAC-SHA256 x"), 400, "IncompleteSignature", /not a valid key=value pair/],
    ];
    for (const [options, status, code, message] of cases) {
      await expectRefusal(ground, { verdict: { status, code, message }, send: () => callQuery(ground.server, form, options) });
    }
  });

  test("headers that are there twice, signed and unsigned", async () => {
    const body = Buffer.from(JSON.stringify(input));
    const good = signedEcrHeaders(ground.server, "CreateRepository", body);
    const doubled: Readonly<Record<string, string>> = {
      "X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.DeleteRepository",
      "X-Amz-Date": "20200101T000000Z",
      Authorization: "AWS4-HMAC-SHA256 x",
      Host: "evil.example",
      "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
    };
    for (const [name, value] of Object.entries(doubled)) {
      for (const isFirst of [true, false]) {
        const before = await ground.facts();
        const line = new Line(Number(new URL(ground.server.url).port));
        const extra = `${name}: ${value}\r\n`;
        const text = head("POST", "/", { ...good, "Content-Length": String(body.length) });
        await line.say(isFirst ? text.replace("\r\n", `\r\n${extra}`) : text.replace(/\r\n\r\n$/, `\r\n${extra}\r\n`), body);
        await line.until(/\r\n\r\n[\s\S]*(?:\}|0\r\n\r\n|close\r\n\r\n)$/);
        assert.deepEqual(line.statuses, [400], `${name} ${isFirst}: ${line.text}`);
        line.socket.destroy();
        assert.deepEqual(await ground.facts(), before, name);
      }
    }
    await expectAlive(ground);
  });
});

test("a key that was replaced opens nothing any more, nor does what it signed before", async () => {
  const own = await startGround();
  try {
    const { server } = own;
    const { metadata, sealer, clock, random } = server.core;
    const authorization = server.authorization();
    await resetRootKey({ metadata, sealer, clock, random, accountId: server.accountId });
    const before = await own.facts();
    const put = { body: own.image.bytes, headers: { "Content-Type": own.image.mediaType }, authorization };
    const answer = await server.request("PUT", "/v2/team/other/manifests/v1", put);
    assert.deepEqual([answer.status, answer.code], [401, "UNAUTHORIZED"]);
    const call = await callEcr(server, "CreateRepository", { repositoryName: "team/new" });
    assert.equal(call.json<{ __type: string }>().__type, "UnrecognizedClientException");
    assert.deepEqual(await own.facts(), before);
  } finally {
    await own.close();
  }
});
