/** Values of secrets: sealed for exactly one version of one secret, so that no row of the database can stand in for another. */
import { timingSafeEqual } from "node:crypto";
import { DatabaseFull } from "#metadata/database-full.ts";
import { moveSecretStage } from "#metadata/secret-stages.ts";
import * as metadata from "#metadata/secret-versions.ts";
import type { NewSecretVersion, SealedSecretVersion, SecretVersion } from "#metadata/secret-versions.ts";
import type { Secret } from "#metadata/secret-rows.ts";
import type { SecretsContext, SecretsCore } from "./context.ts";
import { refuse } from "./errors.ts";
import { present } from "./failure.ts";
import { secretLimits } from "./limits.ts";
import { secretArn } from "./secret-id.ts";

/** A value: text as UTF-8, or bytes. */
export interface SecretValue {
  readonly kind: "string" | "binary";
  readonly bytes: Uint8Array;
}

/** A value with the version it is of. */
export interface ReadSecretValue {
  readonly version: SecretVersion;
  readonly value: SecretValue;
}

/** Which version is asked for: by id, by label, by both when they must agree, or the current one. */
export interface WantedVersion {
  readonly versionId?: string | undefined;
  readonly stage?: string | undefined;
}

/** What a change of a secret's value is made from. */
export interface SecretUpdate {
  /** `""` takes it away. */
  readonly description?: string | undefined;
  readonly value?: SecretValue | undefined;
  /** The id of the new version; what is stored under it already is not stored again. Drawn when absent. */
  readonly token?: string | undefined;
  /** Labels that move to the new version; `AWSCURRENT` when absent. */
  readonly stages?: readonly string[] | undefined;
}

const dayMs = 86_400_000;

/**
 * Changes the description, or stores a new version, or both; answers the version with its labels. A token that was used before with the
 * same value changes nothing. Throws `version-exists`, `value-too-large`, `limit`, `marked-deleted`, `not-found`.
 */
export async function updateSecret(
  ctx: SecretsContext,
  secret: Secret,
  update: SecretUpdate,
): Promise<{ readonly versionId: string; readonly stages: readonly string[] } | undefined> {
  const { core } = ctx;
  const { value, description } = update;
  const { secretId } = secret;
  const now = core.clock.now();
  if (value === undefined) {
    present(await metadata.updateSecret(core.metadata, { secretId, description, now }));
    return undefined;
  }
  const version = makeVersion(core, secret, value, update);
  const { versionId } = version;
  const result = present(await metadata.updateSecret(core.metadata, { secretId, description, version, now }));
  if (result.outcome === "too-many-stages") throw refuse("limit", { quota: "stages", limit: secretLimits.stages });
  if (result.outcome === "put") return { versionId, stages: result.stages };
  const stages = await findSameVersion(core, secret, versionId, value);
  if (stages === undefined) throw refuse("version-exists", { versionId, arn: secretArn(secret) });
  if (description !== undefined) present(await metadata.updateSecret(core.metadata, { secretId, description, now }));
  return { versionId, stages };
}

/**
 * Moves a label: away from a version, to one, or both. Throws `stage-elsewhere` unless `from` names the version that has it, if another than
 * `to` has it; `current-removed`, `value-not-found` for a version that is not there, `limit`, `marked-deleted`, `not-found`.
 */
export async function moveStage(
  ctx: SecretsContext,
  secret: Secret,
  move: { readonly stage: string; readonly from: string | undefined; readonly to: string | undefined },
): Promise<void> {
  const { metadata: db, clock } = ctx.core;
  const input = { ...move, secretId: secret.secretId, maxStages: secretLimits.stages, now: clock.now() };
  const moved = present(await moveSecretStage(db, input));
  switch (moved.outcome) {
    case "version-not-found":
      throw refuse("value-not-found", { versionId: move.to ?? "" });
    case "elsewhere":
      throw refuse("stage-elsewhere", { stage: move.stage, holder: moved.holder, named: move.from !== undefined });
    case "current-removed":
      throw refuse("current-removed", {});
    case "too-many-stages":
      throw refuse("limit", { quota: "stages", limit: secretLimits.stages });
    case "moved":
    default:
  }
}

