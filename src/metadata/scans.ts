/** Scans of manifests: beginning them within their quotas, and what they found. How each stands is a follow-up of its manifest. */
import { readJson } from "#std/json.ts";
import { sql } from "kysely";
import type { Kysely, Transaction } from "kysely";
import { appendChanges } from "./changes.ts";
import type { Author } from "./changes.ts";
import type { Database } from "./database.ts";
import { beginFollowUps } from "./follow-ups.ts";
import { lockRepository } from "./repositories.ts";
import type { RegistryKey, Repository, RepositoryKey } from "./repositories.ts";
import type { Schema } from "./schema.ts";

/** Which scan of which manifest. */
export interface ScanName {
  readonly manifestId: number;
  readonly target: string;
}

/** What counts as a scan within a quota. */
export interface ScanQuota {
  readonly registry: RegistryKey;
  /** Scans that were begun after it count. */
  readonly since: number;
  /** Failures of this code do not: nothing was scanned. */
  readonly exceptCode: string;
  readonly limit: number;
}

/** Rows of one insert; far below the parameter limits of both databases. */
const insertChunk = 500;
/** More tags than this are not named in one entry of the change log. */
const maxRecordedTags = 100;

/** Sets whether a repository's pushes are scanned. Undefined: no such repository. */
export async function setScanOnPush(
  db: Database,
  input: { readonly key: RepositoryKey; readonly scanOnPush: boolean; readonly author: Author },
): Promise<Repository | undefined> {
  const { key, scanOnPush, author } = input;
  return db.transaction(async (tx) => {
    const before = await lockRepository(db, tx, key, "update");
    if (before === undefined) return undefined;
    await tx
      .updateTable("repository")
      .set({ scan_on_push: scanOnPush ? 1 : 0, revision: sql`revision + 1` })
      .where("repository_id", "=", before.repositoryId)
      .execute();
    await appendChanges(tx, before, author, [
      { kind: "scan-on-push-set", before: { scanOnPush: before.scanOnPush }, after: { scanOnPush } },
    ]);
    return { ...before, scanOnPush };
  });
}

/**
 * Begins a scan, unless one of the manifest counts already (`recent`), or the registry has had as many as it may. Of two calls at the same
 * time one begins it. `gone`: the manifest was deleted.
 */
export async function startScan(
  db: Database,
  input: ScanName & { readonly quota: ScanQuota; readonly now: number },
): Promise<"started" | "recent" | "limit" | "gone"> {
  const { manifestId, target, quota, now } = input;
  return db.transaction(async (tx) => {
    const manifest = await tx
      .selectFrom("manifest")
      .select("manifest_id")
      .where("manifest_id", "=", manifestId)
      .where("deleted_at", "is", null)
      .$call(db.dialect.lockForUpdate)
      .executeTakeFirst();
    if (manifest === undefined) return "gone";
    const last = await tx
      .selectFrom("follow_up")
      .select(["started_at", "code"])
      .where("manifest_id", "=", manifestId)
      .where("kind", "=", "scan")
      .where("target", "=", target)
      .executeTakeFirst();
    if (last !== undefined && last.started_at > quota.since && last.code !== quota.exceptCode) return "recent";
    if (await isQuotaFull(tx, quota)) return "limit";
    await beginFollowUps(tx, manifestId, [{ kind: "scan", target }], now);
    return "started";
  });
}

/** Has the registry begun more scans than it may? The one that asks counts when it is begun already. */
export async function exceedsScanQuota(db: Database, quota: ScanQuota): Promise<boolean> {
  return isQuotaFull(db.read, { ...quota, limit: quota.limit + 1 });
}

async function isQuotaFull(executor: Kysely<Schema>, { registry, since, exceptCode, limit }: ScanQuota): Promise<boolean> {
  const { rows } = await sql<{ readonly scans: number }>`
    select count(*) as scans from (select 1 from follow_up f
      join manifest m on m.manifest_id = f.manifest_id join repository r on r.repository_id = m.repository_id
      where f.kind = 'scan' and f.started_at > ${since} and (f.code is null or f.code <> ${exceptCode})
        and r.account_id = ${registry.accountId} and r.region = ${registry.region}
      limit ${limit}) found`.execute(executor);
  return (rows[0]?.scans ?? 0) >= limit;
}

