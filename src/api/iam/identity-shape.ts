/** What identities of every kind have in common on the wire: tags, times, and what conditions may ask about them. */
import type { IdentityContext } from "#identity/context.ts";
import type { IdentityTag } from "#identity/tag.ts";
import type { ApiCall } from "../call.ts";
import type { Tag } from "./model/shapes.ts";

/** The caller's account as the identity room sees it. */
export function identityContext(call: ApiCall): IdentityContext {
  return { core: call.context.core, accountId: call.principal.accountId };
}

/** Tags as the identity room names them. */
export function identityTags(tags: readonly Tag[] | undefined): readonly IdentityTag[] {
  return (tags ?? []).map(({ Key, Value }) => ({ key: Key, value: Value }));
}

/** Tags as IAM names them. */
export function tagShapes(tags: readonly IdentityTag[]): readonly Tag[] {
  return tags.map(({ key, value }) => ({ Key: key, Value: value }));
}

/** What conditions may ask about the tags that the named thing has. */
export function resourceTagKeys(tags: readonly IdentityTag[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    tags.flatMap(({ key, value }) => [
      [`aws:ResourceTag/${key}`, value],
      [`iam:ResourceTag/${key}`, value],
    ]),
  );
}

/** IAM's times have no fractions of a second. Milliseconds since the epoch. */
export function wholeSeconds(timeMs: number): number {
  return timeMs - (timeMs % 1000);
}
