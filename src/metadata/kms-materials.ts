/** The secrets of keys, sealed before they come here, and the rotations that made them. */
import type { Selectable } from "kysely";
import type { Database } from "./database.ts";
import { kmsKeyOf, lockKmsKey } from "./kms-keys.ts";
import type { KmsKey } from "./kms-keys.ts";
import { preparedStatement } from "./prepared.ts";
import type { KmsMaterialTable } from "./schema-kms.ts";

/** What made a material. */
export type KmsRotation = NonNullable<KmsMaterialTable["rotation"]>;

/** A material without its secret. Times are milliseconds since the epoch. */
export interface KmsMaterial {
  /** From 1, in the order they were made. */
  readonly material: number;
  /** 64 lower-case hexadecimal digits. */
  readonly materialId: string;
  /** Undefined for the first. */
  readonly rotation: KmsRotation | undefined;
  readonly createdAt: number;
}

/** A material's secret, sealed. */
export interface SealedMaterial {
  readonly materialId: string;
  readonly sealed: string;
}

/** What adding a material answers; `conflict`: the key is not as expected any more. */
export type AddKmsMaterialOutcome = { readonly outcome: "added"; readonly key: KmsKey } | { readonly outcome: "conflict" };

const find = preparedStatement("find_kms_material", "select material_id, sealed from kms_material where key_id = ?1 and material = ?2");

/** The sealed secret of that number, or undefined. */
export async function findKmsMaterial(db: Database, keyId: string, material: number): Promise<SealedMaterial | undefined> {
  const row = await db.prepared.one<Selectable<KmsMaterialTable>>(find, [keyId, material]);
  return row === undefined ? undefined : { materialId: row.material_id, sealed: row.sealed };
}

/**
 * Makes a new material the one that encrypts, if the key is enabled and its newest one still has the number `after`: of two rotations at
 * once one finds a conflict. `nextRotationAt` replaces the time of the next rotation by itself.
 */
export async function addKmsMaterial(
  db: Database,
  input: SealedMaterial & {
    readonly keyId: string;
    readonly after: number;
    readonly rotation: KmsRotation;
    readonly nextRotationAt: number | undefined;
    readonly now: number;
  },
): Promise<AddKmsMaterialOutcome> {
  return db.transaction(async (tx): Promise<AddKmsMaterialOutcome> => {
    const key = await lockKmsKey(db, tx, input.keyId);
    if (key?.state !== "Enabled" || key.material !== input.after) return { outcome: "conflict" };
    const material = key.material + 1;
    await tx
      .insertInto("kms_material")
      .values({
        key_id: key.keyId,
        material,
        material_id: input.materialId,
        sealed: input.sealed,
        rotation: input.rotation,
        created_at: input.now,
      })
      .execute();
    const row = await tx
      .updateTable("kms_key")
      .set({
        material,
        material_id: input.materialId,
        on_demand_rotations: key.onDemandRotations + (input.rotation === "ON_DEMAND" ? 1 : 0),
        // A key whose rotation was switched off meanwhile stays so.
        ...(key.rotationPeriodDays !== undefined && input.nextRotationAt !== undefined && { next_rotation_at: input.nextRotationAt }),
      })
      .where("key_id", "=", key.keyId)
      .returningAll()
      .executeTakeFirstOrThrow();
    return { outcome: "added", key: kmsKeyOf(row) };
  });
}

/** A page of a key's materials by number; `after` is the last number of the page before, 1 to leave the first out. */
export async function listKmsMaterials(
  db: Database,
  input: { readonly keyId: string; readonly after: number; readonly limit: number },
): Promise<readonly KmsMaterial[]> {
  const rows = await db.read
    .selectFrom("kms_material")
    .select(["material", "material_id", "rotation", "created_at"])
    .where("key_id", "=", input.keyId)
    .where("material", ">", input.after)
    .orderBy("material")
    .limit(input.limit)
    .execute();
  return rows.map((row) => ({
    material: row.material,
    materialId: row.material_id,
    rotation: row.rotation ?? undefined,
    createdAt: row.created_at,
  }));
}
