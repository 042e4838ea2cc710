import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { systemRandom } from "#std/random.ts";
import { signInClient, startSignInProvider } from "../../test/sign-in-provider.ts";
import type { Misbehaviour, SignInProvider } from "../../test/sign-in-provider.ts";
import { signIn } from "./login-provider.ts";

let provider: SignInProvider;
let discovery: Record<string, unknown>;
before(async () => {
  provider = await startSignInProvider();
  discovery = { ...provider.issuer.discovery };
});
afterEach(() => {
  for (const name of Object.keys(provider.issuer.discovery)) delete provider.issuer.discovery[name];
  Object.assign(provider.issuer.discovery, discovery);
  for (const name of ["redirect", "claims", "token"] as const) delete provider.wrong[name];
});
after(() => provider.close());

interface Attempt {
  readonly warnings: string[];
  readonly shown: string[];
  readonly token: Promise<string>;
}

/** Signs in with a browser that goes wherever it is sent, unless another one is given. */
function attempt(browse: (url: string) => Promise<unknown> = (url) => fetch(url), clientId = signInClient, timeoutMs = 5_000): Attempt {
  const warnings: string[] = [];
  const shown: string[] = [];
  const token = signIn({
    issuer: new URL(provider.issuer.url),
    clientId,
    timeoutMs,
    random: systemRandom,
    warn: (text) => warnings.push(text),
    show(url) {
      shown.push(url);
      browse(url).catch(() => undefined);
    },
  });
  return { warnings, shown, token };
}

test("a sign-in gives the ID token that was asked for, each with secrets of its own", async () => {
  const tries = [attempt(), attempt()];
  for (const { token, warnings } of tries) {
    assert.equal((await token).split(".").length, 3);
    assert.deepEqual(warnings, []);
  }
  const [first, second] = tries.map(({ shown }) => new URL(shown[0] ?? "").searchParams);
  assert.deepEqual([first?.get("scope"), first?.get("prompt"), first?.get("code_challenge_method")], ["openid", "login", "S256"]);
  for (const name of ["state", "nonce", "code_challenge"]) {
    assert.match(first?.get(name) ?? "", /^[\w-]{43}$/);
    assert.notEqual(first?.get(name), second?.get(name), name);
  }
});

test("an issuer that ends with a slash may be given without, and one that is somebody else is refused", async () => {
  provider.issuer.discovery["issuer"] = `${provider.issuer.url}/`;
  provider.wrong.claims = { iss: `${provider.issuer.url}/` };
  assert.ok(await attempt().token);
  provider.issuer.discovery["issuer"] = "https://elsewhere.example";
  await assert.rejects(attempt().token, /calls itself "https:\/\/elsewhere\.example"; give --issuer as it does/);
});

test("a redirect with another state is refused, and the right one is still taken", async () => {
  provider.wrong.redirect = { state: "guessed" };
  const statuses: number[] = [];
  const { token, warnings } = attempt(async (url) => {
    statuses.push((await fetch(url)).status);
    delete provider.wrong.redirect;
    statuses.push((await fetch(url)).status);
  });
  assert.ok(await token);
  assert.deepEqual(statuses, [400, 200]);
  assert.match(warnings.join("\n"), /another sign-in.*it was refused$/);
});

test("a browser that never comes back is not waited for", async () => {
  await assert.rejects(attempt(() => Promise.resolve(), signInClient, 30).token, /nobody signed in/);
});

const json = (status: number, body: object): NonNullable<Misbehaviour["token"]> => ({ status, body: JSON.stringify(body) });
const noToken = /^Error: the provider's answer holds no usable ID token$/;
const cases: readonly (readonly [what: string, wrong: Misbehaviour, says: RegExp])[] = [
  [
    "the person said no",
    { redirect: { error: "access_denied", error_description: "The user\u001b[2J said\nno", code: undefined } },
    /^Error: the provider did not sign you in: access_denied: The user \[2J said no$/,
  ],
  ["no code", { redirect: { code: undefined } }, /holds no code$/],
  ["the answer names another provider", { redirect: { iss: "https://elsewhere.example" } }, /came from another provider/],
  ["a code that is not its own", { redirect: { code: "stolen" } }, /gives no token \(status 400\): invalid_grant$/],
  [
    "a refusal by the token endpoint",
    { token: json(401, { error: "invalid_client", error_description: "unknown" }) },
    /\(status 401\): invalid_client: unknown$/,
  ],
  ["a refusal without words", { token: { status: 503, body: "<html>" } }, /\(status 503\): it does not say why$/],
  ["a redirect by the token endpoint", { token: { status: 302, body: "" } }, /\(status 302\)/],
  [
    "an answer without end",
    { token: { status: 200, body: " ".repeat(1_100_000) } },
    /cannot be asked: it answers with more than 1048576 bytes$/,
  ],
  ["no JSON", { token: { status: 200, body: "id_token=x" } }, noToken],
  ["no ID token", { token: json(200, { access_token: "x" }) }, noToken],
  ["a long ID token", { token: json(200, { id_token: "x".repeat(20_001) }) }, noToken],
  ["an ID token that is none", { token: json(200, { id_token: "opaque" }) }, /ID token cannot be read$/],
  ["another nonce", { claims: { nonce: "of another sign-in" } }, /belongs to another sign-in/],
  ["another issuer", { claims: { iss: "https://elsewhere.example" } }, /issued by somebody else$/],
  ["another audience", { claims: { aud: ["a", "b"] } }, /is not for the client 'supercargo-cli'$/],
];
for (const [what, wrong, says] of cases) {
  test(`refused: ${what}`, async () => {
    Object.assign(provider.wrong, wrong);
    await assert.rejects(attempt().token, says);
  });
}

const published: readonly (readonly [what: string, document: object, says: RegExp])[] = [
  ["no authorization endpoint", { authorization_endpoint: undefined }, /publishes no usable authorization_endpoint$/],
  ["a script", { authorization_endpoint: "javascript:alert(1)" }, /publishes no usable authorization_endpoint$/],
  ["a token endpoint without TLS elsewhere", { token_endpoint: "http://idp.example/token" }, /publishes no usable token_endpoint$/],
  ["an answer that must say who it is from", { authorization_response_iss_parameter_supported: true }, /came from another provider/],
];
for (const [what, document, says] of published) {
  test(`refused: ${what}`, async () => {
    Object.assign(provider.issuer.discovery, document);
    await assert.rejects(attempt().token, says);
  });
}

test("the code is of no use to another client", async () => {
  const { token } = attempt((url) => fetch(url.replace("client_id=another", `client_id=${signInClient}`)), "another");
  await assert.rejects(token, /gives no token \(status 400\): invalid_grant$/);
});

test("an issuer that is not there, and one that is none", async () => {
  const start = (issuer: string): Promise<string> =>
    signIn({
      issuer: new URL(issuer),
      clientId: signInClient,
      timeoutMs: 1_000,
      random: systemRandom,
      show: () => assert.fail(),
      warn: () => assert.fail(),
    });
  await assert.rejects(start("http://127.0.0.1:1"), /^Error: the issuer http:\/\/127\.0\.0\.1:1 cannot be asked: ./);
  await assert.rejects(start(`${provider.issuer.url}/realms/none`), /realms\/none is no OpenID Connect provider: its .* answers 404$/);
});
