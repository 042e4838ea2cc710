import { refuse } from "./errors.ts";
import { maxContextBytes } from "./limits.ts";

/** Pairs that belong to a ciphertext without being in it: who decrypts must give the same ones. */
export type EncryptionContext = Readonly<Record<string, string>>;

/**
 * Throws `context-invalid` for a context that is too large, or that has two keys which differ only in case: conditions of policies do not
 * tell such keys apart, so one value could stand in for the other.
 */
export function checkEncryptionContext(context: EncryptionContext): void {
  const pairs = Object.entries(context);
  const bytes = pairs.reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);
  if (bytes > maxContextBytes) throw refuse("context-invalid", { problem: `it has more than ${maxContextBytes} bytes` });
  if (new Set(pairs.map(([key]) => key.toLowerCase())).size < pairs.length)
    throw refuse("context-invalid", { problem: "two of its keys differ only in upper and lower case" });
}

/** One spelling of a context, whatever the order of its pairs; no two contexts have the same. */
export function canonicalContext(context: EncryptionContext): Buffer {
  const pairs = Object.entries(context).map(([key, value]) => [Buffer.from(key), Buffer.from(value)] as const);
  pairs.sort(([a], [b]) => Buffer.compare(a, b));
  return Buffer.concat([
    lengthOf(pairs.length),
    ...pairs.flatMap(([key, value]) => [lengthOf(key.length), key, lengthOf(value.length), value]),
  ]);
}

function lengthOf(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}
