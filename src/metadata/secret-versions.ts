/** Values of secrets, sealed, and the staging labels that say which of them is current. */
import type { Transaction } from "kysely";
import type { Database } from "./database.ts";
import type { Schema } from "./schema.ts";
import { changeSecret, setSecret } from "./secret-rows.ts";
import type { SecretGone } from "./secret-rows.ts";

/** The label of the version that readers get when they name none. */
export const currentStage = "AWSCURRENT";
/** The label of the version that was current before. */
export const previousStage = "AWSPREVIOUS";

/** A version as it is stored. Times are milliseconds since the epoch. */
export interface SecretVersion {
  readonly secretVersionId: number;
  readonly versionId: string;
  readonly createdAt: number;
  /** The day of the last reading. */
  readonly accessedAt: number | undefined;
  readonly stages: readonly string[];
}

/** A version with its value, sealed. */
export interface SealedSecretVersion extends SecretVersion {
  readonly kind: "string" | "binary";
  readonly valueSealed: string;
}

/** What a version is made from. */
export interface NewSecretVersion {
  readonly versionId: string;
  readonly kind: "string" | "binary";
  readonly valueSealed: string;
  /** Labels that move to it, at least one. */
  readonly stages: readonly string[];
  /** How many versions are kept; those with labels are, whatever their number. */
  readonly maxVersions: number;
  /** How many labels a secret may have on all its versions. */
  readonly maxStages: number;
  readonly now: number;
}

/** What storing a version answers. */
export type PutSecretVersionOutcome =
  | { readonly outcome: "put"; readonly stages: readonly string[] }
  | { readonly outcome: "version-exists" }
  | { readonly outcome: "too-many-stages" };

/** The label → version pairs of some secrets. */
export type StagesBySecret = ReadonlyMap<number, Readonly<Record<string, readonly string[]>>>;

/** Stores a new version, or changes the description, or both at once. A description of `""` takes it away. */
export async function updateSecret(
  db: Database,
  input: {
    readonly secretId: number;
    readonly description?: string | undefined;
    readonly version?: NewSecretVersion | undefined;
    readonly now: number;
  },
): Promise<PutSecretVersionOutcome | { readonly outcome: "updated" } | SecretGone> {
  const { secretId, version, description } = input;
  return changeSecret(db, secretId, async (tx): Promise<PutSecretVersionOutcome | { readonly outcome: "updated" }> => {
    const put = version === undefined ? ({ outcome: "updated" } as const) : await insertSecretVersion(tx, secretId, version);
    if (put.outcome === "version-exists" || put.outcome === "too-many-stages") return put;
    await setSecret(tx, secretId, {
      changed_at: input.now,
      ...(description !== undefined && { description: description === "" ? null : description }),
    });
    return put;
  });
}

/** The version of that id, else the one with that label; undefined when there is none. */
export async function findSecretVersion(
  db: Database,
  secretId: number,
  wanted: { readonly versionId: string } | { readonly stage: string },
): Promise<SealedSecretVersion | undefined> {
  const row =
    "versionId" in wanted
      ? await db.read
          .selectFrom("secret_version")
          .selectAll()
          .where("secret_id", "=", secretId)
          .where("version_id", "=", wanted.versionId)
          .executeTakeFirst()
      : await db.read
          .selectFrom("secret_stage")
          .innerJoin("secret_version", (join) =>
            join
              .onRef("secret_version.secret_id", "=", "secret_stage.secret_id")
              .onRef("secret_version.version_id", "=", "secret_stage.version_id"),
          )
          .selectAll("secret_version")
          .where("secret_stage.secret_id", "=", secretId)
          .where("secret_stage.stage", "=", wanted.stage)
          .executeTakeFirst();
  if (row === undefined) return undefined;
  const stages = (await readStages(db, [secretId])).get(secretId) ?? {};
  return { ...versionOf(row, stages), kind: row.kind, valueSealed: row.value_sealed };
}

/** A page of a secret's versions, the oldest first; only those with labels unless `includeDeprecated`. `after` is a `secretVersionId`. */
export async function listSecretVersions(
  db: Database,
  input: {
    readonly secretId: number;
    readonly includeDeprecated: boolean;
    readonly after: number | undefined;
    readonly limit: number;
  },
): Promise<{ readonly versions: readonly SecretVersion[]; readonly next: number | undefined }> {
  const stages = (await readStages(db, [input.secretId])).get(input.secretId) ?? {};
  const rows = await db.read
    .selectFrom("secret_version")
    .select(["secret_version_id", "version_id", "created_at", "accessed_at"])
    .where("secret_id", "=", input.secretId)
    .where("secret_version_id", ">", input.after ?? 0)
    .$if(!input.includeDeprecated, (query) => query.where(db.dialect.textIn("version_id", Object.keys(stages))))
    .orderBy("secret_version_id")
    .limit(input.limit + 1)
    .execute();
  const versions = rows.slice(0, input.limit).map((row) => versionOf(row, stages));
  return { versions, next: rows.length > input.limit ? versions.at(-1)?.secretVersionId : undefined };
}

