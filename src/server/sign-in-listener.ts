/**
 * Waits on loopback for the browser that comes back from an identity provider (RFC 8252 section 7.3), shows it a small page, and hands on what
 * the provider said. Whatever runs on this machine, and whatever page is open in its browsers, can send requests here: only what
 * carries the state that this sign-in began with is taken, once, and nothing of a request is ever shown.
 */
import { timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A listener for one sign-in. */
export interface SignInListener {
  /** `http://127.0.0.1:<a random port>/callback`: where the provider shall send the browser. */
  readonly redirectUri: string;
  /** The parameters of the redirect, once its page has been sent. Rejects with words for a person when none comes in time. */
  waitForAnswer(timeoutMs: number): Promise<URLSearchParams>;
  /** Ends it, with all connections. */
  close(): Promise<void>;
}

const path = "/callback";
const headers = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": "default-src 'none'",
  "cache-control": "no-store",
  // The code is in the address.
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  connection: "close",
};

/** Starts listening. `onStranger` hears of the first redirect that carries another state: such are refused, and the sign-in waits on. */
export async function listenForSignIn(state: string, onStranger: () => void): Promise<SignInListener> {
  const answer = Promise.withResolvers<URLSearchParams>();
  let isTaken = false;
  let isWarned = false;
  let host = "";
  const server = createServer((request, response) => {
    const parameters = redirectOf(request, host);
    if (parameters === undefined) return show(response, 404, "There is nothing here.");
    if (!carries(parameters, state)) {
      if (!isWarned) onStranger();
      isWarned = true;
      return show(
        response,
        400,
        "This answer does not belong to the sign-in that is waiting here. Go back to the terminal and start again.",
      );
    }
    if (isTaken) return show(response, 410, "This sign-in has its answer already. Go back to the terminal.");
    isTaken = true;
    const text = parameters.has("error")
      ? "Your provider did not sign you in. The terminal says why."
      : "Your provider has answered. You can close this window and go back to the terminal.";
    return show(response, 200, text, () => answer.resolve(parameters));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    redirectUri: `http://${host}${path}`,
    async waitForAnswer(timeoutMs) {
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(() => {
        late.reject(new Error(`nobody signed in within ${Math.ceil(timeoutMs / 60_000)} minutes; run the command again`));
      }, timeoutMs);
      try {
        return await Promise.race([answer.promise, late.promise]);
      } finally {
        clearTimeout(timer);
      }
    },
    async close() {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      // Browsers open connections that they may never use.
      server.closeAllConnections();
      await closed;
    },
  };
}

/** The parameters of a redirect to here; undefined for any other request. A page under another name that resolves to loopback is one. */
function redirectOf(request: IncomingMessage, host: string): URLSearchParams | undefined {
  const url = URL.parse(request.url ?? "", `http://${host}`);
  if (request.method !== "GET" || request.headers.host !== host || url?.pathname !== path) return undefined;
  return url.searchParams;
}

function carries(parameters: URLSearchParams, state: string): boolean {
  const [given = "", ...more] = parameters.getAll("state");
  const [ours, theirs] = [Buffer.from(state), Buffer.from(given)];
  return more.length === 0 && ours.length === theirs.length && timingSafeEqual(ours, theirs);
}

function show(response: ServerResponse, status: number, text: string, done?: () => void): void {
  response.writeHead(status, headers);
  response.end(`<!doctype html><html lang="en"><title>Supercargo</title><p>${text}</p></html>\n`);
  // Also when the browser went away before it had the page.
  if (done !== undefined) response.once("close", done);
}
