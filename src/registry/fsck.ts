/** The consistency check: reads everything, changes nothing, and may run beside a working registry. */
import { createHash } from "node:crypto";
import * as garbage from "#metadata/garbage.ts";
import { readManifestBytes } from "#metadata/manifests.ts";
import { findRepositoryEncryption } from "#metadata/repository-encryption.ts";
import { digestAlgorithm, digestOf, parseDigest } from "#oci/digest.ts";
import type { StoredBytes } from "#storage/driver.ts";
import { StorageError } from "#storage/driver.ts";
import { inBatches } from "./batches.ts";
import type { RegistryCore } from "./context.ts";
import { openManifest } from "./manifest-bytes.ts";
import { selectOrphanedCopies, selectOrphanedSegments } from "./orphan.ts";
import { openProtectedCopy, storedSize } from "./protected-bytes.ts";
import { openBlobKeys, openDomain, openProtection } from "./protection.ts";

/** What is wrong with one blob or manifest. */
export interface FsckProblem {
  readonly kind: "bytes-missing" | "size-mismatch" | "digest-mismatch" | "blob-unlinked" | "tier-mismatch" | "unreadable";
  readonly what: "blob" | "manifest";
  readonly digest: string;
  /** In words: what was found, and what should have been. */
  readonly detail: string;
}

/** What the check found. */
export interface FsckReport {
  readonly blobs: number;
  readonly manifests: number;
  /** Bytes that were read and hashed. */
  readonly readBytes: number;
  /** Copies and segments that belong to nothing; garbage collection removes them when they are old enough. */
  readonly unreferencedEntries: number;
  readonly unreferencedBytes: number;
  /** The first thousand problems; `problemCount` is how many there are. */
  readonly problems: readonly FsckProblem[];
  readonly problemCount: number;
}

type ManifestRow = Awaited<ReturnType<typeof garbage.listManifestsForFsck>>[number];
type BlobRow = Awaited<ReturnType<typeof garbage.listBlobsForFsck>>[number];

const batchSize = 200;
const problemLimit = 1_000;

interface Findings {
  blobs: number;
  manifests: number;
  readBytes: number;
  unreferencedEntries: number;
  unreferencedBytes: number;
  problemCount: number;
  readonly problems: FsckProblem[];
}

/** Checks that every blob has its bytes and every manifest its blobs; with `readBytes` also that all bytes have their digests. */
export async function runFsck(core: RegistryCore, options: { readonly readBytes: boolean }): Promise<FsckReport> {
  const findings: Findings = {
    blobs: 0,
    manifests: 0,
    readBytes: 0,
    unreferencedEntries: 0,
    unreferencedBytes: 0,
    problemCount: 0,
    problems: [],
  };
  await checkAllBlobs(core, findings, options.readBytes);
  await checkAllManifests(core, findings, options.readBytes);
  await countUnreferenced(core, findings);
  return findings;
}

function report(findings: Findings, problem: FsckProblem): void {
  findings.problemCount += 1;
  if (findings.problems.length < problemLimit) findings.problems.push(problem);
}

async function checkAllBlobs(core: RegistryCore, findings: Findings, readBytes: boolean): Promise<void> {
  let after = 0;
  for (;;) {
    const rows = await garbage.listBlobsForFsck(core.metadata, { after, limit: batchSize });
    for (const row of rows) {
      after = row.blobId;
      if (row.state === "gone") continue;
      findings.blobs += 1;
      const problem = await checkBlob(core, findings, row, readBytes);
      // A blob may be collected while it is looked at: only what its row still promises counts.
      if (problem !== undefined && (await isStillPromised(core, row))) report(findings, problem);
    }
    if (rows.length < batchSize) return;
  }
}

async function checkBlob(core: RegistryCore, findings: Findings, row: BlobRow, readBytes: boolean): Promise<FsckProblem | undefined> {
  const { digest, storageKey } = row;
  const problem = (kind: FsckProblem["kind"], detail: string): FsckProblem => ({ kind, what: "blob", digest, detail });
  try {
    const found = await core.storage.stat(storageKey);
    if (found === undefined) return problem("bytes-missing", `no bytes under '${storageKey}'`);
    const storedBytes = storedSize(row);
    const tier = core.storage.tiers?.tierOf(storageKey) ?? "standard";
    if (tier !== row.tier) return problem("tier-mismatch", `'${storageKey}' is in the ${tier} tier instead of the ${row.tier} one`);
    if (found.sizeBytes !== storedBytes) {
      return problem("size-mismatch", `${found.sizeBytes} bytes under '${storageKey}' instead of ${storedBytes}`);
    }
    if (!readBytes) return undefined;
    const actual = await hashCopy(core, findings, row);
    return actual === undefined || actual === digest
      ? undefined
      : problem("digest-mismatch", `the bytes under '${storageKey}' have the digest ${actual}`);
  } catch (error) {
    return problem(error instanceof StorageError && error.kind === "not-found" ? "bytes-missing" : "unreadable", String(error));
  }
}

