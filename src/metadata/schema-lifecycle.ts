/** The tables of lifecycle policies as Kysely sees them; what the columns mean is said by the migration. */
import type { Generated } from "kysely";

/** The lifecycle policy of a repository. */
export interface LifecyclePolicyTable {
  repository_id: number;
  policy_id: string;
  /** Counts the texts that were set. */
  version: number;
  policy: string;
  updated_at: number;
  waiting_since: number;
  last_evaluated_at: number | null;
}

/** A preview of a policy; those that another one has replaced are on their way out. */
export interface LifecyclePreviewTable {
  preview_id: string;
  repository_id: number;
  /** As it was sent. */
  policy: string;
  status: "IN_PROGRESS" | "COMPLETE" | "FAILED";
  started_at: number;
  settled_at: number | null;
  attempt: Generated<number>;
  expiring: Generated<number>;
  archiving: Generated<number>;
  replaced: Generated<number>;
  /** When its results may be removed; null when there are none to remove. */
  results_until: number | null;
}

/** What a policy would do with one manifest. */
export interface LifecyclePreviewResultTable {
  preview_id: string;
  attempt: number;
  ordinal: number;
  digest: string;
  /** JSON array. */
  tags: string;
  tag_count: number;
  pushed_at: number;
  action: "expire" | "archive";
  priority: number;
  storage_class: "standard" | "archive";
}

/** A referrer that must go as soon as no index names it. */
export interface OrphanedReferrerTable {
  manifest_id: number;
}
