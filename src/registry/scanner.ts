/**
 * Scans as jobs. What looks through a manifest's content is a {@link ContentScanner}, which whoever joins the rooms brings; without one every
 * scan fails and says so, since a scan that was not made must never look like a clean one.
 */
import { findFollowUpSubject } from "#metadata/follow-up-subject.ts";
import type { FollowUpSubject } from "#metadata/follow-up-subject.ts";
import type { FollowUpJob } from "#metadata/follow-ups.ts";
import { exceedsScanQuota, settleScan } from "#metadata/scans.ts";
import type { ScanOutcome, ScanQuota } from "#metadata/scans.ts";
import type { Digest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryCore, RegistryRef } from "./context.ts";
import { scanTypeOf } from "./scan-rule.ts";
import type { ScanType } from "./scan-rule.ts";

/** How bad a finding is. `UNTRIAGED`: nobody has judged it yet; `UNDEFINED`: its source says nothing that we know. */
export type ScanSeverity = "CRITICAL" | "HIGH" | "MEDIUM" | "LOW" | "INFORMATIONAL" | "UNTRIAGED" | "UNDEFINED";

/** From the worst on. */
const severities: readonly ScanSeverity[] = ["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNTRIAGED", "UNDEFINED"];

/** A package in the content that has a vulnerability. */
export interface VulnerablePackage {
  readonly name: string;
  readonly version: string;
  readonly release?: string;
  readonly epoch?: number;
  readonly arch?: string;
  /** `OS` or a language's package manager. */
  readonly manager?: string;
  readonly path?: string;
  /** The blob that it is in. */
  readonly blobDigest?: string;
  readonly fixedInVersion?: string;
}

/** A vulnerability that a scan found. */
export interface ScanFinding {
  /** Such as `CVE-2025-10001`. */
  readonly name: string;
  readonly severity: ScanSeverity;
  readonly description?: string;
  readonly uri?: string;
  /** Whose advisory it is, such as `DEBIAN_CVE`. */
  readonly source?: string;
  readonly vendorSeverity?: string;
  readonly cvss?: readonly { readonly source: string; readonly version: string; readonly score: number; readonly vector: string }[];
  readonly packages: readonly VulnerablePackage[];
  readonly fixAvailable?: "YES" | "NO" | "PARTIAL";
  readonly exploitAvailable?: "YES" | "NO";
  readonly referenceUrls?: readonly string[];
  readonly relatedVulnerabilities?: readonly string[];
  readonly remediation?: string;
}

/** What is to be scanned. The content is read through the registry's own functions. */
export interface ScanRequest {
  readonly registry: RegistryRef;
  readonly name: RepositoryName;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly scanType: ScanType;
  /** Aborted when the scan is to end: the scanner then rejects. */
  readonly signal: AbortSignal;
}

/** What a scanner answers. */
export type ScanResult =
  | {
      readonly outcome: "scanned";
      readonly findings: readonly ScanFinding[];
      /** When the advisories were last brought up to date, in milliseconds since the epoch. */
      readonly sourceUpdatedAt: number;
    }
  /** Nothing in it that the scanner knows; why, as the caller reads it. */
  | { readonly outcome: "unsupported"; readonly reason: string };

/** Looks through what a manifest describes. Rejects when it cannot be done now; it is then tried again. */
export interface ContentScanner {
  scan(request: ScanRequest): Promise<ScanResult>;
}

/** What is kept of a scan beside its findings. */
export interface ScanSummary {
  readonly completedAt: number;
  readonly sourceUpdatedAt: number;
  /** Only of severities that were found; of all findings, also where not all are kept. */
  readonly severityCounts: Readonly<Partial<Record<ScanSeverity, number>>>;
}

/** Failures with a meaning of their own: nobody can scan here, it cannot be scanned, too much was scanned, it is in the archive. */
export const scanFailures = {
  noEngine: "NO_SCAN_ENGINE",
  unsupported: "UNSUPPORTED_IMAGE",
  limit: "LIMIT_EXCEEDED",
  archived: "IMAGE_ARCHIVED",
} as const;

const noEngineReason = "No scan engine is installed in this registry.";
const failedReason = "The scan could not be completed.";
/** A scanner that rejects this often is not asked again. */
const maxAttempts = 3;
/** The worst of them are kept; images with more than a few thousand are rare. */
const maxFindings = 10_000;
const maxDescriptionLength = 4_000;
const maxListed = 100;
const dayMs = 86_400_000;
const scansPerDay = 100_000;