/** The labels of secrets: of each the version ids, each with its labels in byte order. */
export async function readStages(db: Database, secretIds: readonly number[]): Promise<StagesBySecret> {
  const rows = await db.read
    .selectFrom("secret_stage")
    .selectAll()
    .where(db.dialect.integerIn("secret_id", secretIds))
    .orderBy("secret_id")
    .orderBy("stage")
    .execute();
  const bySecret = new Map<number, Record<string, string[]>>();
  for (const row of rows) {
    const versions = bySecret.get(row.secret_id) ?? {};
    (versions[row.version_id] ??= []).push(row.stage);
    bySecret.set(row.secret_id, versions);
  }
  return bySecret;
}

/** Notes that a value was read on a day; a day that is noted already changes nothing. */
export async function noteSecretAccess(
  db: Database,
  input: { readonly secretId: number; readonly secretVersionId: number; readonly day: number },
): Promise<void> {
  await db.transaction(async (tx) => {
    await tx
      .updateTable("secret")
      .set({ accessed_at: input.day })
      .where("secret_id", "=", input.secretId)
      .where((row) => row.or([row("accessed_at", "is", null), row("accessed_at", "<", input.day)]))
      .execute();
    await tx
      .updateTable("secret_version")
      .set({ accessed_at: input.day })
      .where("secret_version_id", "=", input.secretVersionId)
      .where((row) => row.or([row("accessed_at", "is", null), row("accessed_at", "<", input.day)]))
      .execute();
  });
}

/**
 * Inside a transaction of this room that has locked the secret: stores a version and moves labels to it. A first version becomes the
 * current one; a version that stops being current becomes the previous one. Then the oldest versions without labels go, as far as there
 * are more versions than are kept.
 */
export async function insertSecretVersion(
  tx: Transaction<Schema>,
  secretId: number,
  version: NewSecretVersion,
): Promise<PutSecretVersionOutcome> {
  const { versionId } = version;
  const same = await tx
    .selectFrom("secret_version")
    .select("version_id")
    .where("secret_id", "=", secretId)
    .where("version_id", "=", versionId)
    .executeTakeFirst();
  if (same !== undefined) return { outcome: "version-exists" };
  const rows = await tx.selectFrom("secret_stage").selectAll().where("secret_id", "=", secretId).execute();
  const labels = new Map(rows.map((row) => [row.stage, row.version_id]));
  const moved = moveLabels(labels, version);
  if (new Set([...labels.keys(), ...moved.keys()]).size > version.maxStages) return { outcome: "too-many-stages" };
  await tx
    .insertInto("secret_version")
    .values({
      secret_id: secretId,
      version_id: versionId,
      kind: version.kind,
      value_sealed: version.valueSealed,
      created_at: version.now,
    })
    .execute();
  await tx
    .insertInto("secret_stage")
    .values([...moved].map(([stage, target]) => ({ secret_id: secretId, stage, version_id: target })))
    .onConflict((conflict) =>
      conflict.columns(["secret_id", "stage"]).doUpdateSet((set) => ({ version_id: set.ref("excluded.version_id") })),
    )
    .execute();
  await dropOldVersions(tx, secretId, version.maxVersions);
  return { outcome: "put", stages: [...moved].filter(([, target]) => target === versionId).map(([stage]) => stage) };
}

/** Which labels go where. */
function moveLabels(labels: ReadonlyMap<string, string>, { versionId, stages }: NewSecretVersion): Map<string, string> {
  const moved = new Map(stages.map((stage) => [stage, versionId]));
  if (labels.size === 0) moved.set(currentStage, versionId);
  const current = labels.get(currentStage);
  if (moved.has(currentStage) && current !== undefined) moved.set(previousStage, current);
  return moved;
}

async function dropOldVersions(tx: Transaction<Schema>, secretId: number, maxVersions: number): Promise<void> {
  const oldest = await tx
    .selectFrom("secret_version")
    .select("secret_version_id")
    .where("secret_id", "=", secretId)
    .orderBy("secret_version_id", "desc")
    .limit(1)
    .offset(maxVersions)
    .executeTakeFirst();
  if (oldest === undefined) return;
  await tx
    .deleteFrom("secret_version")
    .where("secret_id", "=", secretId)
    .where("secret_version_id", "<=", oldest.secret_version_id)
    .where("version_id", "not in", (query) => query.selectFrom("secret_stage").select("version_id").where("secret_id", "=", secretId))
    .execute();
}

function versionOf(
  row: {
    readonly secret_version_id: number;
    readonly version_id: string;
    readonly created_at: number;
    readonly accessed_at: number | null;
  },
  stages: Readonly<Record<string, readonly string[]>>,
): SecretVersion {
  return {
    secretVersionId: row.secret_version_id,
    versionId: row.version_id,
    createdAt: row.created_at,
    accessedAt: row.accessed_at ?? undefined,
    stages: stages[row.version_id] ?? [],
  };
}
