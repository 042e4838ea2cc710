import { readRegistrySettings } from "#metadata/registry-settings.ts";
import type { RegistrySettings } from "#metadata/registry-settings.ts";
import type { PushFollowUp } from "#metadata/follow-ups.ts";
import type { ParsedManifest } from "#oci/manifest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryCore, RegistryRef } from "./context.ts";
import { replicationRule } from "./replication-rule.ts";
import { scanRule } from "./scan-rule.ts";
import { signingRule } from "./signing-rule.ts";

/** What is pushed, as far as the rules of a registry look at it. */
export interface PushedManifest {
  readonly registry: RegistryRef;
  readonly name: RepositoryName;
  readonly manifest: ParsedManifest;
  /** It came from another registry, by replication. */
  readonly isCopy?: boolean;
}

/** What a rule asks for. */
export interface RuledFollowUp extends PushFollowUp {
  /** What whoever pushes must be allowed beside the push. Without it the push succeeds and this fails. */
  readonly permission?: { readonly action: string; readonly resource: string };
}

/** Asks whether whoever pushes may do something; answers why not, or undefined when they may. */
export type AskPusher = (action: string, resource: string) => Promise<string | undefined>;

/** A rule of a registry about what follows a push. Pure. */
type FollowUpRule = (settings: RegistrySettings, pushed: PushedManifest) => readonly RuledFollowUp[];

/** All rules, a file each. */
const rules: readonly FollowUpRule[] = [replicationRule, scanRule, signingRule];

/** What this registry's settings ask for after such a push. What needs a permission of the pusher's is left out where nobody pushes. */
export async function followUpsOf(
  core: Pick<RegistryCore, "metadata">,
  pushed: PushedManifest,
  askPusher?: AskPusher,
): Promise<readonly PushFollowUp[]> {
  const settings = await readRegistrySettings(core.metadata, pushed.registry);
  const followUps: PushFollowUp[] = [];
  for (const { permission, ...followUp } of rules.flatMap((rule) => rule(settings, pushed))) {
    if (permission === undefined) followUps.push(followUp);
    else if (askPusher !== undefined) {
      const reason = await askPusher(permission.action, permission.resource);
      followUps.push(reason === undefined ? followUp : { ...followUp, refused: { code: "AccessDeniedException", reason } });
    }
  }
  return followUps;
}
