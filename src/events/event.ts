/**
 * The events room: what Amazon EventBridge would be told about a registry, read from the change log and handed to whoever wants to know.
 * This file is the pure part: one entry of the log becomes no, one or several events, in ECR's own form (Amazon ECR User Guide, "Amazon ECR
 * events and EventBridge"). What ECR has no event for (repositories, policies, settings, undo) has none here.
 */
import { createHash } from "node:crypto";
import type { Change, ChangeKind } from "#metadata/changes.ts";

/** An event as EventBridge shows it. Times are ISO 8601 in UTC. */
export interface EcrEvent {
  readonly version: "0";
  /** The same whenever the same event is made again: a receiver can tell a second delivery by it. */
  readonly id: string;
  readonly "detail-type": DetailType;
  readonly source: "aws.ecr" | "aws.inspector2";
  readonly account: string;
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: Readonly<Record<string, unknown>>;
}

/** Every kind of event that there is. */
export const detailTypes = [
  "ECR Image Action",
  "ECR Referrer Action",
  "ECR Pull Through Cache Action",
  "ECR Image Scan",
  "ECR Scan Resource Change",
  "ECR Replication Action",
  "Inspector2 Scan",
] as const;

/** A kind of event. */
export type DetailType = (typeof detailTypes)[number];

type Members = Readonly<Record<string, unknown>>;

/** What differs between the events of an entry; the rest is the entry's. */
interface Draft {
  readonly type: DetailType;
  readonly detail: Members;
  /** Whether the repository's ARN is among the resources. */
  readonly namesRepository?: true;
}

type Mapping = (change: Change, before: Members, after: Members) => readonly Draft[];

/** What is pushed by fetching through a rule has an event of its own. */
const pullThroughRole = ":role/aws-service-role/pullthroughcache.ecr.amazonaws.com/";

const mappings: Partial<Record<ChangeKind, Mapping>> = {
  // A push with tags is told tag by tag, also when the manifest was there already.
  "tag-put": (change, _before, after) => (isPush(change, after) ? [pushed(change, after, change.subject)] : []),
  "manifest-pushed": (change, _before, after) =>
    isPush(change, after) && after["tags"] === 0 ? [pushed(change, { ...after, digest: change.subject }, undefined)] : [],
  "tag-deleted": (change, before) => [deleted(change, before, change.subject)],
  "manifest-deleted": (change, before) => (before["tags"] === 0 ? [deleted(change, { ...before, digest: change.subject }, undefined)] : []),
  "manifest-archived": (change, _before, after) => [classChanged(change, after, "ARCHIVE")],
  "manifest-activated": (change, _before, after) => [classChanged(change, after, "STANDARD")],
  "pull-through": (change, _before, after) => [pulledThrough(change, after)],
  "scan-completed": scanned,
  "scan-frequency-set": frequencySet,
  "manifest-replicated": replicated,
};

/**
 * The events of an entry, in their order. `registryId` is the id of the deployment whose log it is; with the entry it makes the events' ids,
 * which are therefore the same each time.
 */
export function eventsOf(change: Change, registryId: string): readonly EcrEvent[] {
  const mapping = mappings[change.kind];
  if (mapping === undefined) return [];
  return mapping(change, membersOf(change.before), membersOf(change.after)).map((draft, ordinal) => ({
    version: "0",
    id: eventId(registryId, change, ordinal),
    "detail-type": draft.type,
    source: draft.type === "Inspector2 Scan" ? "aws.inspector2" : "aws.ecr",
    account: change.accountId,
    time: `${new Date(change.at).toISOString().slice(0, 19)}Z`,
    region: change.region,
    resources: draft.namesRepository === true ? [repositoryArn(change)] : [],
    detail: draft.detail,
  }));
}

