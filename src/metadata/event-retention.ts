/** The end of what is only history: entries of the change log that every reader has passed, jobs that were given up, cursors that nobody reads at. */
import { sql } from "kysely";
import type { Database } from "./database.ts";

/** What a step of trimming did. */
export interface TrimmedChanges {
  readonly removed: number;
  /** Readers that could not go on for too long: the entries that they had not read are among the removed ones. */
  readonly overtaken: readonly string[];
}

/**
 * Removes entries of before `before`, oldest first, so many at once, and none that a reader has still to read. A reader whose target has
 * been failing since `givenUpBefore` does not count: it must not fill the database for ever.
 */
export async function trimChanges(
  db: Database,
  input: { readonly before: number; readonly givenUpBefore: number; readonly limit: number },
): Promise<TrimmedChanges> {
  return db.transaction(async (tx) => {
    const cursors = await tx
      .selectFrom("event_cursor")
      .select(["name", "transaction_id", "change_id", "failing_since"])
      .orderBy("transaction_id")
      .orderBy("change_id")
      .execute();
    const slowest = cursors.find((cursor) => (cursor.failing_since ?? Infinity) > input.givenUpBefore);
    let query = tx.selectFrom("change").select(["transaction_id", "change_id", "at"]).where(db.dialect.changeSettled);
    if (slowest !== undefined)
      query = query.where(sql<boolean>`(transaction_id, change_id) <= (${slowest.transaction_id}, ${slowest.change_id})`);
    const oldest = await query.orderBy("transaction_id").orderBy("change_id").limit(input.limit).execute();
    const doomed = oldest.filter(({ at }) => at < input.before);
    const last = doomed.at(-1);
    if (last === undefined) return { removed: 0, overtaken: [] };
    const ids = doomed.map((row) => row.change_id);
    await tx.deleteFrom("change").where(db.dialect.integerIn("change_id", ids)).execute();
    const overtaken = cursors.filter(
      (cursor) =>
        cursor.transaction_id < last.transaction_id || (cursor.transaction_id === last.transaction_id && cursor.change_id < last.change_id),
    );
    return { removed: doomed.length, overtaken: overtaken.map(({ name }) => name) };
  });
}

/** Removes jobs that were given up and whose last attempt ended before that moment, so many at once; answers how many. */
export async function trimDeadJobs(db: Database, input: { readonly before: number; readonly limit: number }): Promise<number> {
  return db.transaction(async (tx) => {
    const result = await tx
      .deleteFrom("job")
      .where("job_id", "in", (query) =>
        query
          .selectFrom("job")
          .select("job_id")
          .where("state", "=", sql.lit("dead" as const))
          .where("due_at", "<", input.before)
          .orderBy("job_id")
          .limit(input.limit),
      )
      .where("state", "=", sql.lit("dead" as const))
      .executeTakeFirst();
    return Number(result.numDeletedRows);
  });
}

/** Forgets the cursors of targets that are not among `names` and that no node has served since `before`; answers their names. */
export async function dropEventCursors(
  db: Database,
  input: { readonly names: readonly string[]; readonly before: number },
): Promise<readonly string[]> {
  return db.transaction(async (tx) => {
    const rows = await tx
      .deleteFrom("event_cursor")
      .where((eb) => eb.not(db.dialect.textIn("name", input.names)))
      .where("lease_until", "<", input.before)
      .returning("name")
      .execute();
    return rows.map(({ name }) => name).toSorted();
  });
}
