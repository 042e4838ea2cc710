import { readJson } from "#std/json.ts";
import { sql } from "kysely";
import type { Database } from "./database.ts";
import { manifestColumns, manifestOf } from "./manifest-rows.ts";
import type { Manifest, ManifestFacts } from "./manifest-rows.ts";
import type { RepositoryKey } from "./repositories.ts";
import type { FollowUpTable } from "./schema-registry.ts";

/** A manifest that something is to be done with, where it is, and since when it is being done. */
export interface FollowUpSubject {
  readonly key: RepositoryKey;
  readonly manifest: Manifest;
  readonly startedAt: number;
  /** What an earlier run of the job has kept. */
  readonly detail?: unknown;
}

/** Which follow-up of which manifest. */
interface FollowUpName {
  readonly manifestId: number;
  readonly kind: FollowUpTable["kind"];
  readonly target: string;
}

/** What the job of a follow-up is about. Undefined when it has ended, or the manifest or its repository was deleted. */
export async function findFollowUpSubject(db: Database, { manifestId, kind, target }: FollowUpName): Promise<FollowUpSubject | undefined> {
  const { rows } = await sql<
    ManifestFacts & {
      readonly account_id: string;
      readonly region: string;
      readonly name: string;
      readonly started_at: number;
      readonly detail: string | null;
    }
  >`
    select ${sql.raw(manifestColumns)}, r.account_id, r.region, r.name, f.started_at, f.detail
    from follow_up f join manifest m on m.manifest_id = f.manifest_id join repository r on r.repository_id = m.repository_id
    where f.manifest_id = ${manifestId} and f.kind = ${kind} and f.target = ${target} and f.state = 'IN_PROGRESS'
      and m.deleted_at is null and r.deleted_at is null`.execute(db.read);
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    key: { accountId: row.account_id, region: row.region, name: row.name },
    manifest: manifestOf(row),
    startedAt: row.started_at,
    ...(row.detail !== null && { detail: readJson(row.detail) }),
  };
}

/** Keeps something with a follow-up that has not ended, unless something is kept already; answers what is kept. */
export async function keepFollowUpDetail(
  db: Database,
  { manifestId, kind, target, detail }: FollowUpName & { readonly detail: unknown },
): Promise<unknown> {
  return db.transaction(async (tx) => {
    const row = await tx
      .updateTable("follow_up")
      .set({ detail: sql`coalesce(detail, ${JSON.stringify(detail)})` })
      .where("manifest_id", "=", manifestId)
      .where("kind", "=", kind)
      .where("target", "=", target)
      .where("state", "=", "IN_PROGRESS")
      .returning("detail")
      .executeTakeFirst();
    return row?.detail === null || row === undefined ? detail : readJson(row.detail);
  });
}
