/** Session tags and what a chain of roles hands on (IAM User Guide, "Pass session tags in AWS STS" and "Monitor and control actions taken with assumed roles"). */
import { refuseSession } from "./session-refusal.ts";

/** A tag as requests name it. */
export interface SessionTag {
  readonly key: string;
  readonly value: string;
}

/** What the session that asks for the next role hands on to it. */
export interface SessionChain {
  readonly tags: Readonly<Record<string, string>>;
  readonly transitiveKeys: readonly string[];
  readonly sourceIdentity?: string | undefined;
}

/** What a request wants to be on record of its session. */
export interface SessionMarks {
  readonly tags: readonly SessionTag[];
  readonly transitiveKeys: readonly string[];
  readonly sourceIdentity: string | undefined;
}

/** What will be on record. */
export interface JoinedMarks {
  readonly tags: Readonly<Record<string, string>>;
  readonly transitiveKeys: readonly string[];
  readonly sourceIdentity: string | undefined;
}

const fold = (key: string): string => key.toLowerCase();

/**
 * Joins what is asked for with what the chain hands on: its transitive tags and its source identity, which stay as they are. Keys of tags
 * are one without regard to case. Throws SessionRefused.
 */
export function joinMarks(asked: SessionMarks, chain: SessionChain | undefined): JoinedMarks {
  const keys = new Set(asked.tags.map(({ key }) => fold(key)));
  if (keys.size !== asked.tags.length) throw refuseSession("tag-key-duplicate", {});
  const reserved = asked.tags.find(({ key }) => fold(key).startsWith("aws:"));
  if (reserved !== undefined) throw refuseSession("tag-key-reserved", { key: reserved.key });
  if (asked.transitiveKeys.some((key) => !keys.has(fold(key)))) throw refuseSession("transitive-key-unknown", {});
  const inherited = inheritedTags(chain);
  if (inherited.some(({ key }) => keys.has(fold(key)))) throw refuseSession("tag-key-inherited", {});
  if (chain?.sourceIdentity !== undefined && ![undefined, chain.sourceIdentity].includes(asked.sourceIdentity)) {
    throw refuseSession("source-identity-set", {});
  }
  return {
    // From entries, so that a key named __proto__ is a key like any other.
    tags: Object.fromEntries([...inherited, ...asked.tags].map(({ key, value }) => [key, value])),
    transitiveKeys: [...inherited.map(({ key }) => key), ...asked.transitiveKeys],
    sourceIdentity: chain?.sourceIdentity ?? asked.sourceIdentity,
  };
}

/** The tags that a session hands on to the next role. */
export function inheritedTags(chain: SessionChain | undefined): readonly SessionTag[] {
  if (chain === undefined) return [];
  const transitive = new Set(chain.transitiveKeys.map(fold));
  return Object.entries(chain.tags).flatMap(([key, value]) => (transitive.has(fold(key)) ? [{ key, value }] : []));
}
