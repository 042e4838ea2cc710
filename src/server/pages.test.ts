import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { rename } from "node:fs/promises";
import { after, before, test } from "node:test";
import type { RegistryCore } from "#registry/context.ts";
import { createFront } from "./front.ts";
import { noAuditLog } from "./audit-log.ts";
import { createMetrics } from "./metrics.ts";
import { createPages } from "./pages.ts";
import type { PagesOptions } from "./pages.ts";
import { askAt, startInProcess } from "./testing/in-process.ts";
import type { Answer, InProcessServer } from "./testing/in-process.ts";

const proxy = "127.0.0.2";
let running: InProcessServer;
before(async () => {
  running = await startInProcess({ SUPERCARGO_TRUSTED_PROXIES: proxy, SUPERCARGO_METRICS_FROM: "127.0.0.1,203.0.113.0/24" });
});
after(() => running.close());

/** Asks pages that stand alone, so that what is behind them can be broken. */
async function askPages(changed: Partial<PagesOptions>, target: string): Promise<Answer> {
  const { core } = running.server.foundation;
  const metrics = createMetrics();
  const base = { core, metrics, metricsFrom: running.settings.metricsFrom, version: "1.2.3", isServing: () => true };
  const pages = createPages({ ...base, ...changed });
  const { clock, random, log } = core;
  const { trustedProxies } = running.settings;
  const front = createFront({
    distribution: pages,
    api: pages,
    machineCredentials: pages,
    pages,
    clock,
    random,
    log,
    auditLog: noAuditLog,
    metrics,
    trustedProxies,
    scheme: "http",
    hostIsKnown: undefined,
  });
  const listener = createServer(front);
  await new Promise<void>((resolve) => void listener.listen(0, "127.0.0.1", resolve));
  try {
    return await askAt((listener.address() as AddressInfo).port, "GET", target);
  } finally {
    listener.closeAllConnections();
    listener.close();
  }
}

test("the first page says what this is", async () => {
  const answer = await running.ask("GET", "/");
  assert.equal(answer.status, 200);
  assert.match(answer.text, /Supercargo 0\.0\.0-test.*\/v2\/.*AWS_ENDPOINT_URL/s);
  assert.deepEqual([answer.headers["x-content-type-options"], answer.headers["content-type"]], ["nosniff", "text/plain; charset=utf-8"]);
});

test("alive and ready", async () => {
  assert.deepEqual((await running.ask("GET", "/healthz")).json(), { status: "ok" });
  assert.deepEqual((await running.ask("GET", "/readyz")).json(), { status: "ready" });
  assert.equal((await running.ask("GET", "/readyz?from=probe")).status, 200);
});

test("not ready while the storage folder is away, and ready again afterwards", async () => {
  const { storageFolder } = running.server.foundation.paths;
  await rename(storageFolder, `${storageFolder}.away`);
  const answer = await running.ask("GET", "/readyz");
  await rename(`${storageFolder}.away`, storageFolder);
  assert.deepEqual([answer.status, answer.json()], [503, { status: "not ready" }]);
  assert.equal((await running.ask("GET", "/healthz")).status, 200);
  assert.equal((await running.ask("GET", "/readyz")).status, 200);
  const requestId = answer.headers["x-amzn-requestid"];
  assert.ok(running.logLines().some((line) => line["msg"] === "not ready" && line["requestId"] === requestId));
});

test("not ready when the database does not answer", async () => {
  const other = await startInProcess();
  const { metadata } = other.server.foundation.core;
  await other.close();
  // A real database, closed: every question to it fails.
  const answer = await askPages({ core: { ...running.server.foundation.core, metadata } }, "/readyz");
  assert.deepEqual([answer.status, answer.json()], [503, { status: "not ready" }]);
});

test("not ready when the storage hangs, and one check serves all who ask meanwhile", async () => {
  const { core } = running.server.foundation;
  let checks = 0;
  const hanging: RegistryCore = {
    ...core,
    storage: {
      ...core.storage,
      async check() {
        checks += 1;
        await new Promise(() => undefined);
      },
    },
  };
  const pages = createPages({
    core: hanging,
    metrics: createMetrics(),
    metricsFrom: running.settings.metricsFrom,
    version: "",
    isServing: () => true,
    checkTimeoutMs: 100,
  });
  const listener = createServer((request, response) => {
    void pages({
      request,
      response,
      requestId: "1",
      host: "x",
      scheme: "http",
      remoteAddress: "127.0.0.1",
      note() {},
      audit() {},
      decided() {},
    });
  });
  await new Promise<void>((resolve) => void listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as AddressInfo;
  const answers = await Promise.all(Array.from({ length: 20 }, () => askAt(port, "GET", "/readyz")));
  listener.closeAllConnections();
  listener.close();
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [503]);
  assert.equal(checks, 1);
});

test("not ready from the moment shutdown begins, but alive", async () => {
  const answer = await askPages({ isServing: () => false }, "/readyz");
  assert.deepEqual([answer.status, answer.json()], [503, { status: "shutting down" }]);
  assert.equal((await askPages({ isServing: () => false }, "/healthz")).status, 200);
});