/** How a scan ended. */
export type ScanOutcome =
  | { readonly state: "COMPLETE"; readonly findings: readonly unknown[]; readonly summary: unknown }
  | { readonly state: "FAILED"; readonly code: string | undefined; readonly reason: string };

/**
 * Writes down how a scan ended, with what it found in place of what was found before, and tells the change log (`record` with the manifest's
 * tags). False when it was begun again or has ended before.
 */
export async function settleScan(
  db: Database,
  input: ScanName & {
    /** Of the scan that ended. */
    readonly startedAt: number;
    readonly outcome: ScanOutcome;
    readonly repository: RepositoryKey & { readonly repositoryId: number };
    readonly digest: string;
    readonly record: Readonly<Record<string, unknown>>;
    readonly author: Author;
  },
): Promise<boolean> {
  const { manifestId, target, outcome, author } = input;
  return db.transaction(async (tx) => {
    const isComplete = outcome.state === "COMPLETE";
    const result = await tx
      .updateTable("follow_up")
      .set({
        state: outcome.state,
        code: isComplete ? null : (outcome.code ?? null),
        reason: isComplete ? null : outcome.reason,
        detail: isComplete ? JSON.stringify(outcome.summary) : null,
        settled_at: author.now,
      })
      .where("manifest_id", "=", manifestId)
      .where("kind", "=", "scan")
      .where("target", "=", target)
      .where("state", "=", "IN_PROGRESS")
      .where("started_at", "=", input.startedAt)
      .executeTakeFirst();
    if (result.numUpdatedRows === 0n) return false;
    await replaceFindings(tx, { manifestId, target }, isComplete ? outcome.findings : []);
    const tags = await tx
      .selectFrom("tag")
      .select("name")
      .where("manifest_id", "=", manifestId)
      .where("deleted_at", "is", null)
      .orderBy("name")
      .limit(maxRecordedTags)
      .execute();
    const after = { ...input.record, tags: tags.map(({ name }) => name) };
    await appendChanges(tx, input.repository, author, [{ kind: "scan-completed", subject: input.digest, after }]);
    return true;
  });
}

async function replaceFindings(tx: Transaction<Schema>, { manifestId, target }: ScanName, findings: readonly unknown[]): Promise<void> {
  await tx.deleteFrom("scan_finding").where("manifest_id", "=", manifestId).where("target", "=", target).execute();
  const rows = findings.map((finding, ordinal) => ({ manifest_id: manifestId, target, ordinal, finding: JSON.stringify(finding) }));
  for (let start = 0; start < rows.length; start += insertChunk)
    await tx
      .insertInto("scan_finding")
      .values(rows.slice(start, start + insertChunk))
      .execute();
}

/** One page of what a scan found, in the scanner's order, from the first finding after `after` on. */
export async function listScanFindings(
  db: Database,
  { manifestId, target }: ScanName,
  page: { readonly after?: number | undefined; readonly limit: number },
): Promise<readonly { readonly ordinal: number; readonly finding: unknown }[]> {
  const rows = await db.read
    .selectFrom("scan_finding")
    .select(["ordinal", "finding"])
    .where("manifest_id", "=", manifestId)
    .where("target", "=", target)
    .where("ordinal", ">", page.after ?? -1)
    .orderBy("ordinal")
    .limit(page.limit)
    .execute();
  return rows.map(({ ordinal, finding }) => ({ ordinal, finding: readJson(finding) }));
}

/** Tells the change log of repositories that are scanned at other times now.  */
export async function recordScanFrequencies(
  db: Database,
  changed: readonly {
    readonly key: RepositoryKey & { readonly repositoryId: number };
    readonly before: unknown;
    readonly after: unknown;
  }[],
  author: Author,
): Promise<void> {
  if (changed.length === 0) return;
  await db.transaction(async (tx) => {
    for (const { key, before, after } of changed) await appendChanges(tx, key, author, [{ kind: "scan-frequency-set", before, after }]);
  });
}
