import { randomBytes, randomUUID } from "node:crypto";

/** Where randomness comes from. Everything outside `std/` receives it instead of drawing it. */
export interface Random {
  /** A random (version 4) UUID in lower case. */
  uuid(): string;
  /** Cryptographically strong random bytes. */
  bytes(lengthBytes: number): Buffer;
}

/** The operating system's randomness. */
export const systemRandom: Random = { uuid: () => randomUUID(), bytes: (lengthBytes) => randomBytes(lengthBytes) };
