/**
 * A person signs in at an OpenID Connect provider in the browser: discovery, authorization code with PKCE, redirect to loopback (OpenID Connect
 * Core 3.1, RFC 7636, RFC 8252). What comes out is an ID token for this sign-in; whether it is genuine is for the registry to judge.
 */
import { createHash } from "node:crypto";
import { listenForSignIn } from "#server/sign-in-listener.ts";
import type { Json } from "#std/json.ts";
import type { Random } from "#std/random.ts";
import { ask, isConfidential, onOneLine, readObject } from "./ask.ts";

/** Where and as what a person signs in. */
export interface SignInOptions {
  readonly issuer: URL;
  readonly clientId: string;
  /** How long the person may take. */
  readonly timeoutMs: number;
  readonly random: Random;
  /** Gets the address that must be opened in a browser. */
  readonly show: (url: string) => void;
  /** Told of what the person should know, and what ends nothing. */
  readonly warn: (text: string) => void;
}

interface Provider {
  /** As the provider writes it; its tokens must say the same. */
  readonly issuer: string;
  readonly authorization: URL;
  readonly token: URL;
  /** It says in every answer who it is (RFC 9207). */
  readonly namesItself: boolean;
}

type Claims = Readonly<Record<string, Json>>;

/** STS takes no longer ones. */
const maxTokenLength = 20_000;

/** Answers the ID token. Rejects with words for a person. */
export async function signIn(options: SignInOptions): Promise<string> {
  const { clientId, random } = options;
  const provider = await discover(options.issuer);
  const secret = (): string => random.bytes(32).toString("base64url");
  const [state, nonce, verifier] = [secret(), secret(), secret()];
  const listener = await listenForSignIn(state, () =>
    options.warn("a browser came back from another sign-in, or from one that somebody else began; it was refused"),
  );
  try {
    const { redirectUri } = listener;
    const challenge = createHash("sha256").update(verifier).digest("base64url");
    options.show(authorizationUrl(provider, { clientId, redirectUri, state, nonce, challenge }));
    const code = codeOf(await listener.waitForAnswer(options.timeoutMs), provider);
    return await exchange(provider, { clientId, redirectUri, code, verifier, nonce });
  } finally {
    await listener.close();
  }
}

/** Reads what the provider publishes about itself (OpenID Connect Discovery 4). */
async function discover(issuer: URL): Promise<Provider> {
  const base = `${issuer.origin}${issuer.pathname}`.replace(/\/$/, "");
  const who = `the issuer ${base}`;
  const { status, text } = await ask(who, new URL(`${base}/.well-known/openid-configuration`));
  const document = readObject(text);
  if (status !== 200 || document === undefined)
    throw new Error(`${who} is no OpenID Connect provider: its /.well-known/openid-configuration answers ${status}`);
  const said = document["issuer"];
  if (typeof said !== "string" || said.replace(/\/$/, "") !== base)
    throw new Error(`${who} calls itself ${onOneLine(JSON.stringify(said ?? null))}; give --issuer as it does`);
  const endpoint = (name: string): URL => {
    const value = document[name];
    const url = typeof value === "string" ? URL.parse(value) : null;
    // Plain http is for a provider on this machine only; no other may send a code there.
    if (url === null || !isConfidential(url) || (issuer.protocol === "https:" && url.protocol !== "https:"))
      throw new Error(`${who} publishes no usable ${name}`);
    return url;
  };
  return {
    issuer: said,
    authorization: endpoint("authorization_endpoint"),
    token: endpoint("token_endpoint"),
    namesItself: document["authorization_response_iss_parameter_supported"] === true,
  };
}

function authorizationUrl(
  provider: Provider,
  asked: {
    readonly clientId: string;
    readonly redirectUri: string;
    readonly state: string;
    readonly nonce: string;
    readonly challenge: string;
  },
): string {
  const url = new URL(provider.authorization);
  const parameters = {
    response_type: "code",
    client_id: asked.clientId,
    redirect_uri: asked.redirectUri,
    scope: "openid",
    state: asked.state,
    nonce: asked.nonce,
    code_challenge: asked.challenge,
    code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

/** The code in the provider's answer. Its refusal is thrown in its own words (OpenID Connect Core 3.1.2.6). */
function codeOf(answer: URLSearchParams, provider: Provider): string {
  const issuer = answer.get("iss");
  if (issuer === null ? provider.namesItself : issuer !== provider.issuer)
    throw new Error("the answer in the browser came from another provider; nothing was sent to it");
  const error = answer.get("error");
  if (error !== null) throw new Error(`the provider did not sign you in: ${inWords(error, answer.get("error_description"))}`);
  const [code, ...more] = answer.getAll("code");
  if (code === undefined || code === "" || more.length > 0) throw new Error("the provider's answer in the browser holds no code");
  return code;
}

/** Code against ID token (OpenID Connect Core 3.1.3). */
async function exchange(
  provider: Provider,
  sent: {
    readonly clientId: string;
    readonly redirectUri: string;
    readonly code: string;
    readonly verifier: string;
    readonly nonce: string;
  },
): Promise<string> {
  const form = new URLSearchParams({
    grant_type: "authorization_code",
    code: sent.code,
    redirect_uri: sent.redirectUri,
    client_id: sent.clientId,
    code_verifier: sent.verifier,
  });
  const { status, text } = await ask("the provider's token endpoint", provider.token, form);
  const answer = readObject(text);
  if (status !== 200) {
    const { error, error_description: description } = answer ?? {};
    throw new Error(`the provider gives no token (status ${status}): ${inWords(error ?? "it does not say why", description)}`);
  }
  const token = answer?.["id_token"];
  if (typeof token !== "string" || token.length > maxTokenLength) throw new Error("the provider's answer holds no usable ID token");
  const claims = claimsOf(token);
  if (claims === undefined) throw new Error("the provider's ID token cannot be read");
  // Without this somebody else's token could be slipped in (OpenID Connect Core 3.1.3.7).
  if (claims["nonce"] !== sent.nonce) throw new Error("the provider's ID token belongs to another sign-in (its nonce differs)");
  if (claims["iss"] !== provider.issuer) throw new Error("the provider's ID token was issued by somebody else");
  if (![claims["aud"]].flat().includes(sent.clientId)) throw new Error(`the provider's ID token is not for the client '${sent.clientId}'`);
  return token;
}

function claimsOf(token: string): Claims | undefined {
  const [, payload, signature, ...more] = token.split(".");
  if (payload === undefined || signature === undefined || more.length > 0) return undefined;
  return readObject(Buffer.from(payload, "base64url"));
}

function inWords(error: Json, description: Json | undefined): string {
  return onOneLine([error, description].filter((part): part is string => typeof part === "string" && part !== "").join(": "));
}
