import type { RegistryRef } from "#registry/context.ts";

/** The kind of the job that fetches the children of an index. */
export const pullThroughJob = "pull-through";

/** What the job is told. */
export interface PullThroughPayload extends RegistryRef {
  readonly name: string;
  /** The digest of the index. */
  readonly index: string;
}