/** The quota of a registry's scans (Amazon ECR User Guide, "Amazon ECR service quotas"). */
export function scanQuota({ accountId, region }: RegistryRef, now: number): ScanQuota {
  return { registry: { accountId, region }, since: now - dayMs, exceptCode: scanFailures.noEngine, limit: scansPerDay };
}

/** One run of a scan's job. */
export interface ScanRun {
  readonly core: RegistryCore;
  readonly jobId: number;
  readonly attempt: number;
  readonly payload: unknown;
  readonly signal: AbortSignal;
}

/** The job `scan`. Idempotent; it rejects when it is to be tried again. */
export async function runScan(run: ScanRun, scanner: ContentScanner | undefined): Promise<void> {
  const { core } = run;
  const { manifestId, target } = run.payload as FollowUpJob;
  const subject = await findFollowUpSubject(core.metadata, { manifestId, kind: "scan", target });
  if (subject === undefined) return;
  const { key, manifest, startedAt } = subject;
  const outcome = await scan(run, scanner, subject, scanTypeOf(target));
  const { accountId } = key;
  await settleScan(core.metadata, {
    manifestId,
    target,
    startedAt,
    outcome,
    repository: { ...key, repositoryId: manifest.repositoryId },
    digest: manifest.digest,
    record: recordOf(outcome, scanTypeOf(target)),
    author: {
      principalArn: `arn:aws:iam::${accountId}:role/aws-service-role/ecr.amazonaws.com/AWSServiceRoleForECR`,
      requestId: `job-${run.jobId}`,
      now: core.clock.now(),
    },
  });
}

async function scan(
  { core, attempt, signal }: ScanRun,
  scanner: ContentScanner | undefined,
  { key, manifest }: FollowUpSubject,
  scanType: ScanType,
): Promise<ScanOutcome> {
  if (manifest.status !== "ACTIVE") return failed(scanFailures.archived, "The image is archived.");
  if (scanner === undefined) return failed(scanFailures.noEngine, noEngineReason);
  if (await exceedsScanQuota(core.metadata, scanQuota(key, core.clock.now())))
    return failed(scanFailures.limit, `The registry has already had ${scansPerDay} scans in the last 24 hours.`);
  const { accountId, region, name } = key;
  const { digest, mediaType } = manifest;
  const request = { registry: { accountId, region }, name: name as RepositoryName, digest: digest as Digest, mediaType, scanType, signal };
  try {
    return outcomeOf(await scanner.scan(request), core.clock.now());
  } catch (error) {
    if (signal.aborted || attempt < maxAttempts) throw error;
    core.log.error({ error: error instanceof Error ? error.message : String(error), digest }, "a scan has failed");
    return failed(undefined, failedReason);
  }
}

function failed(code: string | undefined, reason: string): ScanOutcome {
  return { state: "FAILED", code, reason };
}

function outcomeOf(result: ScanResult, completedAt: number): ScanOutcome {
  if (result.outcome === "unsupported") return failed(scanFailures.unsupported, result.reason);
  const severityCounts: Partial<Record<ScanSeverity, number>> = {};
  for (const { severity } of result.findings) severityCounts[severity] = (severityCounts[severity] ?? 0) + 1;
  const summary: ScanSummary = { completedAt, sourceUpdatedAt: result.sourceUpdatedAt, severityCounts };
  const rank = new Map(severities.map((severity, index) => [severity, index]));
  const worstFirst = result.findings.toSorted((a, b) => (rank.get(a.severity) ?? 0) - (rank.get(b.severity) ?? 0));
  return { state: "COMPLETE", findings: worstFirst.slice(0, maxFindings).map(bounded), summary };
}

/** Advisories are other people's texts. */
function bounded(finding: ScanFinding): ScanFinding {
  const { description, packages, referenceUrls, relatedVulnerabilities } = finding;
  return {
    ...finding,
    packages: packages.slice(0, maxListed),
    ...(description !== undefined && { description: description.slice(0, maxDescriptionLength) }),
    ...(referenceUrls !== undefined && { referenceUrls: referenceUrls.slice(0, maxListed) }),
    ...(relatedVulnerabilities !== undefined && { relatedVulnerabilities: relatedVulnerabilities.slice(0, maxListed) }),
  };
}

/** What the change log, and so the event `ECR Image Scan`, says of it. */
function recordOf(outcome: ScanOutcome, scanType: ScanType): Readonly<Record<string, unknown>> {
  if (outcome.state === "FAILED") return { scanType, status: "FAILED", code: outcome.code };
  return { scanType, status: "COMPLETE", severityCounts: (outcome.summary as ScanSummary).severityCounts };
}
