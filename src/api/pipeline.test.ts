import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { until } from "#std/testing/until.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { Answer, RegistryServer } from "../../test/registry-server.ts";
import type { CallOptions } from "../../test/signed-call.ts";
import { callEcr } from "../../test/signed-call.ts";

let server: RegistryServer;
const mebibyte = 1_048_576;

before(async () => {
  server = await startRegistryServer();
  await server.createRepository("wire/one");
});

after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

/** Status, exception and message of an answer that must be an error of the JSON protocol. */
function fault(answer: Answer): { status: number; type: string; message: string } {
  assert.equal(answer.headers["content-type"], "application/x-amz-json-1.1");
  assert.match(String(answer.headers["x-amzn-requestid"]), /^[0-9a-f-]{36}$/);
  const { __type: type, message } = answer.json<{ __type: string; message: string }>();
  return { status: answer.status, type, message };
}

test("an answer is what AWS's JSON protocol says", async () => {
  const answer = await callEcr(server, "DescribeRepositories", { repositoryNames: ["wire/one"], unheardOf: { a: [1] } });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["content-type"], "application/x-amz-json-1.1");
  assert.equal(answer.headers["cache-control"], "no-store");
  assert.match(String(answer.headers["x-amzn-requestid"]), /^[0-9a-f-]{36}$/);
  const document = answer.json<{ repositories: readonly [{ createdAt: number }] }>();
  const [repository] = document.repositories;
  assert.ok(Math.abs(repository.createdAt - server.core.clock.now() / 1000) < 60, "timestamps are epoch seconds");
  assert.deepEqual(Object.keys(document), ["repositories"]);
  assert.equal((await callEcr(server, "DescribeRegistry", "")).status, 200);
});

test("documents that readers disagree about are refused", async () => {
  const utf8 = new TextEncoder();
  const bodies: readonly (readonly [string, string | Uint8Array])[] = [
    ["not JSON", "{"],
    ["no object", "[]"],
    ["no object", "null"],
    ["no object", '"text"'],
    ["trailing text", '{"maxResults":1}x'],
    ["two documents", "{}{}"],
    ["duplicate key", '{"maxResults":1,"maxResults":2}'],
    ["duplicate key by escape", '{"maxResults":1,"max\\u0052esults":2}'],
    ["byte order mark", "\ufeff{}"],
    ["lone surrogate", '{"nextToken":"\\ud800"}'],
    ["invalid UTF-8", Buffer.concat([utf8.encode('{"nextToken":"'), Buffer.from([0xff]), utf8.encode('"}')])],
    ["depth", `{"a":${"[".repeat(100)}${"]".repeat(100)}}`],
    ["depth 100,000", "[".repeat(100_000)],
    ["NaN", '{"maxResults":NaN}'],
    ["wrong type", '{"maxResults":"1"}'],
    ["wrong type", '{"maxResults":1.5}'],
    ["wrong type", '{"maxResults":true}'],
    ["wrong type", '{"repositoryNames":"wire/one"}'],
    ["wrong type", '{"repositoryNames":{"0":"wire/one"}}'],
    ["wrong type", '{"repositoryNames":[1]}'],
    ["too large for an integer", '{"maxResults":2147483648}'],
  ];
  for (const [what, body] of bodies) {
    const answer = fault(await callEcr(server, "DescribeRepositories", body));
    assert.deepEqual([answer.status, answer.type], [400, "SerializationException"], `${what}: ${answer.message}`);
  }
});

test("constraints are checked in ECR's words, and before the permissions and the repository", async () => {
  const at = (member: string, reason: string) => `Invalid parameter at '${member}' failed to satisfy constraint: '${reason}'`;
  const cases: readonly (readonly [string, object, string])[] = [
    ["CreateRepository", {}, at("repositoryName", "Member must not be null")],
    ["CreateRepository", { repositoryName: null }, at("repositoryName", "Member must not be null")],
    ["DescribeRepositories", { maxResults: 1001 }, at("maxResults", "Member must have value less than or equal to 1000")],
    ["DescribeRepositories", { maxResults: 0 }, at("maxResults", "Member must have value greater than or equal to 1")],
    ["DescribeRepositories", { registryId: "1" }, at("registryId", "Member must satisfy regular expression pattern: [0-9]{12}")],
    [
      "GetAuthorizationToken",
      { registryIds: ["1"] },
      at("registryIds", "Member must satisfy constraint: [Member must satisfy regular expression pattern: [0-9]{12}]"),
    ],
    [
      "DeleteRepository",
      { registryId: "210987654321", repositoryName: "UPPER" },
      at("repositoryName", "must satisfy regular expression '[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(\\/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*'"),
    ],
    [
      "ListImages",
      { repositoryName: "never/made", filter: { tagStatus: "SOME" } },
      at("filter.tagStatus", "Member must satisfy enum value set: [TAGGED, UNTAGGED, ANY]"),
    ],
    [
      "DescribeImages",
      { registryId: "210987654321", repositoryName: "x/y", imageIds: [{ imageTag: "t" }], maxResults: 1 },
      at("maxResults", "Member must be null when imageIds is set"),
    ],
  ];
  for (const [operation, input, message] of cases) {
    assert.deepEqual(fault(await callEcr(server, operation, input)), { status: 400, type: "InvalidParameterException", message });
  }
});