/** Names of the repositories that an event is about. */
export function repositoriesOf({ detail }: EcrEvent): readonly string[] {
  const name = detail["repository-name"];
  // Inspector's events have the ARN in this place.
  if (typeof name === "string") return [name.replace(/^arn:[^/]*:repository\//, "")];
  const listed = Array.isArray(detail["repositories"]) ? (detail["repositories"] as readonly Members[]) : [];
  return listed.flatMap((one) => (typeof one["repository-name"] === "string" ? [one["repository-name"]] : []));
}

/** A UUID of version 5 (RFC 9562) over what is the entry's alone. The numbers of entries come again when an old backup is restored. */
function eventId(registryId: string, { changeId, at, requestId }: Change, ordinal: number): string {
  const hash = createHash("sha1")
    .update(JSON.stringify([registryId, changeId, at, requestId, ordinal]))
    .digest();
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x50;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  return hash.toString("hex", 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function isPush({ principalArn }: Change, after: Members): boolean {
  return after["replicated"] !== true && !principalArn.includes(pullThroughRole);
}

function actionType(what: Members): DetailType {
  return what["isReferrer"] === true ? "ECR Referrer Action" : "ECR Image Action";
}

function pushed({ repositoryName }: Change, what: Members, tag: string | undefined): Draft {
  const detail = {
    result: "SUCCESS",
    "repository-name": repositoryName,
    "image-digest": what["digest"],
    "action-type": "PUSH",
    ...(tag !== undefined && { "image-tag": tag }),
    ...mediaTypesOf(what),
  };
  return { type: actionType(what), detail };
}

function deleted({ repositoryName }: Change, what: Members, tag: string | undefined): Draft {
  const detail = {
    result: "SUCCESS",
    "repository-name": repositoryName,
    "image-digest": what["digest"],
    "action-type": "DELETE",
    ...(tag !== undefined && { "image-tag": tag }),
  };
  return { type: actionType(what), detail };
}

function classChanged({ repositoryName, subject }: Change, after: Members, storageClass: "ARCHIVE" | "STANDARD"): Draft {
  const activatedAt = after["lastActivatedAt"];
  const detail = {
    "action-type": "UPDATE_STORAGE_CLASS",
    "target-storage-class": storageClass,
    "image-digest": subject,
    "repository-name": repositoryName,
    result: "SUCCESS",
    ...mediaTypesOf(after),
    ...(storageClass === "STANDARD" && typeof activatedAt === "number" && { "last-activated-at": exactTime(activatedAt) }),
  };
  return { type: actionType(after), detail };
}

function pulledThrough({ repositoryName }: Change, after: Members): Draft {
  const detail = {
    "rule-version": "1",
    "sync-status": after["status"],
    "ecr-repository-prefix": after["prefix"],
    "repository-name": repositoryName,
    "upstream-registry-url": after["upstreamUrl"],
    ...given("image-tag", after["tag"]),
    ...given("image-digest", after["digest"]),
    ...given("failure-code", after["failureCode"]),
    ...given("failure-reason", after["failureReason"]),
  };
  return { type: "ECR Pull Through Cache Action", detail, namesRepository: true };
}

/** Basic scans are ECR's, enhanced ones Amazon Inspector's; Inspector tells of no scan that failed. */
function scanned(change: Change, _before: Members, after: Members): readonly Draft[] {
  const counts = membersOf(after["severityCounts"]);
  const about = { "image-digest": change.subject, "image-tags": after["tags"] ?? [] };
  if (after["scanType"] !== "ENHANCED") {
    const detail = {
      "scan-status": after["status"],
      "repository-name": change.repositoryName,
      "finding-severity-counts": counts,
      ...about,
    };
    return [{ type: "ECR Image Scan", detail, namesRepository: true }];
  }
  if (after["status"] !== "COMPLETE") return [];
  const total = Object.values(counts).reduce<number>((sum, count) => sum + (typeof count === "number" ? count : 0), 0);
  const detail = {
    "scan-status": "INITIAL_SCAN_COMPLETE",
    "repository-name": repositoryArn(change),
    "finding-severity-counts": { ...counts, TOTAL: total },
    ...about,
  };
  return [{ type: "Inspector2 Scan", detail, namesRepository: true }];
}

function frequencySet(change: Change, before: Members, after: Members): readonly Draft[] {
  if (before["scanType"] !== "ENHANCED" && after["scanType"] !== "ENHANCED") return [];
  const repository = {
    "repository-name": change.repositoryName,
    "repository-arn": repositoryArn(change),
    "scan-frequency": after["scanFrequency"],
    "previous-scan-frequency": before["scanFrequency"],
  };
  const detail = {
    "action-type": "SCAN_FREQUENCY_CHANGE",
    "resource-type": "REPOSITORY",
    "scan-type": "ENHANCED",
    repositories: [repository],
  };
  return [{ type: "ECR Scan Resource Change", detail }];
}

function replicated({ repositoryName, subject }: Change, _before: Members, after: Members): readonly Draft[] {
  const tags = Array.isArray(after["tags"]) && after["tags"].length > 0 ? (after["tags"] as readonly unknown[]) : [undefined];
  return tags.map((tag) => {
    const detail = {
      result: after["result"],
      "repository-name": repositoryName,
      "image-digest": subject,
      "source-account": after["sourceAccountId"],
      "action-type": "REPLICATE",
      "source-region": after["sourceRegion"],
      ...given("image-tag", tag),
    };
    return { type: "ECR Replication Action", detail, namesRepository: true };
  });
}

function mediaTypesOf(what: Members): Members {
  return { ...given("manifest-media-type", what["mediaType"]), ...given("artifact-media-type", what["artifactMediaType"]) };
}

function given(name: string, value: unknown): Members {
  return value === undefined ? {} : { [name]: value };
}

function membersOf(value: unknown): Members {
  return typeof value === "object" && value !== null ? (value as Members) : {};
}

function repositoryArn({ accountId, region, repositoryName }: Change): string {
  return `arn:aws:ecr:${region}:${accountId}:repository/${repositoryName}`;
}

/** With the part of the second, but without its closing zeros. */
function exactTime(at: number): string {
  return new Date(at).toISOString().replace(/\.?0+Z$/, "Z");
}
