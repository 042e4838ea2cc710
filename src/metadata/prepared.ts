/** Hand-written statements for the hot reads: prepared once, run often, on either database. */

/** A value that a statement takes. */
export type StatementValue = string | number | null;

/** One statement in both forms. */
export interface PreparedStatement {
  /** Unique; Postgres knows the statement by it. */
  readonly name: string;
  readonly sqliteText: string;
  readonly postgresText: string;
}

/** Runs prepared statements. On SQLite the rows come synchronously from the read connection, on Postgres from the pool. */
export interface PreparedRunner {
  /** All rows. Never holds a cursor open. */
  all<Row>(statement: PreparedStatement, values: readonly StatementValue[]): Promise<Row[]>;
  /** The only row of a statement that finds one or none; cheaper than a list of one. */
  one<Row>(statement: PreparedStatement, values: readonly StatementValue[]): Promise<Row | undefined>;
}

/** Defines a statement; placeholders are `?1`, `?2`, … in both databases. */
export function preparedStatement(name: string, text: string): PreparedStatement {
  return { name, sqliteText: text, postgresText: text.replaceAll(/\?(\d+)/g, "$$$1") };
}
