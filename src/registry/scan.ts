/** Scans as callers see them: beginning one, how it stands, and what it found. */
import type { TaggedManifest } from "#metadata/manifests.ts";
import { listFollowUps } from "#metadata/follow-ups.ts";
import type { FollowUpState } from "#metadata/follow-ups.ts";
import { readRegistrySettings } from "#metadata/registry-settings.ts";
import * as scans from "#metadata/scans.ts";
import type { Digest } from "#oci/digest.ts";
import { parseManifest } from "#oci/manifest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import { refuse } from "./errors.ts";
import { getManifest } from "./manifest.ts";
import { describeManifests } from "./manifest-batch.ts";
import type { ManifestName } from "./manifest-batch.ts";
import { getScanConfiguration } from "./scan-configuration.ts";
import { effectiveScanning, isScannable, scanConfigurationOf, scanTarget } from "./scan-rule.ts";
import type { ScanConfiguration, ScanType } from "./scan-rule.ts";
import { scanFailures, scanQuota } from "./scanner.ts";
import type { ScanFinding, ScanSummary } from "./scanner.ts";
import type { PageRequest } from "./repository.ts";
import { cutPage } from "./repository.ts";
import { repositoryDetail } from "./scope.ts";

/** How a scan stands, in the words of ECR's API. */
export type ScanStatus =
  | "IN_PROGRESS"
  | "PENDING"
  | "COMPLETE"
  | "ACTIVE"
  | "FAILED"
  | (typeof scanFailures)["unsupported" | "limit" | "archived"];

/** A scan of a manifest. */
export interface ScanState {
  readonly status: ScanStatus;
  /** For people. */
  readonly description?: string;
  /** Once it is complete. */
  readonly summary?: ScanSummary;
}

const statusOfFailure: ReadonlyMap<string | undefined, ScanStatus> = new Map(
  [scanFailures.unsupported, scanFailures.limit, scanFailures.archived].map((code) => [code, code]),
);

/** How a follow-up looks; with enhanced scanning what is complete is looked at again and again where a rule says so. */
function stateOf(row: FollowUpState, scanType: ScanType, isContinuous: boolean): ScanState {
  const isEnhanced = scanType === "ENHANCED";
  switch (row.state) {
    case "IN_PROGRESS":
      return { status: isEnhanced ? "PENDING" : "IN_PROGRESS" };
    case "FAILED":
      return { status: statusOfFailure.get(row.code) ?? "FAILED", ...(row.reason !== undefined && { description: row.reason }) };
    case "COMPLETE":
    default: {
      const summary = row.detail as ScanSummary;
      return isEnhanced && isContinuous
        ? { status: "ACTIVE", description: "Continuous scan is selected for image.", summary }
        : { status: "COMPLETE", description: "The scan was completed successfully.", summary };
    }
  }
}

/** The scans of some manifests of a repository (at most as many as a page has) by manifest id: those of the type that the registry is set to. */
export async function findScans(
  ctx: RegistryContext,
  { accountId, region }: RegistryRef,
  name: RepositoryName,
  manifestIds: readonly number[],
): Promise<ReadonlyMap<number, ScanState>> {
  const rows = await listFollowUps(ctx.core.metadata, "scan", manifestIds);
  if (rows.length === 0) return new Map();
  const configuration = scanConfigurationOf(await readRegistrySettings(ctx.core.metadata, { accountId, region }));
  return statesOf(rows, configuration, name);
}

function statesOf(rows: readonly FollowUpState[], configuration: ScanConfiguration, name: RepositoryName): ReadonlyMap<number, ScanState> {
  const { scanType } = configuration;
  const isContinuous = effectiveScanning(configuration, { name, scanOnPush: false }).frequency === "CONTINUOUS_SCAN";
  const current = rows.filter(({ target }) => target === scanTarget(scanType));
  return new Map(current.map((row) => [row.manifestId, stateOf(row, scanType, isContinuous)]));
}

