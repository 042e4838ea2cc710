/**
 * Events by HTTP: one POST with a JSON array of events, signed. The header `x-supercargo-signature: t=<seconds>,v1=<hex>` carries the
 * HMAC-SHA256, under the shared secret, of `<t>.<body>`; whoever checks it should refuse a `t` of long ago.
 */
import { createHmac } from "node:crypto";
import type { EventTarget } from "#events/target.ts";
import type { Clock } from "#std/clock.ts";
import { createGuardedConnections } from "#upstream/connections.ts";

/** What a webhook is made with. */
export interface WebhookOptions {
  readonly url: string;
  readonly secret: string;
  /** Private addresses and plain http only here. */
  readonly trustedHosts: readonly string[];
  readonly clock: Clock;
}

const maxEvents = 100;
const maxBytes = 262_144;
const headersMs = 15_000;

/** Makes the target. Any 2xx is a yes; 408, 429, redirects and 5xx are tried again; every other 4xx is a no. */
export function createWebhook({ url, secret, trustedHosts, clock }: WebhookOptions): EventTarget {
  const connections = createGuardedConnections({ trustedHosts, headersMs, maxPerHost: 1 });
  return {
    maxEvents,
    maxBytes,
    async send(events, signal) {
      const body = Buffer.from(JSON.stringify(events));
      const answer = await connections.send({
        method: "POST",
        url,
        headers: {
          "content-type": "application/json",
          "x-supercargo-signature": signatureOf(secret, Math.floor(clock.now() / 1_000), body),
        },
        body,
        signal,
      });
      // What it says is of no use; a short answer is read so that the connection can be used again.
      if (Number(answer.headers["content-length"] ?? Infinity) <= maxBytes) answer.body.resume();
      else answer.body.destroy();
      const { status } = answer;
      if (status >= 200 && status < 300) return events.map(() => ({ outcome: "delivered" }));
      const isRefusal = status >= 400 && status < 500 && status !== 408 && status !== 429;
      return events.map(() => ({ outcome: isRefusal ? "refused" : "failed", reason: `the receiver answered ${status}` }));
    },
    async close() {
      connections.close();
    },
  };
}

function signatureOf(secret: string, seconds: number, body: Uint8Array): string {
  const mac = createHmac("sha256", secret).update(`${seconds}.`).update(body).digest("hex");
  return `t=${seconds},v1=${mac}`;
}
