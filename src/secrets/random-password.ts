/** Passwords drawn at random (AWS Secrets Manager API Reference, GetRandomPassword). */
import type { Random } from "#std/random.ts";
import { refuse } from "./errors.ts";

/** What a password is to be made of. */
export interface PasswordRequest {
  /** In characters. */
  readonly length: number;
  /** The kinds of characters that may be in it; a space may be too with {@link PasswordRequest.includeSpace}. */
  readonly kinds: readonly PasswordKind[];
  readonly includeSpace: boolean;
  /** Characters that may not be in it. */
  readonly excluded: string;
  /** Of each of `kinds` at least one character; a space is never demanded. */
  readonly requireEachKind: boolean;
}

/** A kind of characters. */
export type PasswordKind = "lowercase" | "uppercase" | "numbers" | "punctuation";

const characters: Readonly<Record<PasswordKind, string>> = {
  lowercase: "abcdefghijklmnopqrstuvwxyz",
  uppercase: "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
  numbers: "0123456789",
  punctuation: "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
};

/** Draws a password. Throws `impossible-password`. */
export function drawPassword(random: Random, request: PasswordRequest): string {
  const excluded = new Set(request.excluded);
  const left = (text: string): string[] => Array.from(text).filter((character) => !excluded.has(character));
  const kinds = request.kinds.map((kind) => left(characters[kind]));
  const pool = [...kinds.flat(), ...left(request.includeSpace ? " " : "")];
  if (pool.length === 0) throw refuse("impossible-password", { problem: "no-characters" });
  const required = request.requireEachKind ? kinds : [];
  if (required.some((kind) => kind.length === 0)) throw refuse("impossible-password", { problem: "no-characters-of-a-kind" });
  if (required.length > request.length) throw refuse("impossible-password", { problem: "too-short" });
  const below = numbersBelow(random);
  const drawn = Array.from({ length: request.length }, (_, index) => pick(required[index] ?? pool, below));
  // The demanded ones stand at the beginning so far: every order is made equally likely (Fisher and Yates).
  for (let last = drawn.length - 1; last > 0; last -= 1) {
    const other = below(last + 1);
    [drawn[last], drawn[other]] = [drawn[other] ?? "", drawn[last] ?? ""];
  }
  return drawn.join("");
}

function pick(from: readonly string[], below: (bound: number) => number): string {
  return from[below(from.length)] ?? "";
}

/** Draws integers from 0 up to a bound (at most 65536), all equally likely: numbers beyond the last whole multiple are thrown away. */
function numbersBelow(random: Random): (bound: number) => number {
  const range = 0x1_0000;
  let bytes: Buffer = Buffer.alloc(0);
  let at = 0;
  return (bound) => {
    const limit = range - (range % bound);
    for (;;) {
      if (at === bytes.length) {
        bytes = random.bytes(256);
        at = 0;
      }
      const number = bytes.readUInt16LE(at);
      at += 2;
      if (number < limit) return number % bound;
    }
  };
}
