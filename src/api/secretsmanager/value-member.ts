import type { SecretValue } from "#secrets/secret-value.ts";
import { ApiFault } from "../fault.ts";

/** The two ways to give a value. */
interface ValueMembers {
  readonly SecretString?: string | undefined;
  readonly SecretBinary?: Uint8Array | undefined;
}

/** Throws InvalidParameterException when both ways are used. */
export function checkValue(input: ValueMembers): void {
  if (input.SecretString !== undefined && input.SecretBinary !== undefined)
    throw new ApiFault(
      "InvalidParameterException",
      "You can't specify both a binary secret value and a string secret value in the same secret.",
    );
}

/** The value that an input gives, or undefined. */
export function valueOf({ SecretString, SecretBinary }: ValueMembers): SecretValue | undefined {
  if (SecretString !== undefined) return { kind: "string", bytes: Buffer.from(SecretString, "utf8") };
  return SecretBinary === undefined ? undefined : { kind: "binary", bytes: SecretBinary };
}

/** The member that gives a value back the way it came. */
export function valueMember({ kind, bytes }: SecretValue): { readonly SecretString: string } | { readonly SecretBinary: Uint8Array } {
  return kind === "string" ? { SecretString: Buffer.from(bytes).toString("utf8") } : { SecretBinary: bytes };
}