/** The one manifest that a caller names by digest, tag or both. Throws `repository-not-found`, `manifest-not-found`, `parameter-invalid`. */
export async function getNamedManifest(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  id: ManifestName,
): Promise<TaggedManifest> {
  const { manifests, failures } = await describeManifests(ctx, registry, name, [id]);
  const [found] = manifests;
  if (found !== undefined) return found.manifest;
  if (failures[0]?.code === "missing-id")
    return refuse("parameter-invalid", { parameter: "imageId", constraint: "both tag and digest cannot be null" });
  return refuse("manifest-not-found", { ...repositoryDetail(registry, name), ...given(id) });
}

function given({ digest, tag }: ManifestName): { readonly digest?: string; readonly tag?: string } {
  return { ...(digest !== undefined && { digest }), ...(tag !== undefined && { tag }) };
}

/**
 * Begins a scan, outside of any push; once a day for a manifest. Throws `repository-not-found`, `manifest-not-found`, `parameter-invalid`,
 * `scan-disabled` where scanning is continuous or not at all, `scan-unsupported`, `manifest-archived`, `limit-exceeded`.
 */
export async function startScan(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  id: ManifestName,
): Promise<{ readonly digest: Digest; readonly state: ScanState }> {
  const { metadata, clock } = ctx.core;
  const { scanType } = await getScanConfiguration(ctx, registry);
  if (scanType === "ENHANCED") return refuse("scan-disabled", {});
  const { manifestId, status, kind, ...manifest } = await getNamedManifest(ctx, registry, name, id);
  const digest = manifest.digest as Digest;
  const detail = { ...repositoryDetail(registry, name), digest };
  if (status !== "ACTIVE") return refuse("manifest-archived", { ...detail, ...given(id), status });
  if (kind === "index" || !(await isScannableAsStored(ctx, registry, name, digest))) return refuse("scan-unsupported", detail);
  const now = clock.now();
  const quota = scanQuota(registry, now);
  const outcome = await scans.startScan(metadata, { manifestId, target: scanTarget(scanType), quota, now });
  if (outcome === "gone") return refuse("manifest-not-found", { ...repositoryDetail(registry, name), ...given(id) });
  if (outcome === "recent") return refuse("limit-exceeded", { message: "The scan quota per image has been exceeded. Wait and try again." });
  if (outcome === "limit")
    return refuse("limit-exceeded", { message: "The scan quota per registry has been exceeded. Wait and try again." });
  return { digest, state: { status: "IN_PROGRESS" } };
}

async function isScannableAsStored(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName, digest: Digest): Promise<boolean> {
  const { bytes, mediaType } = await getManifest(ctx, registry, name, { kind: "digest", digest });
  const parsed = parseManifest(bytes, mediaType);
  return parsed.ok && isScannable(parsed.value);
}

/** A scan with a page of its findings. */
export interface DescribedScan {
  readonly manifest: TaggedManifest;
  readonly scanType: ScanType;
  readonly state: ScanState;
  readonly findings: readonly ScanFinding[];
  /** The `after` of the next page. */
  readonly next?: number;
}

/** How the scan of a manifest stands, and one page of what it found. Throws `repository-not-found`, `manifest-not-found`, `parameter-invalid`, `scan-not-found`. */
export async function describeScan(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  id: ManifestName,
  page: PageRequest<number>,
): Promise<DescribedScan> {
  const { metadata } = ctx.core;
  const manifest = await getNamedManifest(ctx, registry, name, id);
  const { manifestId } = manifest;
  const configuration = await getScanConfiguration(ctx, registry);
  const { scanType } = configuration;
  const state = statesOf(await listFollowUps(metadata, "scan", [manifestId]), configuration, name).get(manifestId);
  if (state === undefined) return refuse("scan-not-found", { ...repositoryDetail(registry, name), ...given(id) });
  if (state.summary === undefined) return { manifest, scanType, state, findings: [] };
  const query = { after: page.after, limit: page.limit + 1 };
  const found = await scans.listScanFindings(metadata, { manifestId, target: scanTarget(scanType) }, query);
  const { items, last } = cutPage(found, page.limit);
  // What stands here was written by `scanner.ts`.
  const findings = items.map(({ finding }) => finding as ScanFinding);
  return { manifest, scanType, state, findings, ...(last !== undefined && { next: last.ordinal }) };
}
