/** What is remembered of fetching through a rule: when a tag was last compared with its upstream, and what came of each attempt. */
import { appendChanges } from "./changes.ts";
import type { Author, NewChange } from "./changes.ts";
import type { Database } from "./database.ts";
import { preparedStatement } from "./prepared.ts";
import type { RepositoryKey } from "./repositories.ts";

/** Where a tag stands. */
export interface TagStanding {
  readonly repositoryId: number;
  /** Undefined when the repository does not have the tag. */
  readonly digest: string | undefined;
  /** Undefined when it never came from an upstream. Milliseconds since the epoch. */
  readonly validatedAt: number | undefined;
}

const readStanding = preparedStatement(
  "read_tag_standing",
  `select r.repository_id, m.digest, t.validated_at
   from repository r
   left join tag t on t.repository_id = r.repository_id and t.name = ?4 and t.deleted_at is null
   left join manifest m on m.manifest_id = t.manifest_id and m.deleted_at is null
   where r.account_id = ?1 and r.region = ?2 and r.name = ?3 and r.deleted_at is null`,
);

/** Where the tag stands; undefined when there is no such repository. One statement. */
export async function findTagStanding(db: Database, key: RepositoryKey, tag: string): Promise<TagStanding | undefined> {
  const row = await db.prepared.one<{
    readonly repository_id: number;
    readonly digest: string | null;
    readonly validated_at: number | null;
  }>(readStanding, [key.accountId, key.region, key.name, tag]);
  if (row === undefined) return undefined;
  return { repositoryId: row.repository_id, digest: row.digest ?? undefined, validatedAt: row.validated_at ?? undefined };
}

/** Notes that the upstream has said at `at` that a tag is still what it was. Never moves the time back, and leaves a tag alone that was pushed meanwhile. */
export async function noteTagValidated(
  db: Database,
  input: { readonly repositoryId: number; readonly tag: string; readonly at: number },
): Promise<void> {
  await db.transaction(async (tx) => {
    await tx
      .updateTable("tag")
      .set({ validated_at: input.at })
      .where("repository_id", "=", input.repositoryId)
      .where("name", "=", input.tag)
      .where("deleted_at", "is", null)
      .where("validated_at", "<", input.at)
      .execute();
  });
}

/** What came of an attempt to fetch from an upstream; the members of ECR's event are made of it. */
export interface PullThroughAttempt {
  readonly status: "SUCCESS" | "FAILED";
  readonly prefix: string;
  readonly upstreamUrl: string;
  readonly tag?: string;
  readonly digest?: string;
  readonly failureCode?: string;
  readonly failureReason?: string;
}

/** An attempt as the change log has it: an entry of kind `pull-through` whose subject is the tag, or else the digest. */
export function pullThroughEntry(attempt: PullThroughAttempt): NewChange {
  return { kind: "pull-through", subject: attempt.tag ?? attempt.digest ?? "", after: attempt };
}

/** Appends an attempt to the change log that put nothing into the repository. */
export async function notePullThrough(
  db: Database,
  input: {
    readonly key: RepositoryKey;
    readonly repositoryId: number | undefined;
    readonly attempt: PullThroughAttempt;
    readonly author: Author;
  },
): Promise<void> {
  const { key, repositoryId, attempt, author } = input;
  await db.transaction((tx) => appendChanges(tx, { ...key, repositoryId }, author, [pullThroughEntry(attempt)]));
}
