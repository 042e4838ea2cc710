/** Managed signing as callers set and see it. The signing itself is the signing room's. */
import { listFollowUps } from "#metadata/follow-ups.ts";
import { deleteRegistrySetting, putRegistrySetting, readRegistrySettings } from "#metadata/registry-settings.ts";
import type { Digest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import type { ManifestName } from "./manifest-batch.ts";
import { getNamedManifest } from "./scan.ts";
import { authorOf } from "./scope.ts";
import { signingConfigurationOf } from "./signing-rule.ts";
import type { SigningConfiguration } from "./signing-rule.ts";

/** Sets or replaces which profiles sign what is pushed; it counts for later pushes. */
export async function putSigningConfiguration(
  ctx: RegistryContext,
  { accountId, region }: RegistryRef,
  configuration: SigningConfiguration,
): Promise<void> {
  await putRegistrySetting(ctx.core.metadata, {
    registry: { accountId, region },
    name: "signing",
    value: configuration,
    author: authorOf(ctx),
  });
}

/** Which profiles sign what is pushed; undefined when that was never set. */
export async function findSigningConfiguration(
  ctx: RegistryContext,
  { accountId, region }: RegistryRef,
): Promise<SigningConfiguration | undefined> {
  return signingConfigurationOf(await readRegistrySettings(ctx.core.metadata, { accountId, region }));
}

/** Takes the configuration back and answers it; undefined when there was none. Signatures stay as they are. */
export async function deleteSigningConfiguration(
  ctx: RegistryContext,
  { accountId, region }: RegistryRef,
): Promise<SigningConfiguration | undefined> {
  const input = { registry: { accountId, region }, name: "signing", author: authorOf(ctx) } as const;
  return (await deleteRegistrySetting(ctx.core.metadata, input)) as SigningConfiguration | undefined;
}

/** How one profile's signature stands. */
export interface SigningState {
  readonly profileArn: string;
  readonly state: "IN_PROGRESS" | "COMPLETE" | "FAILED";
  /** Why it failed. */
  readonly code?: string;
  readonly reason?: string;
}

/** How the signatures of a manifest stand, one for each profile that was to sign it. Throws `repository-not-found`, `manifest-not-found`, `parameter-invalid`. */
export async function describeSigning(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  id: ManifestName,
): Promise<{ readonly digest: Digest; readonly states: readonly SigningState[] }> {
  const { manifestId, digest } = await getNamedManifest(ctx, registry, name, id);
  const rows = await listFollowUps(ctx.core.metadata, "sign", [manifestId]);
  const states = rows.map(({ target, state, code, reason }) => ({
    profileArn: target,
    state,
    ...(code !== undefined && { code }),
    ...(reason !== undefined && { reason }),
  }));
  return { digest: digest as Digest, states };
}
