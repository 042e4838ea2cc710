/** An OpenID Connect provider on loopback at which everybody is signed in at once: authorization code with PKCE, as strict as real ones. */
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { JWTPayload } from "jose";
import { startFakeIssuer } from "./fake-issuer.ts";
import type { FakeIssuer } from "./fake-issuer.ts";

/** The client that it knows. */
export const signInClient = "supercargo-cli";

/** What it does otherwise than it should; a test may change it. */
export interface Misbehaviour {
  /** In the redirect; `undefined` as a value leaves a parameter out. */
  redirect?: Readonly<Record<string, string | undefined>>;
  /** In the ID token. */
  claims?: JWTPayload;
  /** Instead of the token endpoint's answer. */
  token?: { readonly status: number; readonly body: string };
}

/** A running provider. */
export interface SignInProvider {
  readonly issuer: FakeIssuer;
  readonly wrong: Misbehaviour;
  /** How many tokens it gave. */
  givenTokens(): number;
  close(): Promise<void>;
}

/** Starts one. Close it, or the test run does not end. */
export async function startSignInProvider(): Promise<SignInProvider> {
  const issuer = await startFakeIssuer();
  const wrong: Misbehaviour = {};
  const begun = new Map<string, URLSearchParams>();
  let given = 0;

  const authorize = (asked: URLSearchParams, response: ServerResponse): void => {
    const redirect = URL.parse(asked.get("redirect_uri") ?? "");
    const isGood =
      asked.get("response_type") === "code" &&
      asked.get("client_id") === signInClient &&
      asked.get("scope")?.split(" ").includes("openid") === true &&
      asked.get("code_challenge_method") === "S256" &&
      redirect?.protocol === "http:" &&
      redirect.hostname === "127.0.0.1";
    if (!isGood || redirect === null) return void response.writeHead(400).end("not a request for a code");
    const code = `code-${begun.size}`;
    begun.set(code, asked);
    const answer: Record<string, string | undefined> = { code, state: asked.get("state") ?? "", ...wrong.redirect };
    for (const [name, value] of Object.entries(answer)) if (value !== undefined) redirect.searchParams.set(name, value);
    return void response.writeHead(302, { location: redirect.href }).end();
  };

  const token = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    const code = form.get("code") ?? "";
    const asked = begun.get(code);
    begun.delete(code);
    const challenge = createHash("sha256")
      .update(form.get("code_verifier") ?? "")
      .digest("base64url");
    const isGood =
      request.method === "POST" &&
      form.get("grant_type") === "authorization_code" &&
      form.get("client_id") === signInClient &&
      form.get("redirect_uri") === asked?.get("redirect_uri") &&
      challenge === asked?.get("code_challenge");
    if (wrong.token !== undefined) return void response.writeHead(wrong.token.status).end(wrong.token.body);
    if (!isGood) return void response.writeHead(400).end(JSON.stringify({ error: "invalid_grant" }));
    given += 1;
    const claims = { aud: signInClient, sub: "sailor-7", nonce: asked?.get("nonce") ?? "", ...wrong.claims };
    const idToken = await issuer.sign(claims, Math.floor(Date.now() / 1000));
    return void response.writeHead(200).end(JSON.stringify({ access_token: "opaque", token_type: "Bearer", id_token: idToken }));
  };

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://provider.example");
    if (url.pathname === "/authorize") authorize(url.searchParams, response);
    else if (url.pathname === "/token") void token(request, response);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  Object.assign(issuer.discovery, { authorization_endpoint: `${base}/authorize?prompt=login`, token_endpoint: `${base}/token` });
  return {
    issuer,
    wrong,
    givenTokens: () => given,
    async close() {
      server.closeAllConnections();
      await Promise.all([issuer.close(), new Promise((resolve) => server.close(resolve))]);
    },
  };
}
