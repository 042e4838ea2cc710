/** The small vocabulary of the metadata suite: repositories, blobs and manifests made with as little as a case needs to say. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Reference } from "#oci/reference.ts";
import type { Blob } from "./blobs.ts";
import type { Author } from "./changes.ts";
import type { Database } from "./database.ts";
import { putManifest } from "./manifests.ts";
import type { Manifest, PutManifest, PutManifestOutcome } from "./manifests.ts";
import { createRepository } from "./repositories.ts";
import type { CreateRepository, Repository, RepositoryKey } from "./repositories.ts";
import { beginSegment, commitSegment, completeUpload, createUploadSession } from "./upload-sessions.ts";
import type { CompleteUploadOutcome } from "./upload-sessions.ts";

/** A suite's database, open while its cases run. */
export type OpenedDatabase = () => Database;

/** When the cases happen; they move on from here by hand. */
export const startAt = 1_700_000_000_000;
/** Grace of links in the cases. */
export const graceMs = 1_000;

let counter = 0;

/** A name or id that no other case uses. */
export function unique(prefix: string): string {
  counter += 1;
  return `${prefix}${counter}`;
}

/** A digest made from a seed. */
export function digestFor(seed: string): string {
  return `sha256:${createHash("sha256").update(seed).digest("hex")}`;
}

/** Somebody who acts at a time. */
export function author(now: number = startAt): Author {
  return { principalArn: "arn:aws:iam::111111111111:root", requestId: "request", now };
}

/** A fresh repository; its own account unless one is given. */
export async function makeRepository(
  db: Database,
  options: Partial<CreateRepository> & { accountId?: string; name?: string } = {},
): Promise<Repository> {
  const key = { accountId: options.accountId ?? unique("account"), region: "eu-west-1", name: options.name ?? unique("repository") };
  const created = await createRepository(db, {
    key,
    tagMutability: "MUTABLE",
    mutabilityFilters: [],
    scanOnPush: false,
    encryptionType: "AES256",
    protectionDomain: "AES256",
    resourceTags: {},
    maxRepositories: 1_000,
    author: author(),
    ...options,
  });
  assert.equal(created.outcome, "created");
  return created.repository;
}

/** Uploads a blob of one part into a repository and answers the whole outcome. */
export async function upload(db: Database, key: RepositoryKey, digest: string, now: number = startAt): Promise<CompleteUploadOutcome> {
  const uploadId = unique("upload");
  const session = await createUploadSession(db, {
    uploadId,
    key: keyOf(key),
    principalId: "principal",
    algorithm: "sha256",
    expiresAt: now + 1_000_000,
    author: author(now),
  });
  if (session === undefined) return { outcome: "not-found" };
  const segment = { uploadId, segmentKey: `${uploadId}/0`, expiresAt: now + 1_000_000, now };
  assert.equal((await beginSegment(db, { ...segment, expectedBytes: 0 })).outcome, "begun");
  assert.equal((await commitSegment(db, { ...segment, offset: 0, sizeBytes: 10, digestSoFar: digest })).outcome, "committed");
  return completeUpload(db, {
    uploadId,
    digest,
    sizeBytes: 10,
    storageKey: `${digest}-${uploadId}`,
    graceUntil: now + graceMs,
    author: author(now),
  });
}

/** Uploads a blob and answers it. */
export async function makeBlob(db: Database, key: RepositoryKey, digest: string, now: number = startAt): Promise<Blob> {
  const outcome = await upload(db, key, digest, now);
  assert.notEqual(outcome.outcome, "not-found");
  return (outcome as { readonly blob: Blob }).blob;
}

/** Pushes a manifest over blobs that must be there already: its config and layers are what `blobs` says. */
export async function push(
  db: Database,
  key: RepositoryKey,
  seed: string,
  options: Partial<PutManifest> & { blobs?: readonly string[] } = {},
): Promise<PutManifestOutcome> {
  const [config, ...layers] = options.blobs ?? [];
  const { blobs: _, ...overrides } = options;
  return putManifest(db, {
    key: keyOf(key),
    digest: digestFor(seed),
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    kind: "image",
    bytes: Buffer.from(seed),
    ...(config === undefined ? {} : { config: { digest: config, mediaType: "application/vnd.oci.image.config.v1+json", sizeBytes: 10 } }),
    layers: layers.map((digest) => ({ digest, mediaType: "application/vnd.oci.image.layer.v1.tar", sizeBytes: 10 })),
    children: [],
    contentSizeBytes: 10 * (options.blobs?.length ?? 0),
    tags: [],
    allowMissingChildren: false,
    whenSame: "accept",
    maxManifests: 100_000,
    maxTagsPerManifest: 1_000,
    author: author(),
    ...overrides,
  });
}

/** Pushes a manifest that must be accepted. */
export async function pushed(db: Database, key: RepositoryKey, seed: string, options: Parameters<typeof push>[3] = {}): Promise<Manifest> {
  const outcome = await push(db, key, seed, options);
  assert.equal(outcome.outcome, "stored", JSON.stringify(outcome));
  return (outcome as { readonly manifest: Manifest }).manifest;
}

/** Pushes an index over manifests named by their seeds. */
export async function pushIndex(
  db: Database,
  key: RepositoryKey,
  seed: string,
  children: readonly string[],
  options: Partial<PutManifest> = {},
): Promise<PutManifestOutcome> {
  return push(db, key, seed, {
    kind: "index",
    mediaType: "application/vnd.oci.image.index.v1+json",
    children: children.map((child) => ({
      digest: digestFor(child),
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      sizeBytes: Buffer.byteLength(child),
    })),
    ...options,
  });
}

/** A tag as a reference. */
export function byTag(tag: string): Reference {
  return { kind: "tag", tag } as Reference;
}

/** A digest as a reference. */
export function byDigest(digest: string): Reference {
  return { kind: "digest", digest } as Reference;
}

/** Only the key of a repository. */
export function keyOf({ accountId, region, name }: RepositoryKey): RepositoryKey {
  return { accountId, region, name };
}

/** Reads all pages; every page but the last must be full, and none longer than the limit. */
export async function allPages<T, P>(
  limit: number,
  positionOf: (item: T) => P,
  read: (page: { readonly limit: number; readonly after?: P }) => Promise<readonly T[]>,
): Promise<T[]> {
  const items: T[] = [];
  for (let page: { limit: number; after?: P } = { limit }; ;) {
    const next = await read(page);
    assert.ok(next.length <= limit, "a page is not longer than its limit");
    items.push(...next);
    const last = next.at(-1);
    if (last === undefined || next.length < limit) return items;
    page = { limit, after: positionOf(last) };
  }
}
