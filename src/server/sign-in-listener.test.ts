import assert from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { listenForSignIn } from "./sign-in-listener.ts";
import type { SignInListener } from "./sign-in-listener.ts";

const state = "the-state-of-this-sign-in";
/** A listener that ends with its test. */
async function listen(t: TestContext, onStranger = (): void => undefined): Promise<SignInListener> {
  const listener = await listenForSignIn(state, onStranger);
  t.after(() => listener.close());
  return listener;
}

interface Sent {
  readonly method?: string;
  readonly host?: string;
}

function statusOf(redirectUri: string, target: string, options: Sent = {}): Promise<number | undefined> {
  const { port, host } = new URL(redirectUri);
  return new Promise((resolve, reject) => {
    const sent = { host: "127.0.0.1", port, path: target, method: options.method ?? "GET", headers: { host: options.host ?? host } };
    request(sent, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });
}

test("the redirect of this sign-in is taken once, and its page holds nothing of it", async (t) => {
  const listener = await listen(t);
  assert.match(listener.redirectUri, /^http:\/\/127\.0\.0\.1:\d+\/callback$/);
  const waiting = listener.waitForAnswer(5_000);
  const page = await fetch(`${listener.redirectUri}?code=<b>c0de</b>&state=${state}`);
  assert.equal(page.status, 200);
  assert.match(page.headers.get("content-security-policy") ?? "", /default-src 'none'/);
  const text = await page.text();
  assert.match(text, /You can close this window/);
  assert.doesNotMatch(text, /c0de|the-state/);
  assert.equal((await waiting).get("code"), "<b>c0de</b>");
  assert.equal(await statusOf(listener.redirectUri, `/callback?code=other&state=${state}`), 410);
  assert.equal((await listener.waitForAnswer(5_000)).get("code"), "<b>c0de</b>");
});

test("a refusal is an answer too, and the page does not say that all is well", async (t) => {
  const listener = await listen(t);
  const waiting = listener.waitForAnswer(5_000);
  const page = await fetch(`${listener.redirectUri}?error=access_denied&state=${state}`);
  assert.match(await page.text(), /did not sign you in/);
  assert.equal((await waiting).get("error"), "access_denied");
});

const refused: readonly (readonly [what: string, target: string, status: number, options?: Sent])[] = [
  ["no state", "/callback?code=c", 400],
  ["another state", `/callback?code=c&state=${state}x`, 400],
  ["a state of the same length", `/callback?code=c&state=${"x".repeat(state.length)}`, 400],
  ["two states", `/callback?code=c&state=${state}&state=${state}`, 400],
  ["another path", `/callback/x?code=c&state=${state}`, 404],
  ["the root", `/?code=c&state=${state}`, 404],
  ["another method", `/callback?code=c&state=${state}`, 404, { method: "POST" }],
  ["another name for this machine", `/callback?code=c&state=${state}`, 404, { host: "rebound.example" }],
  ["a whole address of another host", `http://rebound.example/callback?state=${state}`, 404, { host: "rebound.example" }],
];
test("what is not the redirect of this sign-in is refused, and the sign-in waits on", async (t) => {
  let strangers = 0;
  const listener = await listen(t, () => strangers++);
  let isAnswered = false;
  const waiting = listener.waitForAnswer(5_000).then((answer) => {
    isAnswered = true;
    return answer;
  });
  for (const [what, target, status, options] of refused) assert.equal(await statusOf(listener.redirectUri, target, options), status, what);
  assert.deepEqual([isAnswered, strangers], [false, 1]);
  assert.equal(await statusOf(listener.redirectUri, `/callback?code=c&state=${state}`), 200);
  assert.equal((await waiting).get("code"), "c");
});

test("waiting ends", async (t) => {
  const listener = await listen(t);
  await assert.rejects(listener.waitForAnswer(20), /nobody signed in within 1 minutes; run the command again/);
});
