import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import type { EcrEvent } from "#events/event.ts";
import { createWebhook } from "./event-webhook.ts";

const secret = "a secret of the receiver";
const now = Date.UTC(2026, 10, 2, 8, 15, 30, 999);
let url: string;
let status = 200;
let headers: Record<string, string> = {};
const received: { readonly request: IncomingMessage; readonly body: string }[] = [];
const server = createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
  request.once("end", () => {
    received.push({ request, body });
    response.writeHead(status, headers).end("thanks");
  });
});
before(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?a=b`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

const events = ["v1", "v2"].map((tag) => ({ id: tag, detail: { "image-tag": `${tag} ü` } }) as unknown as EcrEvent);
const signal = AbortSignal.timeout(20_000);
const webhook = (trustedHosts: readonly string[] = ["127.0.0.1"]) =>
  createWebhook({ url, secret, trustedHosts, clock: { now: () => now } });

/** As a receiver in a browser's runtime would do it. */
async function isSignedBy(key: string, header: string, body: string): Promise<boolean> {
  const [, seconds = "", mac = ""] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(header) ?? [];
  const imported = await crypto.subtle.importKey("raw", Buffer.from(key), { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  return crypto.subtle.verify("HMAC", imported, Buffer.from(mac, "hex"), Buffer.from(`${seconds}.${body}`));
}

test("events come as a JSON array with a signature that others can check", async () => {
  const target = webhook();
  assert.deepEqual(await target.send(events, signal), [{ outcome: "delivered" }, { outcome: "delivered" }]);
  await target.close();
  const { request, body } = received.at(-1) ?? assert.fail("nothing came");
  assert.deepEqual([request.method, request.url, request.headers["content-type"]], ["POST", "/hook?a=b", "application/json"]);
  assert.deepEqual(JSON.parse(body), events);
  const header = String(request.headers["x-supercargo-signature"]);
  assert.ok(header.startsWith(`t=${Math.floor(now / 1000)},`));
  assert.equal(await isSignedBy(secret, header, body), true);
  assert.equal(await isSignedBy("another secret", header, body), false);
  assert.equal(await isSignedBy(secret, header, `${body} `), false);
});

const answers: readonly (readonly [status: number, outcome: string])[] = [
  [202, "delivered"],
  [204, "delivered"],
  [302, "failed"],
  [400, "refused"],
  [408, "failed"],
  [413, "refused"],
  [429, "failed"],
  [500, "failed"],
  [503, "failed"],
];
for (const [answer, outcome] of answers) {
  test(`an answer of ${answer} means ${outcome}`, async () => {
    status = answer;
    headers = answer === 302 ? { location: url } : {};
    const before = received.length;
    const target = webhook();
    assert.deepEqual(
      (await target.send(events, signal)).map((one) => one.outcome),
      [outcome, outcome],
    );
    await target.close();
    assert.equal(received.length, before + 1, "no redirect is followed");
    status = 200;
    headers = {};
  });
}

test("an address of this network that nobody named is not asked", async () => {
  const before = received.length;
  const target = webhook([]);
  await assert.rejects(target.send(events, signal), /plain http|not public/);
  await target.close();
  assert.equal(received.length, before);
});

test("a receiver that does not answer is left when the time is over", async () => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const place = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
  const target = createWebhook({ url: place, secret, trustedHosts: ["127.0.0.1"], clock: { now: () => now } });
  await assert.rejects(target.send(events, AbortSignal.timeout(50)));
  await target.close();
  silent.closeAllConnections();
  silent.close();
});
