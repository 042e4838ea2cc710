/** Makes `docs/generated/schema.sql`: the tables that all migrations together make, so that nobody has to replay them in the head. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import { openDatabase } from "#metadata/database.ts";
import { knownSchemaVersion } from "#metadata/migrations.ts";
import { silentLog } from "#std/log.ts";

/** The whole schema as SQLite has it, each table followed by its indexes. Postgres differs in column types only. */
export async function generateSchema(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "supercargo-schema-"));
  try {
    const db = await openDatabase({ kind: "sqlite", file: join(folder, "schema.db") }, { log: silentLog });
    const { rows } = await sql<{ sql: string }>`
      select s.sql from sqlite_schema s join sqlite_schema t on t.name = s.tbl_name and t.type = 'table'
      where s.sql is not null and s.tbl_name not like 'sqlite_%'
      order by t.rootpage, s.type <> 'table', s.name`.execute(db.read);
    await db.close();
    const header = `-- Made by tools/generate-schema.ts from src/metadata/migrations; do not edit. Schema version ${knownSchemaVersion}, as SQLite has it.\n`;
    return `${header}\n${rows.map((row) => `${tidyIndent(row.sql)};\n`).join("\n")}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The statements stand indented in the migrations' source. */
function tidyIndent(text: string): string {
  const lines = text.replaceAll(/ +$/gm, "").split("\n");
  const columns = lines.slice(1, -1).map((line) => `  ${line.trim()}`);
  return lines.length === 1 ? text : [lines[0] ?? "", ...columns, lines.at(-1)?.trim() ?? ""].join("\n");
}
