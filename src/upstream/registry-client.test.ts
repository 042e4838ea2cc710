import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { after, beforeEach, before, test } from "node:test";
import { digestOf } from "#oci/digest.ts";
import { mediaTypes } from "#oci/media-type.ts";
import { silentLog } from "#std/log.ts";
import { createGuardedConnections } from "./connections.ts";
import type { GuardedConnections } from "./connections.ts";
import { readBytes } from "./read-bytes.ts";
import type { UpstreamCredentials } from "./registry-authorization.ts";
import { createRegistryClient } from "./registry-client.ts";
import type { RegistryClient } from "./registry-client.ts";
import { UpstreamError } from "./upstream-error.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A server whose behaviour each test sets; it remembers what it was shown. */
interface Peer {
  readonly server: Server;
  readonly origin: string;
  handle: Handler;
  seen: { readonly line: string; readonly authorization: string | undefined }[];
}

let registry: Peer;
let other: Peer;
let connections: GuardedConnections;
let now = 1_000_000;
const alice: UpstreamCredentials = { username: "alice", password: "secret" };
const aliceBasic = `Basic ${Buffer.from("alice:secret").toString("base64")}`;
const content = Buffer.from('{"some":"bytes"}');
const digest = digestOf("sha256", content);

async function startPeer(): Promise<Peer> {
  const server = createServer((request, response) => {
    peer.seen.push({ line: `${request.method} ${request.url}`, authorization: request.headers.authorization });
    peer.handle(request, response);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const peer: Peer = { server, origin, handle: () => {}, seen: [] };
  return peer;
}

before(async () => {
  registry = await startPeer();
  other = await startPeer();
  const trustedHosts = [registry.origin, other.origin].map((origin) => new URL(origin).host);
  connections = createGuardedConnections({ trustedHosts, connectMs: 300, headersMs: 200, idleMs: 200 });
});

beforeEach(() => {
  registry.seen = [];
  other.seen = [];
  now += 10_000_000;
});

after(() => {
  connections.close();
  for (const { server } of [registry, other]) {
    server.closeAllConnections();
    server.close();
  }
});

function client(credentials: UpstreamCredentials | undefined = alice): RegistryClient {
  const endpoint = { origin: registry.origin, credentials: async () => credentials };
  return createRegistryClient({ connections, endpoint, clock: { now: () => now }, log: silentLog });
}

const sendBlob: Handler = (_request, response) => void response.writeHead(200, { "content-length": content.length }).end(content);
const challenge = (response: ServerResponse, value: string): void => void response.writeHead(401, { "www-authenticate": value }).end();

/** A registry that wants a token from `realm`, which it may be itself. */
const wantsToken =
  (realm: string, token = "t1"): Handler =>
  (request, response) => {
    if (request.url?.startsWith("/token") === true)
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ token, expires_in: 120 }));
    else if (request.headers.authorization === `Bearer ${token}`) sendBlob(request, response);
    else challenge(response, `Bearer realm="${realm}/token",service="svc",scope="repository:anything:*"`);
  };

async function outcomeOf(asked: Promise<{ readonly outcome: string; readonly body?: Readable }>): Promise<string> {
  const { outcome, body } = await asked;
  if (body !== undefined) await readBytes(body, 1_000);
  return outcome;
}

test("credentials are shown when the registry asks for them, and tokens are kept by scope until they end", async () => {
  registry.handle = (request, response) =>
    request.headers.authorization === aliceBasic ? sendBlob(request, response) : challenge(response, 'Basic realm="x"');
  assert.equal(await outcomeOf(client().getBlob("team/app", digest, {})), "found");
  assert.deepEqual(
    registry.seen.map(({ authorization }) => authorization),
    [undefined, aliceBasic],
  );
  assert.equal(await outcomeOf(client({ username: "alice", password: "wrong" }).getBlob("team/app", digest, {})), "denied");

  registry.seen = [];
  registry.handle = wantsToken(registry.origin);
  const withToken = client();
  for (let pull = 0; pull < 3; pull += 1) assert.equal(await outcomeOf(withToken.getBlob("team/app", digest, {})), "found");
  const tokens = () => registry.seen.filter(({ line }) => line.startsWith("GET /token"));
  assert.deepEqual(tokens(), [
    { line: "GET /token?service=svc&scope=repository%3Ateam%2Fapp%3Apull&account=alice", authorization: aliceBasic },
  ]);
  await Promise.all(Array.from({ length: 5 }, () => outcomeOf(withToken.getBlob("team/other", digest, {}))));
  assert.equal(tokens().length, 2, "one for each scope, however many wait for it");
  now += 111_000;
  assert.equal(await outcomeOf(withToken.getBlob("team/app", digest, {})), "found");
  assert.equal(tokens().length, 3);
});

