import type { Random } from "#std/random.ts";

/** The prefixes of AWS's unique ids: user, role, group, managed policy, policy version, instance profile. */
export type UniqueIdPrefix = "AIDA" | "AROA" | "AGPA" | "ANPA" | "ANVA" | "AIPA";

const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** Makes an id in AWS's form, the prefix and 17 characters of base 32: 85 random bits, never given out twice. */
export function makeUniqueId(random: Random, prefix: UniqueIdPrefix): string {
  return prefix + Array.from(random.bytes(17), (byte) => base32.charAt(byte & 31)).join("");
}
