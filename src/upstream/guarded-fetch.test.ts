import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { needs } from "../../test/clients/tool.ts";
import { createGuardedFetch } from "./guarded-fetch.ts";

let server: Server;
let port = 0;
const asked: string[] = [];

before(async () => {
  server = createServer((request, response) => {
    const path = request.url ?? "";
    asked.push(path);
    const json = { "content-type": "application/json" };
    if (path === "/good") response.writeHead(200, { "content-type": "application/jwk-set+json; charset=utf-8" }).end('{"a":[1]}');
    else if (path === "/host") response.writeHead(200, json).end(JSON.stringify(request.headers.host));
    else if (path === "/redirect") response.writeHead(302, { ...json, location: "/good" }).end("{}");
    else if (path === "/html") response.writeHead(200, { "content-type": "text/html" }).end("{}");
    else if (path === "/nearly") response.writeHead(200, { "content-type": "application/jsonp" }).end("{}");
    else if (path === "/gzip") response.writeHead(200, { ...json, "content-encoding": "gzip" }).end("{}");
    else if (path === "/broken") response.writeHead(200, json).end('{"a":1,"a":2}');
    else if (path === "/large") response.writeHead(200, json).end(`"${"x".repeat(1_000)}"`);
    else if (path === "/cut") response.writeHead(200, { ...json, "content-length": "10" }).write("{", () => response.destroy());
    else if (path === "/slow") response.writeHead(200, json).write("{");
    else if (path !== "/silent") response.writeHead(404, json).end("{}");
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  ({ port } = server.address() as AddressInfo);
});

after(() => {
  server.closeAllConnections();
  server.close();
});

test("a trusted host answers JSON, and every other answer is a failure", async () => {
  const fetchJson = createGuardedFetch({ trustedHosts: [`127.0.0.1:${port}`, "localhost"], timeoutMs: 300, maxBytes: 1_000 });
  const at = (path: string) => fetchJson(`http://127.0.0.1:${port}${path}`);
  assert.deepEqual(await at("/good"), { ok: true, value: { a: [1] } });
  assert.deepEqual(await fetchJson(`http://localhost:${port}/host`), { ok: true, value: `localhost:${port}` });
  const bad: readonly (readonly [string, string, RegExp])[] = [
    ["/redirect", "unusable", /status 302/],
    ["/missing", "unusable", /status 404/],
    ["/html", "unusable", /content type 'text\/html'/],
    ["/nearly", "unusable", /content type/],
    ["/gzip", "unusable", /encoded/],
    ["/broken", "unusable", /duplicate key/],
    ["/large", "unusable", /more than 1000 bytes/],
    ["/cut", "unreachable", /aborted|hang up/],
    ["/slow", "unreachable", /./],
    ["/silent", "unreachable", /./],
  ];
  await Promise.all(
    bad.map(async ([path, kind, words]) => {
      const answer = await at(path);
      assert.equal(answer.ok, false, path);
      assert.equal(answer.kind, kind, path);
      assert.match(answer.problem, words, path);
    }),
  );
  assert.equal(asked.filter((path) => path === "/good").length, 1, "the redirect was not followed");
});

test("what is not trusted and not public is not asked", async () => {
  const fetchJson = createGuardedFetch({ trustedHosts: [`127.0.0.1:${port + 1}`], timeoutMs: 300 });
  const before = asked.length;
  const urls = [
    `http://127.0.0.1:${port}/good`,
    `https://127.0.0.1:${port}/good`,
    `https://localhost:${port}/good`,
    `https://localhost.:${port}/good`,
    `https://2130706433:${port}/good`,
    `https://0x7f.1:${port}/good`,
    `https://0177.0.0.1:${port}/good`,
    `https://[::ffff:127.0.0.1]:${port}/good`,
    `https://[::1]:${port}/good`,
    "https://169.254.169.254/latest/meta-data",
    `https://user:password@127.0.0.1:${port + 1}/good`,
    "http://example.com/",
    "file:///etc/passwd",
    "data:application/json,{}",
    "gopher://127.0.0.1/",
    "no url",
    `https://example.com/${"x".repeat(2_048)}`,
  ];
  for (const url of urls) {
    const answer = await fetchJson(url);
    assert.equal(answer.ok, false, url);
    assert.ok(answer.kind === "refused" || url.includes("localhost."), `${url}: ${answer.kind} ${answer.problem}`);
  }
  assert.equal(asked.length, before);
});

test("nobody there is told apart from the wrong one there", async () => {
  const nobody = createServer();
  await new Promise<void>((resolve) => void nobody.listen(0, "127.0.0.1", resolve));
  const free = (nobody.address() as AddressInfo).port;
  await new Promise((resolve) => nobody.close(resolve));
  const fetchJson = createGuardedFetch({ trustedHosts: ["127.0.0.1", "does-not-exist.invalid"], timeoutMs: 2_000 });
  for (const url of [`http://127.0.0.1:${free}/`, "https://does-not-exist.invalid/"]) {
    const answer = await fetchJson(url);
    assert.ok(!answer.ok && answer.kind === "unreachable", url);
  }
});

test("only so many are asked at once", async () => {
  const fetchJson = createGuardedFetch({ trustedHosts: ["127.0.0.1"], timeoutMs: 200 });
  const answers = await Promise.all(Array.from({ length: 40 }, () => fetchJson(`http://127.0.0.1:${port}/silent`)));
  const turnedAway = answers.filter((answer) => !answer.ok && answer.problem.startsWith("too many"));
  assert.equal(turnedAway.length, 8);
  assert.equal((await fetchJson(`http://127.0.0.1:${port}/good`)).ok, true);
});

test("over TLS the certificate must be good, and for the name that was asked for", needs("openssl"), async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "supercargo-upstream-"));
  const authorities = getCACertificates("default");
  t.after(() => {
    setDefaultCACertificates(authorities);
    rmSync(folder, { recursive: true, force: true });
  });
  const [key, cert] = [join(folder, "key"), join(folder, "cert")];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const subject = ["-subj", "/CN=upstream", "-addext", "subjectAltName=DNS:localhost"];
  const made = spawnSync("openssl", ["req", "-x509", ...kind, ...subject, "-keyout", key, "-out", cert], { encoding: "utf8" });
  assert.equal(made.status, 0, made.stderr);
  const secure = createSecureServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_request, response) => {
    response.writeHead(200, { "content-type": "application/json" }).end("true");
  });
  t.after(() => {
    secure.closeAllConnections();
    secure.close();
  });
  await new Promise<void>((resolve) => void secure.listen(0, "127.0.0.1", resolve));
  const at = (secure.address() as AddressInfo).port;
  const fetchJson = createGuardedFetch({ trustedHosts: ["localhost", "127.0.0.1"], timeoutMs: 2_000 });
  const kindOf = async (host: string): Promise<unknown> => {
    const answer = await fetchJson(`https://${host}:${at}/`);
    return answer.ok ? answer.value : answer.kind;
  };
  assert.equal(await kindOf("localhost"), "untrusted-certificate");
  setDefaultCACertificates([...authorities, readFileSync(cert, "utf8")]);
  assert.equal(await kindOf("localhost"), true);
  assert.equal(await kindOf("127.0.0.1"), "untrusted-certificate");
});
