import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startInProcess } from "./testing/in-process.ts";
import type { Answer, Asking, InProcessServer } from "./testing/in-process.ts";

const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const proxy = "127.0.0.2";
let strict: InProcessServer;
let dev: InProcessServer;
before(async () => {
  strict = await startInProcess({ SUPERCARGO_TRUSTED_PROXIES: `${proxy}/32,10.0.0.0/8` });
  dev = await startInProcess({ SUPERCARGO_DEV: "1", SUPERCARGO_PUBLIC_URL: "http://registry.test:8080", SUPERCARGO_DOMAIN: "cargo.test" });
});
after(async () => {
  await strict.close();
  await dev.close();
});

/** The access log's line of an answer. */
function lineOf(server: InProcessServer, answer: Answer): Record<string, unknown> {
  const line = server.logLines().find(({ msg, requestId }) => msg === "request" && requestId === answer.headers["x-amzn-requestid"]);
  assert.ok(line !== undefined, "the answer's id is not in the log");
  return line;
}

const json11 = { "content-type": "application/x-amz-json-1.1" };
const ecr = "AmazonEC2ContainerRegistry_V20150921";
const answered: readonly (readonly [what: string, method: string, target: string, status: number, asking?: Asking])[] = [
  ["registry, anonymous", "GET", "/v2/", 401],
  ["registry, bad credentials", "GET", "/v2/", 401, { headers: { authorization: "Basic AAAA" } }],
  ["registry, no such path", "GET", "/v2/a/b/c/d", 401],
  ["registry, a body nobody asked for", "POST", "/v2/x/blobs/uploads/", 401, { body: "x".repeat(100_000) }],
  ["download with a forged ticket", "GET", "/download/forged", 403],
  ["api, unsigned", "POST", "/", 400, { headers: { ...json11, "x-amz-target": `${ecr}.ListImages` }, body: "{}" }],
  ["api, unknown operation", "POST", "/", 400, { headers: { ...json11, "x-amz-target": "Nothing.Here" }, body: "{}" }],
  ["api, no operation at all", "POST", "/", 400, { body: "hello" }],
  ["query api, unsigned", "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", 403],
  ["first page", "GET", "/", 200],
  ["first page, head only", "HEAD", "/", 200],
  ["health", "GET", "/healthz", 200],
  ["no such page", "GET", "/favicon.ico", 404],
  ["a page that can only be read", "DELETE", "/healthz", 405],
  ["an expectation nobody knows", "GET", "/healthz", 200, { headers: { expect: "miracles" } }],
];
for (const [what, method, target, status, asking] of answered) {
  test(`an id on every answer, and the same in the log: ${what}`, async () => {
    const answer = await strict.ask(method, target, asking);
    assert.equal(answer.status, status, answer.text);
    assert.match(String(answer.headers["x-amzn-requestid"]), uuidForm);
    const line = lineOf(strict, answer);
    assert.deepEqual([line["method"], line["status"], line["remote"]], [method, status, "127.0.0.1"]);
  });
}