test("__proto__ is a member like any other", async () => {
  const inherited = '{"__proto__":{"repositoryNames":["wire/one"],"maxResults":1},"constructor":{"prototype":{}}}';
  const answer = await callEcr(server, "DescribeRepositories", inherited);
  assert.equal(answer.status, 200);
  assert.equal(answer.json<{ repositories: unknown[] }>().repositories.length, 1);
  assert.equal(({} as { maxResults?: number }).maxResults, undefined);
  const missing = fault(await callEcr(server, "DeleteRepository", '{"__proto__":{"repositoryName":"wire/one"}}'));
  assert.equal(missing.type, "InvalidParameterException");
});

test("operations that do not exist are unknown, also the names of an object's prototype", async () => {
  for (const operation of ["Nothing", "", "toString", "__proto__", "constructor", "createRepository"]) {
    const answer = fault(await callEcr(server, operation, {}));
    assert.deepEqual([answer.status, answer.type], [400, "UnknownOperationException"], operation);
  }
  const other = { headers: { "X-Amz-Target": "DynamoDB_20120810.ListTables" } };
  assert.equal(fault(await callEcr(server, "CreateRepository", {}, other)).type, "UnknownOperationException");
  const none = await server.request("POST", "/", { authorization: null, headers: { "Content-Type": "application/json" }, body: "{}" });
  assert.equal(fault(none).type, "UnknownOperationException");
});

test("nothing is said of an input before its signature is known to be right", async () => {
  const forged = { credentials: { ...server.credentials, secretAccessKey: "wrong" } };
  assert.equal(fault(await callEcr(server, "SetRepositoryPolicy", {}, forged)).type, "InvalidSignatureException");
});

test("only a request that is signed right, now, for this service and region is let in", async () => {
  const other = { accessKeyId: "AKIAABCDEFGHIJKLMNOP", secretAccessKey: server.credentials.secretAccessKey };
  const wrong = { ...server.credentials, secretAccessKey: "x".repeat(40) };
  const minute = 60_000;
  const cases: readonly (readonly [string, CallOptions, string])[] = [
    ["no signature", { tamper: (headers) => delete headers["Authorization"] }, "MissingAuthenticationTokenException"],
    ["unknown key", { credentials: other }, "UnrecognizedClientException"],
    ["wrong secret", { credentials: wrong }, "InvalidSignatureException"],
    ["other body", { sentBody: '{"maxResults":2}' }, "InvalidSignatureException"],
    ["other body, declared", { sentBody: '{"maxResults":2}', declareBody: true }, "InvalidSignatureException"],
    ["no body", { sentBody: "" }, "InvalidSignatureException"],
    ["other target header", { tamper: (headers) => void (headers["X-Amz-Target"] += "s") }, "UnknownOperationException"],
    [
      "other operation",
      { tamper: (headers) => void (headers["X-Amz-Target"] = "AmazonEC2ContainerRegistry_V20150921.DescribeRegistry") },
      "InvalidSignatureException",
    ],
    ["other host", { tamper: (headers) => void (headers["Host"] = "evil.example") }, "InvalidSignatureException"],
    ["other query", { target: "/?a=b", tamper: (headers) => void (headers["Host"] += "0") }, "InvalidSignatureException"],
    ["old", { skewMs: -16 * minute }, "InvalidSignatureException"],
    ["from the future", { skewMs: 16 * minute }, "InvalidSignatureException"],
    ["other service", { service: "sts" }, "InvalidSignatureException"],
    ["other region", { region: "ap-south-1" }, "InvalidSignatureException"],
    [
      "cut signature",
      { tamper: (headers) => void (headers["Authorization"] = headers["Authorization"]?.slice(0, -1) ?? "") },
      "InvalidSignatureException",
    ],
    ["garbage", { tamper: (headers) => void (headers["Authorization"] = "AWS4-HMAC-SHA256 x") }, "IncompleteSignatureException"],
    ["unsigned payload", { tamper: (headers) => void (headers["X-Amz-Content-Sha256"] = "UNSIGNED-PAYLOAD") }, "InvalidSignatureException"],
  ];
  for (const [what, options, type] of cases) {
    const answer = fault(await callEcr(server, "DescribeRepositories", { maxResults: 1 }, options));
    assert.deepEqual([answer.status, answer.type], [400, type], `${what}: ${answer.message}`);
  }
  for (const options of [{ skewMs: -14 * minute }, { skewMs: 14 * minute }, { declareBody: true }, { region: "us-east-1" }]) {
    assert.equal((await callEcr(server, "DescribeRepositories", { maxResults: 1 }, options)).status, 200);
  }
  const late = fault(await callEcr(server, "DescribeRepositories", {}, { skewMs: -16 * minute }));
  assert.match(late.message, /^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 15 min\.\)$/);
});

