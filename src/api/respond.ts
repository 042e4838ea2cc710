import type { ServerResponse } from "node:http";

/** Writes a whole answer. Answers of the control plane carry tokens and must not be kept by anyone on the way. */
export function respond(response: ServerResponse, status: number, contentType: string, body: string): void {
  const bytes = Buffer.from(body, "utf8");
  response.writeHead(status, { "content-type": contentType, "content-length": bytes.length, "cache-control": "no-store" });
  response.end(bytes);
}
