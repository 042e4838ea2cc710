/** Where a connection to another server may go: a URL is judged, its name resolved once, and the connection pinned to what was judged. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { LookupFunction } from "node:net";
import { isPublicAddress, isTrustedHost } from "./address-guard.ts";

/** An address that was judged. */
export interface PinnedAddress {
  readonly address: string;
  readonly family: number;
}

/** Why no connection was made: `refused` for where it would go, `unreachable` for want of an answer. The message may name addresses of this network. */
export class ConnectionRefusal extends Error {
  override readonly name = "ConnectionRefusal";
  readonly kind: "refused" | "unreachable";
  constructor(kind: ConnectionRefusal["kind"], problem: string) {
    super(problem);
    this.kind = kind;
  }
}

const maxUrlLength = 8_192;

/**
 * Reads the URL of another server: https, or http to a trusted host, without credentials in it, of bounded length, and not an address
 * that is closed. Throws ConnectionRefusal.
 */
export function readGuardedUrl(text: string, trustedHosts: readonly string[], maxLength = maxUrlLength): URL {
  const url = text.length <= maxLength ? URL.parse(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) throw new ConnectionRefusal("refused", "not an http(s) URL");
  if (url.username !== "" || url.password !== "") throw new ConnectionRefusal("refused", "a URL with credentials");
  if (url.protocol === "http:" && !isTrustedHost(trustedHosts, url)) throw new ConnectionRefusal("refused", `${url.host} by plain http`);
  // An address is connected to without any look-up, so it is judged here.
  const host = hostOf(url);
  if (isIP(host) !== 0) judge(url, [{ address: host, family: isIP(host) }], trustedHosts);
  return url;
}

/**
 * All addresses of the URL's host. One that is not public spoils the name (unless the host is trusted): which of them is connected to is
 * not for the name's owner to choose. Throws ConnectionRefusal, and what the resolver throws.
 */
export async function resolveGuarded(url: URL, trustedHosts: readonly string[], signal?: AbortSignal): Promise<readonly PinnedAddress[]> {
  const host = hostOf(url);
  const family = isIP(host);
  const addresses = family === 0 ? await unlessAborted(lookup(host, { all: true }), signal) : [{ address: host, family }];
  judge(url, addresses, trustedHosts);
  return addresses;
}

/** A look-up that answers with what was judged; the certificate is still checked for the name. */
export function pinnedLookup(addresses: readonly PinnedAddress[]): LookupFunction {
  return (_host, { all }, answer) => {
    const [first] = addresses;
    if (all === true) answer(null, [...addresses]);
    else if (first === undefined) answer(new Error("the name has no address"), "");
    else answer(null, first.address, first.family);
  };
}

/** Did the other side show a certificate that does not prove who is there? Node's and OpenSSL's names for it. */
export function isCertificateProblem(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return /^(?:ERR_TLS_CERT_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_(?:CA|PURPOSE)|HOSTNAME_MISMATCH|ERROR_IN_CERT)/.test(code);
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, "$1");
}

function judge(url: URL, addresses: readonly PinnedAddress[], trustedHosts: readonly string[]): void {
  if (isTrustedHost(trustedHosts, url)) return;
  const closed = addresses.find(({ address }) => !isPublicAddress(address));
  if (closed !== undefined) throw new ConnectionRefusal("refused", `${url.host} is at ${closed.address}, which is not public`);
}

/** Names cannot be asked for with a signal. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(new ConnectionRefusal("unreachable", "the name was not resolved in time"));
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
