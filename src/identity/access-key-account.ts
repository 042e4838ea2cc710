/** Whose an access key is (STS API Reference, GetAccessKeyInfo). */
import { findAccessKey } from "#metadata/accounts.ts";
import { findSession } from "#metadata/sessions.ts";
import type { IdentityCore } from "./context.ts";

const form = /^A(?:KI|SI)A[A-Z2-7]{16}$/;
const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/** Ten of the sixteen letters hold the first 48 bits and two more. */
const accountLetters = 10;

/** The account of an access key: of one that is known here, else the one that its id names; undefined when it names none. */
export async function findAccountOfAccessKey({ metadata }: IdentityCore, accessKeyId: string): Promise<string | undefined> {
  const known = (await findAccessKey(metadata, accessKeyId)) ?? (await findSession(metadata, accessKeyId));
  return known?.accountId ?? accountInKeyId(accessKeyId);
}

/** Reads the account out of an id in AWS's form: 40 bits behind the first one. */
function accountInKeyId(accessKeyId: string): string | undefined {
  if (!form.test(accessKeyId)) return undefined;
  let bits = 0n;
  for (const letter of accessKeyId.slice(4, 4 + accountLetters)) bits = (bits << 5n) | BigInt(base32.indexOf(letter));
  const account = String((bits >> 9n) & 0xff_ffff_ffffn);
  return account.length > 12 ? undefined : account.padStart(12, "0");
}
