import { refuse } from "./errors.ts";
import type { Limits } from "./limits.ts";

const keyLimit = 128;
const valueLimit = 256;
/** Lengths are counted in characters, not in the code units of a string. */
const keyLength = new RegExp(`^.{1,${keyLimit}}$`, "su");
const valueLength = new RegExp(`^.{0,${valueLimit}}$`, "su");
const allowedText = /^[\p{L}\p{N}\p{Zs}+\-=._:/@]*$/u;

/** Checks keys and values of resource tags. Throws `resource-tag-invalid`, or `resource-tags-too-many` above the limit. */
export function checkResourceTags(limits: Limits, tags: Readonly<Record<string, string>>): void {
  const entries = Object.entries(tags);
  if (entries.length > limits.resourceTags) refuse("resource-tags-too-many", {});
  for (const [key, value] of entries) {
    checkResourceTagKey(key);
    if (!valueLength.test(value)) refuse("resource-tag-invalid", { problem: `Tag values must not exceed ${valueLimit} characters` });
    if (!allowedText.test(value))
      refuse("resource-tag-invalid", { problem: `Tag value '${value}' contains characters that are not allowed` });
  }
}

/** Checks one key. Throws `resource-tag-invalid`. */
export function checkResourceTagKey(key: string): void {
  if (!keyLength.test(key)) {
    refuse("resource-tag-invalid", { problem: `Tag keys must have between 1 and ${keyLimit} characters` });
  }
  if (!allowedText.test(key)) refuse("resource-tag-invalid", { problem: `Tag key '${key}' contains characters that are not allowed` });
  if (key.toLowerCase().startsWith("aws:"))
    refuse("resource-tag-invalid", { problem: "Tag keys must not start with the reserved prefix 'aws:'" });
}