const readers: readonly (readonly [what: string, from: string, headers: Record<string, string>, status: number])[] = [
  ["an allowed address", "127.0.0.1", {}, 200],
  ["any other address", "127.0.0.3", {}, 403],
  ["any other address, claiming an allowed one", "127.0.0.3", { "x-forwarded-for": "203.0.113.9" }, 403],
  ["an allowed address behind a configured proxy", proxy, { "x-forwarded-for": "203.0.113.9" }, 200],
  ["another address behind a configured proxy", proxy, { "x-forwarded-for": "198.51.100.1" }, 403],
  ["an allowed address that only passes on somebody's request", "127.0.0.1", { "x-forwarded-for": "198.51.100.1" }, 403],
  ["the same by the standard's header", "127.0.0.1", { forwarded: "for=198.51.100.1" }, 403],
];
for (const [what, from, headers, status] of readers) {
  test(`/metrics asked by ${what}: ${status}`, async () => {
    const answer = await running.ask("GET", "/metrics", { from, headers });
    assert.equal(answer.status, status);
    if (status === 403) assert.match(answer.text, /SUPERCARGO_METRICS_FROM/);
  });
}

/** Names of series: everything of a line but its value. */
async function seriesNames(): Promise<string[]> {
  const { text, headers } = await running.ask("GET", "/metrics");
  // The process's own (kinds of garbage collection and the like) come and go, and no client chooses them.
  assert.match(String(headers["content-type"]), /^text\/plain/);
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#") && !line.startsWith("supercargo_nodejs_"))
    .map((line) => line.slice(0, line.lastIndexOf(" ")));
}

/** Whatever a client may choose, chosen at random, in every place where it may be chosen. */
async function askAtRandom(rounds: number, authorization: string): Promise<void> {
  const word = (): string => running.server.foundation.core.random.uuid();
  const headers = { authorization };
  for (let round = 0; round < rounds; round++) {
    await running.ask("GET", `/${word()}`);
    await running.ask("GET", `/v2/${word()}/manifests/${word()}`);
    await running.ask("GET", `/v2/${word()}/manifests/${word()}`, { headers });
    await running.ask("GET", `/v2/${word()}/${word()}/${word()}/${word()}`, { headers });
    await running.ask("PUT", `/v2/${word()}/blobs/${word()}`, { headers });
    await running.ask("GET", `/download/${word()}`);
    await running.ask("POST", "/", { headers: { "x-amz-target": `AmazonEC2ContainerRegistry_V20150921.${word()}` }, body: "{}" });
    await running.ask("POST", "/", { headers: { "x-amz-target": word() } });
    await running.ask("GET", `/?Action=${word()}&Version=${word()}`);
    const methods = ["PROPFIND", "SEARCH", "MKCOL", "TRACE", "REPORT", "PURGE", "LOCK", "NOTIFY"];
    await running.ask(methods[round % methods.length] ?? "", `/${word()}`);
    await running.ask(methods[round % methods.length] ?? "", `/v2/${word()}/tags/list`, { headers });
    await running.ask("GET", "/healthz", { headers: { host: word(), "user-agent": word() } });
    await running.sendRaw(
      `${word()
        .replaceAll(/[^a-z]/g, "")
        .toUpperCase()} / HTTP/1.1\r\nHost: x\r\n\r\n`,
    );
  }
}

test("the number of series does not depend on what clients ask for", async () => {
  const { authorizationData } = await running.call<{ authorizationData: { authorizationToken: string }[] }>("GetAuthorizationToken", {});
  const authorization = `Basic ${authorizationData[0]?.authorizationToken}`;
  await askAtRandom(1, authorization);
  const first = await seriesNames();
  await askAtRandom(100, authorization);
  const later = await seriesNames();
  assert.deepEqual(
    later.filter((name) => !first.includes(name)),
    [],
  );
  assert.ok(later.some((name) => name.startsWith('supercargo_requests_total{route="')));
  assert.ok(!later.some((name) => /[0-9a-f]{8}-[0-9a-f]{4}/.test(name)));
});

test("the metrics count what happened", async () => {
  const valueOf = async (series: string): Promise<number> => {
    const line = (await running.ask("GET", "/metrics")).text.split("\n").find((text) => text.startsWith(`${series} `));
    return Number(line?.slice(series.length + 1));
  };
  const series = 'supercargo_requests_total{route="/healthz",status="200"}';
  const counted = await valueOf(series);
  for (let index = 0; index < 3; index++) await running.ask("GET", "/healthz");
  assert.equal(await valueOf(series), counted + 3);
  assert.ok((await valueOf("supercargo_received_bytes_total")) > 0);
  assert.ok((await valueOf("supercargo_sent_bytes_total")) > 0);
  // The one that asks is running.
  assert.equal(await valueOf("supercargo_requests_running"), 1);
});