test("a token server on another host gets no credentials, and gives no more than it would give anybody", async () => {
  registry.handle = wantsToken(other.origin);
  other.handle = wantsToken(other.origin);
  assert.equal(await outcomeOf(client().getBlob("team/app", digest, {})), "found");
  assert.deepEqual(other.seen, [{ line: "GET /token?service=svc&scope=repository%3Ateam%2Fapp%3Apull", authorization: undefined }]);
  for (const realm of ["http://127.0.0.1:1", "http://169.254.169.254", "https://10.0.0.1", "gopher://x", ""]) {
    registry.handle = wantsToken(realm);
    assert.match(await outcomeOf(client().getBlob("team/app", digest, {})), /^(?:unavailable|invalid|denied)$/, realm);
  }
  assert.ok(registry.seen.every(({ authorization }) => authorization !== aliceBasic));
});

test("answers of a token server that are none are failures", async () => {
  const answers: readonly (readonly [number, string, string])[] = [
    [200, "{}", "invalid"],
    [200, "<html>", "invalid"],
    [200, '{"token":"a\\nb"}', "invalid"],
    [200, `{"token":"${"x".repeat(20_000)}"}`, "invalid"],
    [200, `"${"x".repeat(70_000)}"`, "invalid"],
    [401, "{}", "denied"],
    [404, "{}", "denied"],
    [429, "{}", "rate-limited"],
    [503, "{}", "unavailable"],
  ];
  for (const [status, body, expected] of answers) {
    registry.handle = (request, response) =>
      request.url?.startsWith("/token") === true
        ? void response.writeHead(status).end(body)
        : challenge(response, `Bearer realm="${registry.origin}/token"`);
    assert.equal(await outcomeOf(client().getBlob("team/app", digest, {})), expected, `${status} ${body.slice(0, 20)}`);
  }
});

test("redirects are followed without the Authorization where they lead to another host, and no further than they may", async () => {
  registry.handle = (request, response) => {
    if (request.headers.authorization !== aliceBasic) challenge(response, "Basic");
    else if (request.url?.startsWith("/v2/team/app/blobs") === true) response.writeHead(302, { location: "/inside" }).end();
    else response.writeHead(307, { location: `${other.origin}/outside?signed=1` }).end();
  };
  other.handle = sendBlob;
  assert.equal(await outcomeOf(client().getBlob("team/app", digest, {})), "found");
  assert.deepEqual(
    registry.seen.slice(1).map(({ authorization }) => authorization),
    [aliceBasic, aliceBasic],
  );
  assert.deepEqual(other.seen, [{ line: "GET /outside?signed=1", authorization: undefined }]);
  other.handle = (_request, response) => challenge(response, `Bearer realm="${other.origin}/token"`);
  const before = other.seen.length;
  assert.equal(await outcomeOf(client().getBlob("team/app", digest, {})), "denied");
  assert.equal(other.seen.length, before + 1, "who stands behind a redirect does not ask for tokens");
  const targets = ["/v2/team/round", "http://127.0.0.1:1/x", "http://169.254.169.254/latest", "file:///etc/passwd", "", "https://[::1]/x"];
  for (const location of targets) {
    registry.seen = [];
    registry.handle = (_request, response) => void response.writeHead(307, { location }).end();
    assert.match(await outcomeOf(client().getBlob("team/app", digest, {})), /^(?:unavailable|invalid)$/, location);
    assert.ok(registry.seen.length <= 6, location);
  }
});

test("statuses are told apart, and a registry that wants to rest is left alone", async () => {
  const statuses = {
    404: "not-found",
    401: "denied",
    403: "denied",
    429: "rate-limited",
    500: "unavailable",
    503: "unavailable",
    418: "invalid",
  };
  for (const [status, expected] of Object.entries(statuses)) {
    registry.handle = (_request, response) => void response.writeHead(Number(status)).end();
    assert.equal(await outcomeOf(client().getBlob("team/app", digest, {})), expected, status);
    assert.equal(await outcomeOf(client().headManifest("team/app", "v1")), expected, status);
  }
  registry.handle = (_request, response) => void response.writeHead(429, { "retry-after": "60" }).end();
  const limited = client();
  assert.equal(await outcomeOf(limited.getBlob("team/app", digest, {})), "rate-limited");
  const before = registry.seen.length;
  const again = await limited.getManifest("team/app", "v1");
  assert.deepEqual([again.outcome, "retryAfterMs" in again && again.retryAfterMs], ["rate-limited", 60_000]);
  assert.equal(registry.seen.length, before);
  now += 60_000;
  await limited.getManifest("team/app", "v1");
  assert.equal(registry.seen.length, before + 1);
});