test("a page that is not there and a method that is not allowed say what would be right", async () => {
  const missing = await strict.ask("GET", "/nothing");
  assert.match(missing.json<{ message: string }>().message, /\/v2\/.*POST \//);
  const refused = await strict.ask("PUT", "/", { body: "x" });
  assert.deepEqual([refused.status, refused.headers["allow"]], [405, "GET, HEAD"]);
  assert.match(refused.json<{ message: string }>().message, /GET/);
});

const malformed: readonly (readonly [what: string, text: string, status: number])[] = [
  ["no HTTP", "hello\r\n\r\n", 400],
  ["a method nobody knows", "BREW /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400],
  ["a head that is too large", `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(40_000)}\r\n\r\n`, 431],
  ["two lengths", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400],
  ["no Host", "GET /healthz HTTP/1.1\r\n\r\n", 400],
];
for (const [what, text, status] of malformed) {
  test(`what cannot be read is refused with an id: ${what}`, async () => {
    const [head = ""] = (await strict.sendRaw(text)).split("\r\n\r\n", 1);
    assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} `));
    const requestId = /^x-amzn-requestid: (.*)$/im.exec(head)?.[1] ?? "";
    assert.match(requestId, uuidForm);
    assert.ok(strict.logText().includes(requestId));
  });
}

test("HTTP/1.0 without Host is answered: health checks are like that", async () => {
  assert.match(await strict.sendRaw("GET /healthz HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 200 /);
});

const forwarded: readonly (readonly [what: string, from: string, forwardedFor: string, remote: string])[] = [
  ["a configured proxy is believed", proxy, "203.0.113.7", "203.0.113.7"],
  ["only what the proxy saw itself, not what the client claims", proxy, "1.1.1.1, 203.0.113.7", "203.0.113.7"],
  ["a chain of configured proxies", proxy, "203.0.113.7, 10.1.2.3", "203.0.113.7"],
  ["nothing but proxies: the nearest", proxy, "10.1.2.3", proxy],
  ["an empty header", proxy, " , ", proxy],
  ["anybody else is not believed", "127.0.0.3", "203.0.113.7", "127.0.0.3"],
  ["anybody else, naming a proxy", "127.0.0.3", `203.0.113.7, ${proxy}`, "127.0.0.3"],
];
for (const [what, from, forwardedFor, remote] of forwarded) {
  test(`X-Forwarded-For: ${what}`, async () => {
    const answer = await strict.ask("GET", "/healthz", { from, headers: { "x-forwarded-for": forwardedFor } });
    assert.equal(lineOf(strict, answer)["remote"], remote);
  });
}

test("X-Forwarded-Host and -Proto: only a configured proxy changes what the API calls this server", async () => {
  const headers = { "X-Forwarded-Host": "registry.example", "X-Forwarded-Proto": "https" };
  const endpointFor = async (asking: Asking): Promise<string | undefined> => {
    type Output = { authorizationData: { proxyEndpoint: string }[] };
    return (await strict.call<Output>("GetAuthorizationToken", {}, asking)).authorizationData[0]?.proxyEndpoint;
  };
  assert.equal(await endpointFor({ headers, from: proxy }), "https://registry.example");
  assert.equal(await endpointFor({ headers, from: "127.0.0.3" }), `http://${strict.host}`);
  assert.equal(await endpointFor({ headers: { "X-Forwarded-Proto": "gopher" }, from: proxy }), `http://${strict.host}`);
  const challenge = await strict.ask("GET", "/v2/", { headers, from: proxy });
  assert.match(String(challenge.headers["www-authenticate"]), /realm="https:\/\/registry\.example\/"/);
});

for (const host of [
  "localhost:4600",
  "127.0.0.1",
  "127.9.9.9:1",
  "[::1]:4600",
  "192.168.1.5:4600",
  "000000000000.dkr.ecr.us-east-1.localhost:4600",
  "registry.test:8080",
  "REGISTRY.test",
  "cargo.test",
  "000000000000.dkr.ecr.us-east-1.cargo.test:4600",
]) {
  test(`--dev answers to ${host}`, async () => {
    assert.equal((await dev.ask("GET", "/healthz", { headers: { host } })).status, 200);
  });
}

for (const host of ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "cargo.test.evil.example", "xcargo.test"]) {
  for (const target of ["/v2/", "/healthz", "/"]) {
    test(`--dev refuses ${target} as '${host}' in words that say what to do`, async () => {
      const answer = await dev.ask("GET", target, { headers: { host } });
      assert.equal(answer.status, 421);
      assert.match(String(answer.headers["x-amzn-requestid"]), uuidForm);
      const { message, errors } = answer.json<{ message: string; errors: { message: string }[] }>();
      assert.match(message, /--dev.*SUPERCARGO_PUBLIC_URL/);
      assert.ok(message.includes(`'${host}'`));
      assert.equal(errors[0]?.message, message);
    });
  }
}

test("--dev refuses an empty name and one that no text should repeat", async () => {
  for (const host of ["", "<script>", "a b"])
    assert.match(
      await dev.sendRaw(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
      /^HTTP\/1\.1 421 [^<]*that name[^<]*$/s,
    );
});

test("strict mode answers to any name: there a page has no key", async () => {
  assert.equal((await strict.ask("GET", "/healthz", { headers: { host: "any.example" } })).status, 200);
});

test("no query string, ticket or Authorization reaches the log", async () => {
  const secret = "SECRET0123456789";
  const headers = { authorization: `Basic ${secret}`, "x-amz-security-token": secret, cookie: secret, "x-api-key": secret };
  for (const target of [
    `/v2/some/path/blobs/uploads/id?_state=${secret}`,
    `/v2?token=${secret}`,
    `/download/${secret}`,
    `/download/${secret}/more?x=${secret}`,
    `//download/${secret}`,
    `/registry/download/${secret}`,
    `/DOWNLOAD/${secret}`,
    `/download?ticket=${secret}`,
    `/?Action=GetCallerIdentity&X-Amz-Signature=${secret}&X-Amz-Credential=${secret}`,
    `/metrics?${secret}`,
    `/nothing#${secret}?${secret}`,
    `http://AWS:${secret}@localhost/v2/`,
  ])
    await strict.ask("GET", target, { headers });
  await strict.ask("POST", `/?${secret}`, { headers, body: secret });
  await strict.sendRaw(`GET /${secret} HTTP/9.9\r\nAuthorization: ${secret}\r\n\r\n`);
  const lines = strict.logText();
  assert.deepEqual(
    lines.split("\n").filter((line) => line.toLowerCase().includes(secret.toLowerCase())),
    [],
  );
  assert.ok(lines.includes('"path":"/v2/some/path/blobs/uploads/id"'), "the path itself is logged");
  assert.ok(lines.includes('"path":"/download/…"'));
});

test("a client that goes away before its answer is logged as 499", async () => {
  await strict.call("CreateRepository", { repositoryName: "gone" });
  const { authorizationData } = await strict.call<{ authorizationData: { authorizationToken: string }[] }>("GetAuthorizationToken", {});
  const authorization = `Basic ${authorizationData[0]?.authorizationToken}`;
  const opened = await strict.ask("POST", "/v2/gone/blobs/uploads/", { headers: { authorization } });
  const { pathname, search } = new URL(String(opened.headers["location"]), `http://${strict.host}`);
  const socket = connect(strict.port, "127.0.0.1");
  socket.write(`PATCH ${pathname}${search} HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\nContent-Length: 1000\r\n\r\nhalf`);
  await sleep(50);
  socket.destroy();
  const isLogged = (): boolean => strict.logLines().some(({ status, path }) => status === 499 && path === pathname);
  for (let waited = 0; !isLogged(); waited += 10) {
    assert.ok(waited < 2_000, "the broken request is not in the log");
    await sleep(10);
  }
  assert.ok(!strict.logText().includes(authorizationData[0]?.authorizationToken ?? ""));
});
