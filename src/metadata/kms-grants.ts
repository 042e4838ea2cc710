/** Grants: permissions to use one key that stand beside its policy. */
import { readJson } from "#std/json.ts";
import type { Selectable } from "kysely";
import type { Database } from "./database.ts";
import { lockKmsKey } from "./kms-keys.ts";
import type { KmsKey, KmsKeyState } from "./kms-keys.ts";
import type { KmsGrantTable } from "./schema-kms.ts";

/** What the encryption context of a request must be for a grant to count. */
export interface KmsGrantConstraint {
  /** `equals`: exactly these pairs; `subset`: these pairs among others. */
  readonly kind: "equals" | "subset";
  readonly context: Readonly<Record<string, string>>;
}

/** A grant as it was asked for. */
interface GrantFacts {
  /** 64 lower-case hexadecimal digits. */
  readonly grantId: string;
  readonly keyId: string;
  readonly name: string | undefined;
  /** An ARN, as it was given. */
  readonly grantee: string;
  /** The unique id that the grantee had when the grant was made; its ARN when it has none. */
  readonly granteeKey: string;
  readonly retiring: string | undefined;
  readonly retiringKey: string | undefined;
  readonly issuingAccount: string;
  /** Such as `Decrypt`, without the service. */
  readonly operations: readonly string[];
  readonly constraint: KmsGrantConstraint | undefined;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** A grant; `position` is its place in listings. */
export interface KmsGrant extends GrantFacts {
  readonly position: number;
}

/** A grant to be made. */
export interface NewKmsGrant extends GrantFacts {
  /** The same for the same request; a grant that has it is answered instead of a new one. Undefined: always a new grant. */
  readonly fingerprint: string | undefined;
  /** The states in which the key may be. */
  readonly onlyIn: readonly KmsKeyState[];
  /** How many grants a key may have. */
  readonly limit: number;
}

/** What making a grant answers: the grant, made now or before. */
export type NewKmsGrantOutcome =
  | { readonly outcome: "created"; readonly grantId: string }
  | { readonly outcome: "limit" }
  | { readonly outcome: "wrong-state"; readonly key: KmsKey }
  | { readonly outcome: "not-found" };

/** Which grants to list. Several filters must all fit. */
export interface KmsGrantFilter {
  readonly keyId: string;
  readonly grantId?: string | undefined;
  /** As it was given. */
  readonly grantee?: string | undefined;
  /** Any of these, by unique id or ARN. */
  readonly granteeKeys?: readonly string[] | undefined;
}

/** Makes a grant, unless the same one is there by its fingerprint. */
export async function createKmsGrant(db: Database, input: NewKmsGrant): Promise<NewKmsGrantOutcome> {
  return db.transaction(async (tx): Promise<NewKmsGrantOutcome> => {
    const key = await lockKmsKey(db, tx, input.keyId);
    if (key === undefined) return { outcome: "not-found" };
    if (!input.onlyIn.includes(key.state)) return { outcome: "wrong-state", key };
    if (input.fingerprint !== undefined) {
      const same = await tx
        .selectFrom("kms_grant")
        .select("grant_id")
        .where("key_id", "=", input.keyId)
        .where("fingerprint", "=", input.fingerprint)
        .executeTakeFirst();
      if (same !== undefined) return { outcome: "created", grantId: same.grant_id };
    }
    const { count } = await tx
      .selectFrom("kms_grant")
      .select((row) => row.fn.countAll<number>().as("count"))
      .where("key_id", "=", input.keyId)
      .executeTakeFirstOrThrow();
    if (count >= input.limit) return { outcome: "limit" };
    await tx
      .insertInto("kms_grant")
      .values({
        grant_id: input.grantId,
        key_id: input.keyId,
        name: input.name ?? null,
        fingerprint: input.fingerprint ?? null,
        grantee: input.grantee,
        grantee_key: input.granteeKey,
        retiring: input.retiring ?? null,
        retiring_key: input.retiringKey ?? null,
        issuing_account: input.issuingAccount,
        operations: JSON.stringify(input.operations),
        constraint_kind: input.constraint?.kind ?? null,
        constraint_context: input.constraint === undefined ? null : JSON.stringify(input.constraint.context),
        created_at: input.createdAt,
      })
      .execute();
    return { outcome: "created", grantId: input.grantId };
  });
}

/** The grant of that id, or undefined. */
export async function findKmsGrant(db: Database, grantId: string): Promise<KmsGrant | undefined> {
  const row = await db.read.selectFrom("kms_grant").selectAll().where("grant_id", "=", grantId).executeTakeFirst();
  return row === undefined ? undefined : grantOf(row);
}

/** A page of grants in the order they were made; `after` is the last position of the page before. */
export async function listKmsGrants(
  db: Database,
  input: KmsGrantFilter & { readonly after: number; readonly limit: number },
): Promise<readonly KmsGrant[]> {
  const { keyId, grantId, grantee, granteeKeys } = input;
  let query = db.read.selectFrom("kms_grant").selectAll().where("key_id", "=", keyId).where("grant_row_id", ">", input.after);
  if (grantId !== undefined) query = query.where("grant_id", "=", grantId);
  if (grantee !== undefined) query = query.where("grantee", "=", grantee);
  if (granteeKeys !== undefined) query = query.where(db.dialect.textIn("grantee_key", granteeKeys));
  const rows = await query.orderBy("grant_row_id").limit(input.limit).execute();
  return rows.map(grantOf);
}

/**
 * A page of the grants that somebody may retire, of all keys of a region, in the order they were made. `retiringKey` as in
 * {@link KmsGrant.retiringKey}; each with the account of its key.
 */
export async function listRetirableKmsGrants(
  db: Database,
  input: { readonly region: string; readonly retiringKey: string; readonly after: number; readonly limit: number },
): Promise<readonly (KmsGrant & { readonly keyAccountId: string })[]> {
  const rows = await db.read
    .selectFrom("kms_grant as g")
    .innerJoin("kms_key as k", "k.key_id", "g.key_id")
    .selectAll("g")
    .select("k.account_id as key_account_id")
    .where("g.retiring_key", "=", input.retiringKey)
    .where("k.region", "=", input.region)
    .where("g.grant_row_id", ">", input.after)
    .orderBy("g.grant_row_id")
    .limit(input.limit)
    .execute();
  return rows.map((row) => ({ ...grantOf(row), keyAccountId: row.key_account_id }));
}

/** Removes a grant of a key. False when there is none. */
export async function deleteKmsGrant(db: Database, input: { readonly keyId: string; readonly grantId: string }): Promise<boolean> {
  return db.transaction(async (tx) => {
    const gone = await tx
      .deleteFrom("kms_grant")
      .where("grant_id", "=", input.grantId)
      .where("key_id", "=", input.keyId)
      .returning("grant_id")
      .execute();
    return gone.length > 0;
  });
}

function grantOf(row: Selectable<KmsGrantTable>): KmsGrant {
  const { constraint_kind: kind, constraint_context: context } = row;
  return {
    position: row.grant_row_id,
    grantId: row.grant_id,
    keyId: row.key_id,
    name: row.name ?? undefined,
    grantee: row.grantee,
    granteeKey: row.grantee_key,
    retiring: row.retiring ?? undefined,
    retiringKey: row.retiring_key ?? undefined,
    issuingAccount: row.issuing_account,
    operations: readJson(row.operations) as string[],
    constraint: kind === null || context === null ? undefined : { kind, context: readJson(context) as Record<string, string> },
    createdAt: row.created_at,
  };
}
