/** An OpenID Connect issuer on loopback that signs whatever a test wants it to. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import type { JWK, JWTPayload } from "jose";

/** A signing key with its public half as the issuer shows it. */
export interface IssuerKey {
  readonly keyId: string;
  readonly algorithm: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

/** A running issuer. */
export interface FakeIssuer {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  /** `127.0.0.1:<port>`: the name of its provider. */
  readonly host: string;
  /** What it publishes; a test may change it. */
  readonly keys: IssuerKey[];
  /** What the discovery document says besides; a test may change it. */
  readonly discovery: Record<string, unknown>;
  /** The paths that were asked for, in order. */
  readonly asked: string[];
  /** Signs claims, by its first key unless told otherwise. Issued at `now` (seconds) for ten minutes unless the claims say otherwise. */
  sign(claims: JWTPayload, now: number, by?: { readonly key?: IssuerKey; readonly header?: object }): Promise<string>;
  close(): Promise<void>;
}

/** Makes a key pair. */
export async function makeIssuerKey(keyId: string, algorithm = "RS256"): Promise<IssuerKey> {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
  return { keyId, algorithm, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid: keyId, alg: algorithm, use: "sig" } };
}

/** Starts an issuer with one key, `first`. Close it, or the test run does not end. */
export async function startFakeIssuer(): Promise<FakeIssuer> {
  const keys = [await makeIssuerKey("first")];
  const asked: string[] = [];
  const discovery: Record<string, unknown> = {};
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    const isKeys = request.url === "/keys";
    const isKnown = isKeys || request.url === "/.well-known/openid-configuration";
    const body = isKeys ? { keys: keys.map((key) => key.publicJwk) } : { issuer: url, jwks_uri: `${url}/keys`, ...discovery };
    response.writeHead(isKnown ? 200 : 404, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const url = `http://${host}`;
  return {
    url,
    host,
    keys,
    discovery,
    asked,
    async sign(claims, now, { key = keys[0], header = {} } = {}) {
      if (key === undefined) throw new Error("the issuer has no key");
      const payload = { iss: url, iat: now, exp: now + 600, ...claims };
      return new SignJWT(payload).setProtectedHeader({ alg: key.algorithm, kid: key.keyId, ...header }).sign(key.privateKey);
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