/** A version to be stored, its value sealed. Throws `value-too-large`. */
export function makeVersion(
  core: SecretsCore,
  secret: Pick<Secret, "accountId" | "region" | "name" | "suffix">,
  value: SecretValue,
  { token, stages }: Pick<SecretUpdate, "token" | "stages">,
): NewSecretVersion {
  if (value.bytes.length > secretLimits.valueBytes) throw refuse("value-too-large", { limitBytes: secretLimits.valueBytes });
  const versionId = token ?? core.random.uuid();
  return {
    versionId,
    kind: value.kind,
    valueSealed: core.sealer.seal(purposeOf(secretArn(secret), versionId, value.kind), value.bytes),
    stages: stages ?? [metadata.currentStage],
    maxVersions: secretLimits.versions,
    maxStages: secretLimits.stages,
    now: core.clock.now(),
  };
}

/** The labels of the version with that id, if its value is this one; else undefined. */
export async function findSameVersion(
  core: SecretsCore,
  secret: Secret,
  versionId: string,
  value: SecretValue,
): Promise<readonly string[] | undefined> {
  const found = await metadata.findSecretVersion(core.metadata, secret.secretId, { versionId });
  if (found === undefined || found.kind !== value.kind) return undefined;
  const { bytes } = openValue(core, secret, found);
  return bytes.length === value.bytes.length && timingSafeEqual(bytes, value.bytes) ? found.stages : undefined;
}

/** Reads a value, and notes the day. Throws `value-not-found`, `stage-mismatch`, `marked-deleted`, `undecryptable`. */
export async function readSecretValue(ctx: SecretsContext, secret: Secret, { versionId, stage }: WantedVersion): Promise<ReadSecretValue> {
  const { core } = ctx;
  if (secret.removeAt !== undefined) throw refuse("marked-deleted", {});
  const wanted = versionId === undefined ? { stage: stage ?? metadata.currentStage } : { versionId };
  const version = await metadata.findSecretVersion(core.metadata, secret.secretId, wanted);
  if (version === undefined) throw refuse("value-not-found", wanted);
  if (stage !== undefined && !version.stages.includes(stage)) throw refuse("stage-mismatch", {});
  const value = openValue(core, secret, version);
  await noteReading(core, secret, version);
  return { version, value };
}

/** A page of a secret's versions, the oldest first; without `includeDeprecated` only those with labels. */
export async function listSecretVersions(
  ctx: SecretsContext,
  secret: Secret,
  page: { readonly includeDeprecated: boolean; readonly after: number | undefined; readonly limit: number },
): Promise<{ readonly versions: readonly SecretVersion[]; readonly next: number | undefined }> {
  return metadata.listSecretVersions(ctx.core.metadata, { secretId: secret.secretId, ...page });
}

/** Version ids of a secret with their labels. */
export async function readSecretStages(ctx: SecretsContext, secret: Secret): Promise<Readonly<Record<string, readonly string[]>>> {
  return (await metadata.readStages(ctx.core.metadata, [secret.secretId])).get(secret.secretId) ?? {};
}

async function noteReading({ metadata: db, clock }: SecretsCore, secret: Secret, version: SecretVersion): Promise<void> {
  const now = clock.now();
  const day = now - (now % dayMs);
  if (Math.min(secret.accessedAt ?? 0, version.accessedAt ?? 0) >= day) return;
  try {
    await metadata.noteSecretAccess(db, { secretId: secret.secretId, secretVersionId: version.secretVersionId, day });
  } catch (error) {
    // A full disk keeps nobody from reading.
    if (!(error instanceof DatabaseFull)) throw error;
  }
}

function openValue(core: SecretsCore, secret: Secret, version: SealedSecretVersion): SecretValue {
  const { kind, versionId, valueSealed } = version;
  const bytes = core.sealer.open(purposeOf(secretArn(secret), versionId, kind), valueSealed);
  if (bytes === undefined) throw refuse("undecryptable", {});
  return { kind, bytes };
}

/** ARNs have no blanks, so the parts cannot run into each other. */
function purposeOf(arn: string, versionId: string, kind: SecretValue["kind"]): string {
  return `secret-value ${arn} ${kind} ${versionId}`;
}
