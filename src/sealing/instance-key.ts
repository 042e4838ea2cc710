/**
 * The instance key: the one secret that opens every other one (secret access keys, tokens, page tokens).
 * Its text form is one line a key, `supercargo-key-1.<id>.<secret>`. The id is made from the secret, so a damaged line is noticed
 * when it is read and not when the first stored secret fails to open. Several lines allow a change of key: the first seals, all open.
 */
import { createHash } from "node:crypto";
import { parsed, problem } from "#std/parsed.ts";
import type { Parsed } from "#std/parsed.ts";
import type { Random } from "#std/random.ts";

/** 256 bits of secret, and the public name that sealed values carry. */
export interface InstanceKey {
  /** 16 lower-case hexadecimal digits, made from the secret. */
  readonly id: string;
  readonly secret: Buffer;
}

const lineForm = /^supercargo-key-1\.([0-9a-f]{16})\.([A-Za-z0-9_-]{43})$/;
const secretBytes = 32;
const maxKeys = 16;
const maxTextLength = 16_384;

/** Makes a new key. */
export function makeInstanceKey(random: Random): InstanceKey {
  return keyOf(Buffer.from(random.bytes(secretBytes)));
}

/** The key's line in a key file, without the line's end. */
export function formatInstanceKey(key: InstanceKey): string {
  return `supercargo-key-1.${key.id}.${key.secret.toString("base64url")}`;
}

/** Reads a key file: one key a line, blank lines and lines that begin with `#` are passed over. No problem text ever shows a secret. */
export function parseInstanceKeys(text: string): Parsed<readonly InstanceKey[]> {
  if (text.length > maxTextLength) return problem(`longer than ${maxTextLength} characters, so this is no key file`);
  const keys: InstanceKey[] = [];
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const key = parseLine(line);
    if (key === undefined) return problem(`line ${index + 1} is not a key of the form supercargo-key-1.<id>.<secret>, or it is damaged`);
    if (keys.some((other) => other.id === key.id)) return problem(`line ${index + 1} repeats the key ${key.id}`);
    keys.push(key);
  }
  if (keys.length === 0) return problem("it holds no key");
  if (keys.length > maxKeys) return problem(`it holds more than ${maxKeys} keys`);
  return parsed(keys);
}

function parseLine(line: string): InstanceKey | undefined {
  const [, id, text = ""] = lineForm.exec(line) ?? [];
  if (id === undefined) return undefined;
  const secret = Buffer.from(text, "base64url");
  const key = keyOf(secret);
  // 43 characters carry two bits more than 32 bytes: only the one canonical spelling is a key.
  return key.id === id && secret.toString("base64url") === text ? key : undefined;
}

function keyOf(secret: Buffer): InstanceKey {
  return { id: createHash("sha256").update("supercargo instance key id\0").update(secret).digest("hex").slice(0, 16), secret };
}
