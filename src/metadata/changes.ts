import { readJson } from "#std/json.ts";
import { sql } from "kysely";
import type { Transaction } from "kysely";
import type { Database } from "./database.ts";
import type { ChangeTable, Schema } from "./schema.ts";

/** Who makes a change, and when. */
export interface Author {
  readonly principalArn: string;
  readonly requestId: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What happened, as a closed set; `subject` of the entry says to what inside the repository. */
export type ChangeKind =
  | "repository-created"
  | "repository-deleted"
  | "repository-restored"
  | "tag-mutability-set"
  | "scan-on-push-set"
  /** A repository is scanned at other times than before, because the registry's rules changed. */
  | "scan-frequency-set"
  | "scan-completed"
  | "resource-tags-put"
  | "resource-tags-deleted"
  | "repository-policy-put"
  | "repository-policy-deleted"
  | "lifecycle-policy-put"
  | "lifecycle-policy-deleted"
  | "lifecycle-policy-executed"
  | "lifecycle-preview-started"
  | "registry-policy-put"
  | "registry-policy-deleted"
  | "registry-setting-put"
  | "registry-setting-deleted"
  | "creation-template-put"
  | "creation-template-deleted"
  | "pull-time-exclusion-put"
  | "pull-time-exclusion-deleted"
  | "manifest-pushed"
  /** At the destination of a replication: how it ended, and from where it came. */
  | "manifest-replicated"
  | "manifest-deleted"
  | "manifest-restored"
  | "manifest-purged"
  | "manifest-archived"
  | "manifest-activating"
  | "manifest-activated"
  | "tag-put"
  | "tag-deleted"
  | "tag-restored"
  | "tag-purged"
  | "blob-uploaded"
  | "blob-mounted"
  | "blob-deleted"
  | "pull-through-rule-put"
  | "pull-through-rule-deleted"
  | "pull-through";

/** One entry of the change log. */
export interface Change {
  readonly changeId: number;
  /** Where the entry stands in the log, opaque; `after` of the next page. */
  readonly position: string;
  readonly accountId: string;
  readonly region: string;
  readonly repositoryId?: number;
  readonly repositoryName: string;
  readonly at: number;
  readonly principalArn: string;
  readonly requestId: string;
  readonly kind: ChangeKind;
  /** A tag, a digest, or empty for the repository itself. */
  readonly subject: string;
  /** What it was (digests, settings), absent when there was nothing. */
  readonly before?: unknown;
  /** What it became, absent when nothing is there any more. */
  readonly after?: unknown;
}

/** The repository that a change belongs to; for one of the registry itself without an id, and with an empty name. */
export interface ChangedRepository {
  readonly repositoryId: number | undefined;
  readonly accountId: string;
  readonly region: string;
  readonly name: string;
}

/** One change to append. */
export interface NewChange {
  readonly kind: ChangeKind;
  readonly subject?: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** Rows of one insert; far below the parameter limits of both databases. */
const insertChunk = 500;

/** Appends to the change log, inside the transaction that makes the changes. */
export async function appendChanges(
  tx: Transaction<Schema>,
  repository: ChangedRepository,
  author: Author,
  changes: readonly NewChange[],
): Promise<void> {
  for (let start = 0; start < changes.length; start += insertChunk) {
    const rows = changes.slice(start, start + insertChunk).map((change) => ({
      account_id: repository.accountId,
      region: repository.region,
      repository_id: repository.repositoryId ?? null,
      repository_name: repository.name,
      at: author.now,
      principal_arn: author.principalArn,
      request_id: author.requestId,
      kind: change.kind,
      subject: change.subject ?? "",
      before: change.before === undefined ? null : JSON.stringify(change.before),
      after: change.after === undefined ? null : JSON.stringify(change.after),
    }));
    await tx.insertInto("change").values(rows).execute();
  }
}

/**
 * One page of the change log in the order of the writing transactions, from the first entry after `after` on, of one
 * repository or of all. On Postgres it stops below every transaction that is still under way: numbers are given out
 * before commits, and a reader that went past one would never see it. Throws RangeError for a position that no page gave out.
 */
export async function listChanges(
  db: Database,
  page: { readonly repositoryId?: number; readonly after?: string; readonly limit: number },
): Promise<Change[]> {
  const { transactionId, changeId } = parsePosition(page.after ?? "0.0");
  let query = db.read
    .selectFrom("change")
    .selectAll()
    .where(db.dialect.changeSettled)
    .where(sql<boolean>`(transaction_id, change_id) > (${transactionId}, ${changeId})`);
  if (page.repositoryId !== undefined) query = query.where("repository_id", "=", page.repositoryId);
  const rows = await query.orderBy("transaction_id").orderBy("change_id").limit(page.limit).execute();
  return rows.map(changeOf);
}

/** Takes a position apart. Throws RangeError for what no page gave out. */
export function parsePosition(position: string): { transactionId: number; changeId: number } {
  const [transactionId, changeId, ...rest] = position.split(".").map(Number);
  if (!Number.isSafeInteger(transactionId) || !Number.isSafeInteger(changeId) || rest.length > 0) {
    throw new RangeError("not a position of the change log");
  }
  return { transactionId: transactionId as number, changeId: changeId as number };
}

function changeOf(row: { [K in keyof ChangeTable]: K extends "change_id" | "transaction_id" ? number : ChangeTable[K] }): Change {
  return {
    changeId: row.change_id,
    position: `${row.transaction_id}.${row.change_id}`,
    accountId: row.account_id,
    region: row.region,
    ...(row.repository_id === null ? {} : { repositoryId: row.repository_id }),
    repositoryName: row.repository_name,
    at: row.at,
    principalArn: row.principal_arn,
    requestId: row.request_id,
    kind: row.kind as ChangeKind,
    subject: row.subject,
    ...(row.before === null ? {} : { before: readJson(row.before) }),
    ...(row.after === null ? {} : { after: readJson(row.after) }),
  };
}