/** Undefined for a copy that nobody can open any more: the last repository of its domain is gone. */
async function openCopy(core: RegistryCore, { accountId, protectionDomain, sealedKey, ...row }: BlobRow): Promise<StoredBytes | undefined> {
  const { storageKey, sizeBytes, digest } = row;
  if (sealedKey === undefined) return core.storage.read(storageKey, sizeBytes);
  const protection = await openDomain(core, accountId, protectionDomain);
  if (protection === undefined) return undefined;
  const keys = openBlobKeys(core, protection, digest, sealedKey);
  if (keys === undefined) throw new StorageError("corrupt", "its keys do not open");
  return openProtectedCopy(core, { storageKey, sizeBytes, keys }, undefined);
}

async function hashCopy(core: RegistryCore, findings: Findings, row: BlobRow): Promise<string | undefined> {
  const parsed = parseDigest(row.digest);
  if (!parsed.ok) return parsed.problem;
  const stored = await openCopy(core, row);
  if (stored === undefined) return undefined;
  if (stored.kind !== "bytes") throw new StorageError("unavailable", "the driver does not hand out bytes");
  const algorithm = digestAlgorithm(parsed.value);
  const hash = createHash(algorithm);
  for await (const chunk of stored.stream) {
    hash.update(chunk as Uint8Array);
    findings.readBytes += (chunk as Uint8Array).byteLength;
  }
  return `${algorithm}:${hash.digest("hex")}`;
}

async function isStillPromised(core: RegistryCore, row: BlobRow): Promise<boolean> {
  const [now] = await garbage.listBlobsForFsck(core.metadata, { after: row.blobId - 1, limit: 1 });
  return now?.blobId === row.blobId && now.state !== "gone" && now.storageKey === row.storageKey;
}

async function checkAllManifests(core: RegistryCore, findings: Findings, readBytes: boolean): Promise<void> {
  let after = 0;
  for (;;) {
    const rows = await garbage.listManifestsForFsck(core.metadata, { after, limit: batchSize });
    for (const row of rows) {
      const { manifestId, digest, repositoryName, unlinkedBlobs, coldBlobs } = row;
      after = manifestId;
      findings.manifests += 1;
      for (const blob of unlinkedBlobs) {
        const detail = `the repository '${repositoryName}' does not hold its blob ${blob}`;
        report(findings, { kind: "blob-unlinked", what: "manifest", digest, detail });
      }
      for (const blob of coldBlobs) {
        const detail = `its blob ${blob} is in the cold tier, and the manifest is not archived`;
        report(findings, { kind: "tier-mismatch", what: "manifest", digest, detail });
      }
      if (readBytes) await checkManifestBytes(core, findings, row);
    }
    if (rows.length < batchSize) return;
  }
}

/** Plain bytes as they are, others once the key allows. Throws `key-unusable`, StorageError. */
async function readManifest(core: RegistryCore, row: ManifestRow): Promise<Uint8Array | undefined> {
  const encryption = await findRepositoryEncryption(core.metadata, row.repositoryId);
  if (encryption === undefined) return readManifestBytes(core.metadata, row.manifestId);
  const detail = { registryId: encryption.accountId, repositoryName: row.repositoryName };
  return openManifest(core, row, await openProtection(core, row.repositoryId, detail));
}

async function checkManifestBytes(core: RegistryCore, findings: Findings, row: ManifestRow): Promise<void> {
  const { manifestId, digest } = row;
  let bytes: Uint8Array | undefined;
  try {
    bytes = await readManifest(core, row);
  } catch (error) {
    return report(findings, { kind: "unreadable", what: "manifest", digest, detail: String(error) });
  }
  const parsed = parseDigest(digest);
  if (bytes === undefined) {
    const [now] = await garbage.listManifestsForFsck(core.metadata, { after: manifestId - 1, limit: 1 });
    if (now?.manifestId !== manifestId) return; // purged meanwhile
    return report(findings, { kind: "bytes-missing", what: "manifest", digest, detail: "its bytes are not in the database" });
  }
  findings.readBytes += bytes.byteLength;
  const actual = parsed.ok ? digestOf(digestAlgorithm(parsed.value), bytes) : parsed.problem;
  if (actual !== digest)
    report(findings, { kind: "digest-mismatch", what: "manifest", digest, detail: `its bytes have the digest ${actual}` });
}

async function countUnreferenced(core: RegistryCore, findings: Findings): Promise<void> {
  const count = (entries: readonly { readonly sizeBytes: number }[]): void => {
    findings.unreferencedEntries += entries.length;
    for (const entry of entries) findings.unreferencedBytes += entry.sizeBytes;
  };
  for await (const batch of inBatches(core.storage.listStored(), batchSize)) count(await selectOrphanedCopies(core, batch));
  for await (const batch of inBatches(core.storage.listSegments(), batchSize)) count(await selectOrphanedSegments(core, batch));
}
