import assert from "node:assert/strict";
import { test } from "node:test";
import { sql } from "kysely";
import { readInstanceSetting } from "./accounts.ts";
import { DatabaseFull } from "./database-full.ts";
import type { OpenedDatabase } from "./metadata-contract-fixture.ts";

/** What each database is told so that it says what it says on a full disk: SQLite by its own limit of pages, Postgres by the code itself. */
const provocations = {
  sqlite: ["pragma max_page_count = 1", `insert into instance (key, value) values ('large', hex(zeroblob(10000000)))`],
  postgres: ["do $$ begin raise exception 'could not extend file' using errcode = 'disk_full'; end $$"],
} as const;

/** A disk without room under the database. */
export function fullContract(opened: OpenedDatabase): void {
  test("is told as such, leaves nothing of the transaction, and passes", async () => {
    const db = opened();
    const write = (value: string, more: readonly string[]): Promise<void> =>
      db.transaction(async (tx) => {
        await sql`insert into instance (key, value) values ('full', ${value})`.execute(tx);
        for (const statement of more) await sql.raw(statement).execute(tx);
      });
    await assert.rejects(write("first", provocations[db.dialect.name]), DatabaseFull);
    assert.equal(await readInstanceSetting(db, "full"), undefined);
    if (db.dialect.name === "sqlite")
      await db.transaction(async (tx) => void (await sql.raw("pragma max_page_count = 4294967294").execute(tx)));
    await write("second", []);
    assert.equal(await readInstanceSetting(db, "full"), "second");
    await assert.rejects(write("third", []), (error) => !(error instanceof DatabaseFull));
  });
}
