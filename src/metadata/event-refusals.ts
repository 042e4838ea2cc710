/** Events that their targets refused: kept for a while, so that they can be looked at and sent by hand. */
import { readJson } from "#std/json.ts";
import type { Database } from "./database.ts";
import type { Refusal } from "./event-cursors.ts";

/** One page of the refused events, of one target or of all, oldest first, from the first one after `after` on. */
export async function listRefusedEvents(
  db: Database,
  page: { readonly target?: string | undefined; readonly after?: number | undefined; readonly limit: number },
): Promise<readonly Refusal[]> {
  const { target } = page;
  const rows = await db.read
    .selectFrom("event_refusal")
    .selectAll()
    .where("refusal_id", ">", page.after ?? 0)
    .$if(target !== undefined, (query) => query.where("target", "=", target ?? ""))
    .orderBy("refusal_id")
    .limit(page.limit)
    .execute();
  return rows.map((row) => ({
    refusalId: row.refusal_id,
    target: row.target,
    eventId: row.event_id,
    event: readJson(row.event) as object,
    reason: row.reason,
    refusedAt: row.refused_at,
  }));
}

/** Removes refusals of before that moment, so many at once; answers how many. */
export async function trimRefusedEvents(db: Database, input: { readonly before: number; readonly limit: number }): Promise<number> {
  return db.transaction(async (tx) => {
    const result = await tx
      .deleteFrom("event_refusal")
      .where("refusal_id", "in", (query) =>
        query
          .selectFrom("event_refusal")
          .select("refusal_id")
          .where("refused_at", "<", input.before)
          .orderBy("refused_at")
          .limit(input.limit),
      )
      .executeTakeFirst();
    return Number(result.numDeletedRows);
  });
}
