/** Small bodies of other servers, read whole. */
import type { Readable } from "node:stream";
import { UpstreamError } from "./upstream-error.ts";

/** 4 MiB in this time is 280 kbit/s. Who sends a byte now and then would otherwise hold a connection for ever. */
const usualMs = 120_000;

/**
 * Reads a body of at most so many bytes. Throws UpstreamError `invalid` when there are more, `unavailable` when it is not all there in time,
 * and what the stream fails with.
 */
export async function readBytes(body: Readable, maxBytes: number, withinMs = usualMs): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  const late = (): void =>
    void body.destroy(new UpstreamError({ outcome: "unavailable", problem: `a body took more than ${withinMs} ms` }));
  const timer = setTimeout(late, withinMs);
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length;
      // Leaving the loop destroys the stream.
      if (sizeBytes > maxBytes) throw new UpstreamError({ outcome: "invalid", problem: `more than ${maxBytes} bytes` });
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks);
}
