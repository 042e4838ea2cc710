/** Passwords as they are kept: scrypt (RFC 7914) with a salt each, the parameters in the text, so that they can be raised for new ones. */
import { scrypt, timingSafeEqual } from "node:crypto";
import type { Random } from "#std/random.ts";

/** Cost parameters of scrypt. */
interface Cost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

/** 32 MiB and about a tenth of a second on one core (OWASP Password Storage Cheat Sheet, scrypt). */
const cost: Cost = { N: 2 ** 15, r: 8, p: 1 };
const saltBytes = 16;
const hashBytes = 32;
/** Node's own limit is exactly what these parameters need, and refuses them. */
const maxMemoryBytes = 64 * 2 ** 20;

const form = /^scrypt\$([0-9]{1,7})\$([0-9]{1,2})\$([0-9]{1,2})\$([\w-]{16,88})\$([\w-]{43})$/;

/** Hashes a password, outside the event loop. */
export async function hashPassword(random: Random, password: string): Promise<string> {
  const salt = random.bytes(saltBytes);
  const hash = await derive(password, salt, cost);
  return ["scrypt", cost.N, cost.r, cost.p, salt.toString("base64url"), hash.toString("base64url")].join("$");
}

/** Is this the password that was hashed? Compared in constant time, outside the event loop. False for a text that is no hash of ours. */
export async function passwordMatches(password: string, stored: string): Promise<boolean> {
  const [, n, r, p, salt = "", hash = ""] = form.exec(stored) ?? [];
  if (n === undefined) return false;
  const expected = Buffer.from(hash, "base64url");
  const actual = await derive(password, Buffer.from(salt, "base64url"), { N: Number(n), r: Number(r), p: Number(p) });
  return timingSafeEqual(actual, expected);
}

let last: Promise<unknown> = Promise.resolve();

/**
 * One at a time in a process: the threads that do this work also read and write files, and passwords must not hold those up.
 * Rejects for parameters that would need more memory than a password is worth.
 */
function derive(password: string, salt: Buffer, parameters: Cost): Promise<Buffer> {
  const result = last.then(() => deriveNow(password, salt, parameters));
  last = result.catch(() => undefined);
  return result;
}

function deriveNow(password: string, salt: Buffer, parameters: Cost): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, hashBytes, { ...parameters, maxmem: maxMemoryBytes }, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
