/** When manifests were pulled last, and whose pulls do not count. */
import { sql } from "kysely";
import { appendChanges } from "./changes.ts";
import type { Author, ChangedRepository } from "./changes.ts";
import type { Database } from "./database.ts";
import { lockRegistry } from "./repositories.ts";
import type { RegistryKey } from "./repositories.ts";

/** A manifest that was pulled. */
export interface ManifestPull {
  readonly manifestId: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** Rows of one statement; far below the parameter limits of both databases. */
const chunkRows = 500;

/**
 * Writes pulls down; a time never moves back, and manifests that are gone are left out. Always in the order of the ids, so that two nodes
 * that write the same ones do not wait for each other in a circle.
 */
export async function notePulls(db: Database, pulls: readonly ManifestPull[]): Promise<void> {
  const byId = new Map<number, number>();
  for (const { manifestId, at } of pulls) byId.set(manifestId, Math.max(at, byId.get(manifestId) ?? 0));
  const sorted = [...byId].toSorted(([one], [other]) => one - other);
  for (let start = 0; start < sorted.length; start += chunkRows) {
    const chunk = sorted.slice(start, start + chunkRows);
    await db.transaction(async (tx) => {
      const live = await tx
        .selectFrom("manifest")
        .select("manifest_id")
        .where(
          db.dialect.integerIn(
            "manifest_id",
            chunk.map(([manifestId]) => manifestId),
          ),
        )
        .where("deleted_at", "is", null)
        .orderBy("manifest_id")
        .$call(db.dialect.lockForShare)
        .execute();
      if (live.length === 0) return;
      await tx
        .insertInto("manifest_pull")
        .values(live.map(({ manifest_id }) => ({ manifest_id, pulled_at: byId.get(manifest_id) ?? 0 })))
        .onConflict((conflict) =>
          conflict
            .column("manifest_id")
            .doUpdateSet((set) => ({ pulled_at: set.ref("excluded.pulled_at") }))
            .where("manifest_pull.pulled_at", "<", sql<number>`excluded.pulled_at`),
        )
        .execute();
    });
  }
}

/** When these manifests were pulled last, by id; without those that never were. */
export async function findPullTimes(db: Database, manifestIds: readonly number[]): Promise<ReadonlyMap<number, number>> {
  if (manifestIds.length === 0) return new Map();
  const rows = await db.read.selectFrom("manifest_pull").selectAll().where(db.dialect.integerIn("manifest_id", manifestIds)).execute();
  return new Map(rows.map((row) => [row.manifest_id, row.pulled_at]));
}

/** Names somebody whose pulls do not count in a registry. */
export interface PullTimeExclusionKey extends RegistryKey {
  readonly principalArn: string;
}

/** Adds an exclusion. */
export async function createPullTimeExclusion(
  db: Database,
  input: { readonly key: PullTimeExclusionKey; readonly maxExclusions: number; readonly author: Author },
): Promise<"created" | "exists" | "limit"> {
  const { key, author } = input;
  return db.transaction(async (tx) => {
    // Two that count at the same time would both find room.
    await lockRegistry(db, tx, key);
    const known = await tx
      .selectFrom("pull_time_exclusion")
      .select("principal_arn")
      .where("account_id", "=", key.accountId)
      .where("region", "=", key.region)
      .execute();
    if (known.some((row) => row.principal_arn === key.principalArn)) return "exists";
    if (known.length >= input.maxExclusions) return "limit";
    const { accountId: account_id, region, principalArn: principal_arn } = key;
    await tx.insertInto("pull_time_exclusion").values({ account_id, region, principal_arn, created_at: author.now }).execute();
    await appendChanges(tx, wholeOf(key), author, [
      { kind: "pull-time-exclusion-put", subject: principal_arn, after: { principalArn: principal_arn } },
    ]);
    return "created";
  });
}

/** Takes an exclusion back. False when there is none. */
export async function deletePullTimeExclusion(
  db: Database,
  { key, author }: { readonly key: PullTimeExclusionKey; readonly author: Author },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const row = await tx
      .deleteFrom("pull_time_exclusion")
      .where("account_id", "=", key.accountId)
      .where("region", "=", key.region)
      .where("principal_arn", "=", key.principalArn)
      .returning("principal_arn")
      .executeTakeFirst();
    if (row === undefined) return false;
    await appendChanges(tx, wholeOf(key), author, [
      { kind: "pull-time-exclusion-deleted", subject: key.principalArn, before: { principalArn: key.principalArn } },
    ]);
    return true;
  });
}

/** One page of the ARNs whose pulls do not count, in byte order, from the first one after `after` on. */
export async function listPullTimeExclusions(
  db: Database,
  registry: RegistryKey,
  page: { readonly after?: string | undefined; readonly limit: number },
): Promise<readonly string[]> {
  const rows = await db.read
    .selectFrom("pull_time_exclusion")
    .select("principal_arn")
    .where("account_id", "=", registry.accountId)
    .where("region", "=", registry.region)
    .where("principal_arn", ">", page.after ?? "")
    .orderBy("principal_arn")
    .limit(page.limit)
    .execute();
  return rows.map((row) => row.principal_arn);
}

/** The registry as the change log names it. */
function wholeOf({ accountId, region }: RegistryKey): ChangedRepository {
  return { repositoryId: undefined, accountId, region, name: "" };
}
