/**
 * Which key management service wrapped a key. What the built-in one makes begins with the version of its ciphertexts, which is never 0; what
 * another one made gets a mark in front, so that neither is ever asked to open what is the other's.
 */
const mark = Buffer.from("\0kms elsewhere 1\0", "latin1");

/** Puts the mark of another service in front of its ciphertext. */
export function markWrapped(ciphertext: Uint8Array): Buffer {
  return Buffer.concat([mark, ciphertext]);
}

/** The ciphertext behind the mark; undefined for what the built-in service made. */
export function readMark(wrapped: Uint8Array): Uint8Array | undefined {
  return mark.equals(wrapped.subarray(0, mark.length)) ? wrapped.subarray(mark.length) : undefined;
}
