/** What a key may be used for in each of its states (AWS KMS Developer Guide, "Key states of AWS KMS keys"). */
import type { KmsKey, KmsKeyState } from "#metadata/kms-keys.ts";
import { kmsKeyArn } from "./arn.ts";
import { refuse } from "./errors.ts";
import type { KmsError } from "./errors.ts";

/** Encrypting, decrypting, new grants, rotations. */
export const usableStates: readonly KmsKeyState[] = ["Enabled"];
/** Settings, tags, new names. */
export const changeableStates: readonly KmsKeyState[] = ["Enabled", "Disabled"];
/** What reads, and what takes permissions away. */
export const everyState: readonly KmsKeyState[] = ["Enabled", "Disabled", "PendingDeletion"];

/** Says why a key in its state was refused. */
export function stateRefusal(key: KmsKey): KmsError {
  const detail = { keyArn: kmsKeyArn(key) };
  switch (key.state) {
    case "Disabled":
      return refuse("key-disabled", detail);
    case "PendingDeletion":
      return refuse("key-pending-deletion", detail);
    case "Enabled":
    default:
      return refuse("key-not-pending-deletion", detail);
  }
}

/** Throws `key-disabled` or `key-pending-deletion` unless the key encrypts and decrypts now. */
export function requireUsable(key: KmsKey): void {
  if (!usableStates.includes(key.state)) throw stateRefusal(key);
}

/** Throws `key-managed` for a key that the service itself made: its settings are nobody else's. */
export function requireCustomers(key: KmsKey): void {
  if (key.manager === "AWS") throw refuse("key-managed", { keyArn: kmsKeyArn(key) });
}