test("what is wrong with a body is told only to who signed it", async () => {
  for (const operation of ["DescribeRepositories", "UploadLayerPart"]) {
    const forged = { credentials: { ...server.credentials, secretAccessKey: "wrong" } };
    assert.equal(fault(await callEcr(server, operation, "{", forged)).type, "InvalidSignatureException");
  }
});

test("bodies have a limit, announced or not, and the connection survives a refusal", async () => {
  const large = Buffer.alloc(mebibyte + 1, " ");
  const announced = fault(await callEcr(server, "DescribeRepositories", large));
  assert.deepEqual([announced.status, announced.type], [413, "RequestEntityTooLargeException"]);
  const counted = fault(await callEcr(server, "DescribeRepositories", large, { sentBody: [large.subarray(9), large.subarray(0, 9)] }));
  assert.deepEqual([counted.status, counted.type], [413, "RequestEntityTooLargeException"]);
  const fitting = Buffer.concat([Buffer.alloc(mebibyte - 2, " "), Buffer.from("{}")]);
  assert.equal((await callEcr(server, "DescribeRepositories", fitting)).status, 200);
  assert.equal((await callEcr(server, "DescribeRepositories", fitting, { sentBody: [fitting] })).status, 200);
  const part = fault(await callEcr(server, "UploadLayerPart", Buffer.alloc(33 * mebibyte, " ")));
  assert.deepEqual([part.status, part.type], [413, "RequestEntityTooLargeException"]);
  const compressed = fault(await callEcr(server, "DescribeRepositories", "{}", { headers: { "Content-Encoding": "gzip" } }));
  assert.deepEqual([compressed.status, compressed.type], [415, "UnsupportedMediaTypeException"]);
});

test("a client that goes away in the middle of its body leaves nothing behind", async () => {
  for (const operation of ["DescribeRepositories", "UploadLayerPart"]) {
    const before = server.notes.length;
    const socket = await sendHead(operation, 500_000);
    socket.write(`{"nextToken":"${"x".repeat(1000)}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
    socket.destroy();
    await until(() => server.notes.length > before);
    assert.equal(server.notes.at(-1)?.route, `ecr.${operation}`);
  }
  assert.equal((await callEcr(server, "DescribeRegistry", {})).status, 200);
});

test("a client that waits for a word before it sends gets it, or is refused without sending", async () => {
  const good = await callEcr(server, "DescribeRegistry", "{}", { headers: { Expect: "100-continue" } });
  assert.equal(good.status, 200);
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  await once(socket, "connect");
  socket.write(
    `POST / HTTP/1.1\r\nHost: ${server.host}\r\nX-Amz-Target: AmazonEC2ContainerRegistry_V20150921.PutImage\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n`,
  );
  const [head] = (await once(socket, "data")) as [Buffer];
  assert.match(head.toString(), /^HTTP\/1\.1 400 /);
  socket.destroy();
});

/** Opens a connection and sends the head of a signed call whose body does not come. */
async function sendHead(operation: string, contentLength: number): Promise<Socket> {
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  await once(socket, "connect");
  const head: string[] = [`POST / HTTP/1.1`];
  await callEcr(server, operation, "{}", {
    tamper: (headers) => {
      for (const [name, value] of Object.entries(headers)) head.push(`${name}: ${value}`);
    },
  });
  socket.write(`${head.join("\r\n")}\r\nContent-Length: ${contentLength}\r\n\r\n`);
  return socket;
}

test("every request is noted with a bounded route, and never with what the client made up", async () => {
  await callEcr(server, "ListImages", { repositoryName: "wire/one" });
  const { principal, accountId } = server;
  assert.deepEqual(server.notes.at(-1), {
    route: "ecr.ListImages",
    action: "ecr:ListImages",
    accessKeyId: principal.accessKeyId,
    principalArn: `arn:aws:iam::${accountId}:root`,
  });
  await callEcr(server, "MadeUp", {});
  assert.deepEqual(server.notes.at(-1), { errorCode: "UnknownOperationException" });
});
