/** Which blobs a node is fetching from an upstream now, so that other nodes wait for it a little. A row that is lost costs a second fetch. */
import type { Database } from "./database.ts";
import type { RepositoryKey } from "./repositories.ts";

/** A fetch by a node; `fetchId` is its own. */
export interface UpstreamFetch {
  readonly key: RepositoryKey;
  readonly digest: string;
  readonly fetchId: string;
}

/** Rows of nodes that died are removed when they are so old. */
const staleMs = 3_600_000;

/** Claims the blob for so long, unless another node has. Only a claim that can succeed writes. */
export async function claimUpstreamFetch(
  db: Database,
  { key, digest, fetchId, now, leaseMs }: UpstreamFetch & { readonly now: number; readonly leaseMs: number },
): Promise<boolean> {
  const place = { account_id: key.accountId, region: key.region, repository_name: key.name, digest };
  const seen = await db.read
    .selectFrom("upstream_fetch")
    .select("lease_until")
    .where((row) => row.and(place))
    .executeTakeFirst();
  if (seen !== undefined && seen.lease_until > now) return false;
  const claim = { fetch_id: fetchId, lease_until: now + leaseMs };
  return db.transaction(async (tx) => {
    await tx
      .deleteFrom("upstream_fetch")
      .where("lease_until", "<", now - staleMs)
      .execute();
    const row = await tx
      .insertInto("upstream_fetch")
      .values({ ...place, ...claim })
      .onConflict((conflict) =>
        conflict
          .columns(["account_id", "region", "repository_name", "digest"])
          .doUpdateSet(claim)
          .where("upstream_fetch.lease_until", "<=", now),
      )
      .returning("fetch_id")
      .executeTakeFirst();
    return row !== undefined;
  });
}

/** Gives a claim back. */
export async function endUpstreamFetch(db: Database, fetchId: string): Promise<void> {
  await db.transaction((tx) => tx.deleteFrom("upstream_fetch").where("fetch_id", "=", fetchId).execute());
}
