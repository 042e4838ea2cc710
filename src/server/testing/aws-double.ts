/** A strict double of an AWS service that speaks JSON: it recomputes the signature of every request with AWS's own signer, and answers what a test says. */
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import type { Hash, Hmac } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { SignatureV4 } from "@smithy/signature-v4";

/** The only credentials that the double knows. */
export const doubleCredentials = { accessKeyId: "AKIADOUBLE0000000000", secretAccessKey: "double/Secret+Key0123456789" };

/** What a request asked for. */
export interface DoubleCall {
  readonly operation: string;
  readonly input: Record<string, unknown>;
}

/** A running double. */
export interface AwsDouble {
  readonly endpoint: string;
  readonly calls: DoubleCall[];
  /** How it answers from now on. */
  answer: (call: DoubleCall) => { readonly status: number; readonly body: object; readonly headers?: Record<string, string> };
  close(): Promise<void>;
}

class Sha256 {
  readonly #hash: Hash | Hmac;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash("sha256") : createHmac("sha256", secret as Buffer);
  }
  update(data: string | Uint8Array): void {
    this.#hash.update(data);
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
  reset(): void {}
}

/** Starts one for a service in a region. A wrong signature is a 403. */
export async function startAwsDouble(service: string, region: string): Promise<AwsDouble> {
  const signer = new SignatureV4({ credentials: doubleCredentials, region, service, sha256: Sha256, applyChecksum: false });
  const double: AwsDouble = { endpoint: "", calls: [], answer: () => ({ status: 200, body: {} }), close: async () => {} };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.once("end", () => {
      void (async () => {
        const body = Buffer.concat(chunks);
        const given = request.headers["authorization"] ?? "";
        const names = /SignedHeaders=([^,]+)/.exec(given)?.[1]?.split(";") ?? [];
        const headers = Object.fromEntries(
          names.filter((name) => name !== "x-amz-date").map((name) => [name, String(request.headers[name])]),
        );
        const stamp = String(request.headers["x-amz-date"]).replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z");
        const expected = await signer.sign(
          { method: request.method ?? "", protocol: "http:", hostname: "localhost", path: request.url ?? "", query: {}, headers, body },
          { signingDate: new Date(stamp), signableHeaders: new Set(names), unsignableHeaders: new Set() },
        );
        const isSigned = names.includes("host") && names.includes("x-amz-target") && expected.headers["authorization"] === given;
        const call = {
          operation: String(request.headers["x-amz-target"]).split(".").at(-1) ?? "",
          input: JSON.parse(body.toString()) as Record<string, unknown>,
        };
        if (isSigned) double.calls.push(call);
        const answer = isSigned ? double.answer(call) : { status: 403, body: { __type: "InvalidSignatureException" } };
        response
          .writeHead(answer.status, { "content-type": "application/x-amz-json-1.0", ...answer.headers })
          .end(JSON.stringify(answer.body));
      })();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address() as AddressInfo | null;
  assert.ok(address !== null);
  return Object.assign(double, {
    endpoint: `http://127.0.0.1:${address.port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
