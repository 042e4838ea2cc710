import type { Author } from "./changes.ts";
import type { Database } from "./database.ts";
import type { RepositoryKey } from "./repositories.ts";
/** Something deleted that can still come back. */
export interface Tombstone {
  readonly kind: "manifest" | "tag";
  readonly tombstoneId: number;
  readonly digest: string;
  readonly tag?: string;
  readonly deletedAt: number;
}
export type RestoreOutcome =
  | { readonly outcome: "restored"; readonly digest: string; readonly tags: readonly string[] }
  | { readonly outcome: "repository-not-found" }
  | { readonly outcome: "not-found" }
  | { readonly outcome: "in-the-way" };
export type RestoreRepositoryOutcome =
  | { readonly outcome: "restored"; readonly repositoryId: number }
  | { readonly outcome: "not-found" }
  | { readonly outcome: "in-the-way" };
export type PurgeOutcome =
  | { readonly outcome: "purged"; readonly count: number }
  | { readonly outcome: "not-found" }
  | { readonly outcome: "repository-not-found" };
type Key = { readonly key: RepositoryKey; readonly author: Author };
export declare function listTombstones(
  db: Database,
  key: RepositoryKey,
  page: { readonly limit: number; readonly after?: { readonly kind: "manifest" | "tag"; readonly tombstoneId: number } },
): Promise<Tombstone[] | undefined>;
export declare function restoreManifest(db: Database, input: Key & { readonly digest: string }): Promise<RestoreOutcome>;
export declare function restoreTag(db: Database, input: Key & { readonly tag: string }): Promise<RestoreOutcome>;
export declare function restoreRepository(db: Database, input: Key): Promise<RestoreRepositoryOutcome>;
export declare function purgeManifest(db: Database, input: Key & { readonly digest: string }): Promise<PurgeOutcome>;
export declare function purgeTag(db: Database, input: Key & { readonly tag: string }): Promise<PurgeOutcome>;
