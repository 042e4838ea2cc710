import { listSecrets as listStored } from "#metadata/secret-listing.ts";
import type { ListedSecret, SecretFilter, SecretOrder, SecretPosition } from "#metadata/secret-listing.ts";
import type { Secret } from "#metadata/secret-rows.ts";
import * as metadata from "#metadata/secrets.ts";
import type { SecretsContext, SecretsCore } from "./context.ts";
import { refuse } from "./errors.ts";
import { present } from "./failure.ts";
import { secretLimits } from "./limits.ts";
import { isSecretName, makeSuffix, readSecretId } from "./secret-id.ts";
import { readTags } from "./secret-tag.ts";
import type { SecretTag } from "./secret-tag.ts";
import { findSameVersion, makeVersion } from "./secret-value.ts";
import type { SecretValue } from "./secret-value.ts";

export type { ListedSecret, SecretFilter, SecretOrder, SecretPosition } from "#metadata/secret-listing.ts";
export type { Secret } from "#metadata/secret-rows.ts";

/** What a secret is made from. */
export interface NewSecret {
  readonly name: string;
  readonly description: string | undefined;
  readonly tags: readonly SecretTag[];
  /** A secret may begin without a value. */
  readonly value: SecretValue | undefined;
  /** The id of the first version; drawn when absent. */
  readonly token: string | undefined;
}

const dayMs = 86_400_000;

/** The secret that a name, an ARN, or an ARN without its last letters means; undefined when there is none. Marked ones are found too. */
export async function findSecret(ctx: SecretsContext, secretId: string): Promise<Secret | undefined> {
  for (const { suffix, ...key } of readSecretId(ctx, secretId)) {
    // What this call can reach is in its own region.
    if (key.region !== ctx.region || !isSecretName(key.name)) continue;
    const secret = await metadata.findSecret(ctx.core.metadata, key);
    if (secret !== undefined && (suffix === undefined || suffix === secret.suffix)) return secret;
  }
  return undefined;
}

/**
 * Makes a secret. The same token with the same value again answers what was made the first time. Throws `invalid-name`, `invalid-tag`,
 * `value-too-large`, `exists`, `name-marked-deleted`, `limit`.
 */
export async function createSecret(
  ctx: SecretsContext,
  input: NewSecret,
): Promise<{ readonly secret: Secret; readonly versionId: string | undefined }> {
  const { core, accountId, region } = ctx;
  const { name, description, value, token } = input;
  if (!isSecretName(name)) throw refuse("invalid-name", {});
  const key = { accountId, region, name };
  const tags = readTags(input.tags);
  const suffix = makeSuffix(core.random);
  const version = value === undefined ? undefined : makeVersion(core, { ...key, suffix }, value, { token });
  const limit = secretLimits.secrets;
  const made = await metadata.createSecret(core.metadata, {
    key,
    suffix,
    tags,
    version,
    description: description === "" ? undefined : description,
    maxSecrets: limit,
    now: core.clock.now(),
  });
  if (made.outcome === "created") return { secret: made.secret, versionId: version?.versionId };
  if (made.outcome === "limit") throw refuse("limit", { quota: "secrets", limit });
  const existing = await metadata.findSecret(core.metadata, key);
  if (existing?.removeAt !== undefined) throw refuse("name-marked-deleted", {});
  if (existing === undefined || value === undefined || token === undefined) throw refuse("exists", { name });
  if ((await findSameVersion(core, existing, token, value)) === undefined) throw refuse("exists", { name });
  return { secret: existing, versionId: token };
}

/**
 * Marks a secret deleted and answers when it will be removed, in milliseconds since the epoch. Throws `invalid-recovery-window`,
 * `marked-deleted`, `not-found`.
 */
export async function deleteSecret(ctx: SecretsContext, secret: Secret, recoveryDays: number | undefined): Promise<number> {
  const { least, most, usual } = secretLimits.recoveryDays;
  const days = recoveryDays ?? usual;
  if (!Number.isInteger(days) || days < least || days > most) throw refuse("invalid-recovery-window", { least, most });
  const now = ctx.core.clock.now();
  const removeAt = now + days * dayMs;
  present(await metadata.markSecretDeleted(ctx.core.metadata, { secretId: secret.secretId, removeAt, now }));
  return removeAt;
}

/** Removes a secret at once and for good, marked deleted or not. */
export async function removeSecret(ctx: SecretsContext, secret: Secret): Promise<void> {
  await metadata.removeSecret(ctx.core.metadata, secret.secretId);
}

/** Takes the mark of deletion away; no error when there is none. Throws `not-found`. */
export async function restoreSecret(ctx: SecretsContext, secret: Secret): Promise<void> {
  const { metadata: db, clock } = ctx.core;
  if (!(await metadata.restoreSecret(db, { secretId: secret.secretId, now: clock.now() }))) throw refuse("not-found", {});
}

/** A page of the account's secrets. */
export async function listSecrets(
  ctx: SecretsContext,
  listing: {
    readonly includeMarked: boolean;
    readonly filters: readonly SecretFilter[];
    readonly order: SecretOrder;
    readonly isDescending: boolean;
    readonly after: SecretPosition | undefined;
    readonly limit: number;
  },
): Promise<{ readonly secrets: readonly ListedSecret[]; readonly next: SecretPosition | undefined }> {
  return listStored(ctx.core.metadata, { accountId: ctx.accountId, region: ctx.region, ...listing });
}

/** Removes secrets whose time to be restored has passed, at most `limit` of them in one transaction; answers how many. */
export async function removeDueSecrets(core: SecretsCore, options: { readonly limit: number }): Promise<number> {
  return metadata.removeDueSecrets(core.metadata, { now: core.clock.now(), limit: options.limit });
}