test("each wait has an end", async () => {
  const silent: readonly (readonly [string, Handler])[] = [
    ["no answer", () => {}],
    ["no body", (_request, response) => response.writeHead(200, { "content-length": 5 }).flushHeaders()],
    ["half a body", (_request, response) => void response.writeHead(200, { "content-length": 5 }).write("12")],
  ];
  for (const [what, handle] of silent) {
    registry.handle = handle;
    const manifest = client().getManifest("team/app", "v1");
    const blob = client()
      .getBlob("team/app", digest, {})
      .then(async (found) =>
        found.outcome === "found"
          ? readBytes(found.body, 100).then(
              () => "whole",
              () => "broken",
            )
          : found.outcome,
      );
    assert.match((await manifest).outcome, /^(?:unavailable|invalid)$/, what);
    assert.match(await blob, /^(?:unavailable|broken)$/, what);
  }
  const abort = new AbortController();
  registry.handle = () => abort.abort(new Error("enough"));
  await assert.rejects(client().getManifest("team/app", "v1", abort.signal), /enough/);
});

test("a slow reader is no slow server", async () => {
  const whole = Buffer.alloc(3_000_000, 7);
  registry.handle = (_request, response) => void response.writeHead(200, { "content-length": whole.length }).end(whole);
  const found = await client().getBlob("team/app", digest, {});
  assert.ok(found.outcome === "found");
  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.ok((await readBytes(found.body, 4_000_000)).equals(whole));
});

test("a streamed body is sent once, after the registry was asked how it wants to be asked", async () => {
  registry.handle = (request, response) => {
    if (request.headers.authorization !== aliceBasic) return challenge(response, "Basic");
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk)).on("end", () => response.writeHead(202).end(Buffer.concat(chunks)));
  };
  const uploader = client();
  const scope = { repository: "team/app", actions: "pull,push" } as const;
  const answer = await uploader.request({
    method: "PATCH",
    path: "/v2/team/app/blobs/uploads/1",
    body: Readable.from([content, content]),
    scope,
  });
  assert.equal(answer.status, 202);
  assert.deepEqual(await readBytes(answer.body, 1_000), Buffer.concat([content, content]));
  assert.deepEqual(
    registry.seen.map(({ line }) => line),
    ["GET /v2/", "PATCH /v2/team/app/blobs/uploads/1"],
  );
  const elsewhere = `${other.origin}/upload`;
  other.handle = (_request, response) => void response.writeHead(201).end();
  (await uploader.request({ method: "PUT", path: elsewhere, body: content, scope })).body.destroy();
  assert.equal(other.seen[0]?.authorization, undefined);
});

test("manifests and ranges are checked as far as they can be", async () => {
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] }));
  const serve = (headers: Record<string, string>, body: Buffer = manifest): void => {
    registry.handle = (_request, response) => void response.writeHead(200, { "content-type": mediaTypes.ociIndex, ...headers }).end(body);
  };
  serve({});
  const found = await client().getManifest("team/app", "v1");
  assert.ok(found.outcome === "found" && found.digest === digestOf("sha256", manifest));
  const head = await client().headManifest("team/app", "v1");
  assert.ok(head.outcome === "found" && head.digest === found.digest, "without the header, the bytes say it");
  serve({ "docker-content-digest": digest });
  assert.equal(await outcomeOf(client().getManifest("team/app", "v1")), "invalid");
  serve({});
  assert.equal(await outcomeOf(client().getManifest("team/app", digest)), "invalid");
  serve({ "content-encoding": "gzip" });
  assert.equal(await outcomeOf(client().getManifest("team/app", "v1")), "invalid");
  assert.equal(await outcomeOf(client().getManifest("../secrets", "v1")), "invalid");
  serve({});
  assert.equal(await outcomeOf(client().getBlob("team/app", digest, { from: 3 })), "invalid", "the whole instead of a part");
});

test("what throws is an UpstreamError, or what the credentials threw", async () => {
  registry.handle = (_request, response) => challenge(response, "Basic");
  const endpoint = { origin: registry.origin, credentials: async () => Promise.reject(new Error("sealed")) };
  const broken = createRegistryClient({ connections, endpoint, clock: { now: () => now }, log: silentLog });
  await assert.rejects(broken.getManifest("team/app", "v1"), /sealed/);
  const closed = createRegistryClient({
    connections,
    endpoint: { origin: "https://127.0.0.1:1" },
    clock: { now: () => now },
    log: silentLog,
  });
  await assert.rejects(closed.request({ method: "GET", path: "/v2/" }), UpstreamError);
});
