/** Listings of secrets: filtered, in any of four orders, page by page. */
import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import { unreachable } from "#std/assert.ts";
import type { Database } from "./database.ts";
import { secretOf } from "./secret-rows.ts";
import type { Secret } from "./secret-rows.ts";
import { readStages } from "./secret-versions.ts";

/** What a listing is ordered by; secrets that are equal in it follow in the order of their making. */
export type SecretOrder = "created" | "changed" | "accessed" | "name";

/** A text that is looked for, or that must not be there. */
export interface FilterText {
  readonly text: string;
  readonly isNegated: boolean;
}

/** Keeps secrets for which one of the texts holds. */
export interface SecretFilter {
  /** Where the text must stand at the beginning; `any`: every one of its words somewhere in any attribute, whatever the case. */
  readonly attribute: "name" | "description" | "tag-key" | "tag-value" | "any" | "absent";
  readonly texts: readonly FilterText[];
}

/** Where a page ended. */
export interface SecretPosition {
  readonly value: string | number;
  readonly secretId: number;
}

/** A secret as listings show it. */
export interface ListedSecret extends Secret {
  readonly tags: Readonly<Record<string, string>>;
  /** Version ids with their labels. */
  readonly stages: Readonly<Record<string, readonly string[]>>;
}

const orderColumns: Readonly<Record<SecretOrder, RawBuilder<string | number>>> = {
  created: sql`secret.created_at`,
  changed: sql`secret.changed_at`,
  // Those that were never read come first.
  accessed: sql`coalesce(secret.accessed_at, 0)`,
  name: sql`secret.name`,
};

/** A page of an account's secrets in a region. */
export async function listSecrets(
  db: Database,
  input: {
    readonly accountId: string;
    readonly region: string;
    /** Those marked deleted too. */
    readonly includeMarked: boolean;
    /** All of them must hold. */
    readonly filters: readonly SecretFilter[];
    readonly order: SecretOrder;
    readonly isDescending: boolean;
    readonly after: SecretPosition | undefined;
    readonly limit: number;
  },
): Promise<{ readonly secrets: readonly ListedSecret[]; readonly next: SecretPosition | undefined }> {
  const column = orderColumns[input.order];
  const direction = input.isDescending ? "desc" : "asc";
  const conditions = input.filters.map(filterCondition);
  if (input.after !== undefined) conditions.push(laterThan(column, input.isDescending, input.after));
  const rows = await db.read
    .selectFrom("secret")
    .selectAll("secret")
    .select(column.as("position"))
    .where("account_id", "=", input.accountId)
    .where("region", "=", input.region)
    .$if(!input.includeMarked, (query) => query.where("remove_at", "is", null))
    .$if(conditions.length > 0, (query) => query.where(sql<boolean>`${sql.join(conditions, sql` and `)}`))
    .orderBy(column, direction)
    .orderBy("secret_id", direction)
    .limit(input.limit + 1)
    .execute();
  const page = rows.slice(0, input.limit);
  const ids = page.map((row) => row.secret_id);
  const [tags, stages] = [await readTags(db, ids), await readStages(db, ids)];
  const secrets = page.map((row) => ({
    ...secretOf(row),
    tags: Object.fromEntries(tags.get(row.secret_id) ?? []),
    stages: stages.get(row.secret_id) ?? {},
  }));
  const last = rows.length > input.limit ? page.at(-1) : undefined;
  return { secrets, next: last === undefined ? undefined : { value: last.position, secretId: last.secret_id } };
}

function laterThan(column: RawBuilder<string | number>, isDescending: boolean, { value, secretId }: SecretPosition): RawBuilder<boolean> {
  const than = sql.raw(isDescending ? "<" : ">");
  return sql<boolean>`(${column} ${than} ${value} or (${column} = ${value} and secret.secret_id ${than} ${secretId}))`;
}

function filterCondition({ attribute, texts }: SecretFilter): RawBuilder<boolean> {
  const alternatives = texts.map(({ text, isNegated }) => {
    const holds = textCondition(attribute, text);
    return isNegated ? sql<boolean>`not ${holds}` : holds;
  });
  return sql<boolean>`(${sql.join(alternatives, sql` or `)})`;
}

function textCondition(attribute: SecretFilter["attribute"], text: string): RawBuilder<boolean> {
  switch (attribute) {
    case "name":
      return beginsWith(sql`secret.name`, text);
    case "description":
      return beginsWith(sql`lower(coalesce(secret.description, ''))`, text.toLowerCase());
    case "tag-key":
      return someTag(beginsWith(sql`t.key`, text));
    case "tag-value":
      return someTag(beginsWith(sql`t.value`, text));
    case "any": {
      const words = text.split(" ").filter((word) => word !== "");
      return words.length === 0 ? sql<boolean>`(1 = 0)` : sql<boolean>`(${sql.join(words.map(anywhere), sql` and `)})`;
    }
    case "absent":
      return sql<boolean>`(1 = 0)`;
    default:
      return unreachable(attribute);
  }
}

function beginsWith(column: RawBuilder<unknown>, text: string): RawBuilder<boolean> {
  return sql<boolean>`(substr(${column}, 1, ${Array.from(text).length}) = ${text})`;
}

function someTag(condition: RawBuilder<boolean>): RawBuilder<boolean> {
  return sql<boolean>`exists (select 1 from secret_tag t where t.secret_id = secret.secret_id and ${condition})`;
}

function anywhere(word: string): RawBuilder<boolean> {
  const pattern = `%${word.toLowerCase().replaceAll(/[%_~]/g, "~$&")}%`;
  const has = (column: string): RawBuilder<boolean> => sql<boolean>`lower(coalesce(${sql.ref(column)}, '')) like ${pattern} escape '~'`;
  const inTags = someTag(sql<boolean>`(${has("t.key")} or ${has("t.value")})`);
  return sql<boolean>`(${has("secret.name")} or ${has("secret.description")} or ${inTags})`;
}

async function readTags(db: Database, secretIds: readonly number[]): Promise<ReadonlyMap<number, readonly [string, string][]>> {
  const rows = await db.read
    .selectFrom("secret_tag")
    .selectAll()
    .where(db.dialect.integerIn("secret_id", secretIds))
    .orderBy("secret_id")
    .orderBy("key")
    .execute();
  const bySecret = new Map<number, [string, string][]>();
  for (const row of rows) {
    const tags = bySecret.get(row.secret_id) ?? [];
    tags.push([row.key, row.value]);
    bySecret.set(row.secret_id, tags);
  }
  return bySecret;
}
