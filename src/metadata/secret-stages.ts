/** Moving the staging labels of a secret's versions without storing a value. */
import type { Transaction } from "kysely";
import type { Database } from "./database.ts";
import type { Schema } from "./schema.ts";
import { changeSecret, setSecret } from "./secret-rows.ts";
import type { SecretGone } from "./secret-rows.ts";
import { currentStage, previousStage } from "./secret-versions.ts";

/** A label, and from which version to which it goes: only away, only to, or both. */
export interface StageMove {
  readonly stage: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
  /** How many labels a secret may have on all its versions. */
  readonly maxStages: number;
}

/** What moving a label answers. */
export type StageMoveOutcome =
  | { readonly outcome: "moved" }
  | { readonly outcome: "version-not-found" }
  /** The label is on `holder`, or nowhere, and the move says otherwise or does not say. */
  | { readonly outcome: "elsewhere"; readonly holder: string | undefined }
  /** There is always a current version, once there was one. */
  | { readonly outcome: "current-removed" }
  | { readonly outcome: "too-many-stages" };

/** Moves a label. The version that stops being current becomes the previous one. A label that is where it shall be changes nothing. */
export async function moveSecretStage(
  db: Database,
  input: StageMove & { readonly secretId: number; readonly now: number },
): Promise<StageMoveOutcome | SecretGone> {
  const { secretId, now } = input;
  return changeSecret(db, secretId, async (tx): Promise<StageMoveOutcome> => {
    const rows = await tx.selectFrom("secret_stage").selectAll().where("secret_id", "=", secretId).execute();
    const labels = new Map(rows.map((row) => [row.stage, row.version_id]));
    const refused = await refusalOf(tx, labels, input);
    if (refused !== undefined) return refused;
    const { stage, to } = input;
    const holder = labels.get(stage);
    if (holder === to) return { outcome: "moved" };
    if (to === undefined) await removeStage(tx, secretId, stage);
    else await setStage(tx, secretId, stage, to);
    if (stage === currentStage && holder !== undefined) await setStage(tx, secretId, previousStage, holder);
    await setSecret(tx, secretId, { changed_at: now });
    return { outcome: "moved" };
  });
}

async function refusalOf(
  tx: Transaction<Schema>,
  labels: ReadonlyMap<string, string>,
  { secretId, stage, from, to, maxStages }: StageMove & { readonly secretId: number },
): Promise<StageMoveOutcome | undefined> {
  const holder = labels.get(stage);
  if (from !== undefined ? from !== holder : holder !== undefined && holder !== to) return { outcome: "elsewhere", holder };
  if (to === undefined) return stage === currentStage ? { outcome: "current-removed" } : undefined;
  const version = await tx
    .selectFrom("secret_version")
    .select("version_id")
    .where("secret_id", "=", secretId)
    .where("version_id", "=", to)
    .executeTakeFirst();
  if (version === undefined) return { outcome: "version-not-found" };
  const added = stage === currentStage && holder !== undefined ? [stage, previousStage] : [stage];
  return new Set([...labels.keys(), ...added]).size > maxStages ? { outcome: "too-many-stages" } : undefined;
}

async function setStage(tx: Transaction<Schema>, secretId: number, stage: string, versionId: string): Promise<void> {
  await tx
    .insertInto("secret_stage")
    .values({ secret_id: secretId, stage, version_id: versionId })
    .onConflict((conflict) => conflict.columns(["secret_id", "stage"]).doUpdateSet({ version_id: versionId }))
    .execute();
}

async function removeStage(tx: Transaction<Schema>, secretId: number, stage: string): Promise<void> {
  await tx.deleteFrom("secret_stage").where("secret_id", "=", secretId).where("stage", "=", stage).execute();
}
