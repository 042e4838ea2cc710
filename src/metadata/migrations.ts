import { sql } from "kysely";
import type { Kysely } from "kysely";
import type { ColumnTypes, Dialect } from "./dialect.ts";
import { initialSchema } from "./migrations/0001-initial.ts";
import { identitySchema } from "./migrations/0002-identity.ts";
import { kmsSchema } from "./migrations/0003-kms.ts";
import { secretSchema } from "./migrations/0004-secrets.ts";
import { machineSchema } from "./migrations/0005-machines.ts";
import { encryptionSchema } from "./migrations/0006-encryption.ts";
import { registrySettingSchema } from "./migrations/0007-registry-settings.ts";
import { lifecycleSchema } from "./migrations/0008-lifecycle.ts";
import { storageClassSchema } from "./migrations/0009-storage-class.ts";
import { scanningSchema } from "./migrations/0010-scanning.ts";
import { upstreamSchema } from "./migrations/0011-upstream.ts";
import { replicationSchema } from "./migrations/0012-replication.ts";
import { eventSchema } from "./migrations/0013-events.ts";
import { pullTimeSchema } from "./migrations/0014-pull-times.ts";
import type { Schema } from "./schema.ts";

/** One step of the schema. Steps are never edited once released; they are only added. */
interface Migration {
  readonly version: number;
  readonly name: string;
  statements(types: ColumnTypes): readonly string[];
}

/** All steps in order; the version of the last one is what this program understands. */
const migrations: readonly Migration[] = [
  { version: 1, name: "initial", statements: initialSchema },
  { version: 2, name: "identity", statements: identitySchema },
  { version: 3, name: "kms", statements: kmsSchema },
  { version: 4, name: "secrets", statements: secretSchema },
  { version: 5, name: "machines", statements: machineSchema },
  { version: 6, name: "encryption", statements: encryptionSchema },
  { version: 7, name: "registry-settings", statements: registrySettingSchema },
  { version: 8, name: "lifecycle", statements: lifecycleSchema },
  { version: 9, name: "storage-class", statements: storageClassSchema },
  { version: 10, name: "scanning", statements: scanningSchema },
  { version: 11, name: "upstream", statements: upstreamSchema },
  { version: 12, name: "replication", statements: replicationSchema },
  { version: 13, name: "events", statements: eventSchema },
  { version: 14, name: "pull-times", statements: pullTimeSchema },
];

/** The schema version that this program makes and understands. */
export const knownSchemaVersion = migrations.at(-1)?.version ?? 0;

/** The database was made by a newer program. Message says what to do. */
export class NewerSchemaError extends Error {
  override readonly name = "NewerSchemaError";
  readonly version: number;
  constructor(version: number) {
    super(
      `The database has schema version ${version}, and this program understands versions up to ${knownSchemaVersion}. ` +
        "Start the newer Supercargo that made it, or restore a backup from before the upgrade.",
    );
    this.version = version;
  }
}

/**
 * Brings the schema up to date, each step in a transaction of its own; where several nodes start at once, one of them
 * does it and the others find it done. Throws {@link NewerSchemaError} before touching anything newer.
 */
export async function migrate(db: Kysely<Schema>, dialect: Dialect): Promise<{ readonly applied: readonly string[] }> {
  const applied: string[] = [];
  for (;;) {
    const name = await db.transaction().execute(async (tx) => {
      for (const statement of dialect.migrationPreamble) await sql.raw(statement).execute(tx);
      await sql
        .raw(
          `create table if not exists schema_version (version ${dialect.columnTypes.integer} primary key, name ${dialect.columnTypes.text} not null)`,
        )
        .execute(tx);
      const current = await readVersion(tx);
      if (current > knownSchemaVersion) throw new NewerSchemaError(current);
      const next = migrations.find((migration) => migration.version > current);
      if (next === undefined) return undefined;
      for (const statement of next.statements(dialect.columnTypes)) await sql.raw(statement).execute(tx);
      await sql`insert into schema_version (version, name) values (${next.version}, ${next.name})`.execute(tx);
      return next.name;
    });
    if (name === undefined) return { applied };
    applied.push(name);
  }
}

/** The newest step that was applied; 0 for none. */
export async function readVersion(db: Kysely<Schema>): Promise<number> {
  const { rows } = await sql<{ version: number | null }>`select max(version) as version from schema_version`.execute(db);
  return rows[0]?.version ?? 0;
}
