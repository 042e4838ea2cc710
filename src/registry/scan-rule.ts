/** What a registry's scanning configuration says of a repository (Amazon ECR User Guide, "Scan images for software vulnerabilities"). Pure. */
import { matchesWildcard } from "#std/wildcard.ts";
import type { PushFollowUp } from "#metadata/follow-ups.ts";
import type { RegistrySettings } from "#metadata/registry-settings.ts";
import type { ParsedManifest } from "#oci/manifest.ts";
import { mediaTypes } from "#oci/media-type.ts";
import type { PushedManifest } from "./follow-up.ts";

/** How a registry scans: packages of the operating system, or of languages too and again and again. */
export type ScanType = "BASIC" | "ENHANCED";

/** When a repository is scanned. */
export type ScanFrequency = "SCAN_ON_PUSH" | "CONTINUOUS_SCAN" | "MANUAL";

/** A filter of repository names. */
interface ScanFilter {
  readonly filter: string;
  readonly filterType: "WILDCARD";
}

/** A scanning configuration as it is kept under the setting `scanning`: in ECR's own words, as it was given. */
export interface ScanConfiguration {
  readonly scanType: ScanType;
  readonly rules: readonly { readonly scanFrequency: ScanFrequency; readonly repositoryFilters: readonly ScanFilter[] }[];
}

/** What a registry that was never configured has. */
const basicScanning: ScanConfiguration = { scanType: "BASIC", rules: [] };

/** The configuration among a registry's settings. */
export function scanConfigurationOf(settings: RegistrySettings): ScanConfiguration {
  return (settings.get("scanning") as ScanConfiguration | undefined) ?? basicScanning;
}

/** How a repository is scanned, and by which filters it comes to that. */
export interface EffectiveScanning {
  readonly frequency: ScanFrequency;
  readonly filters: readonly ScanFilter[];
}

/**
 * When a repository is scanned, after all rules: continuously where a rule says so, else on push, where a rule or (with basic scanning) the
 * repository itself says so.
 */
export function effectiveScanning(
  { scanType, rules }: ScanConfiguration,
  repository: { readonly name: string; readonly scanOnPush: boolean },
): EffectiveScanning {
  for (const frequency of ["CONTINUOUS_SCAN", "SCAN_ON_PUSH"] as const) {
    const filters = rules
      .filter(({ scanFrequency }) => scanFrequency === frequency)
      .flatMap(({ repositoryFilters }) => repositoryFilters.filter(({ filter }) => matchesFilter(filter, repository.name)));
    if (filters.length > 0) return { frequency, filters };
  }
  return { frequency: scanType === "BASIC" && repository.scanOnPush ? "SCAN_ON_PUSH" : "MANUAL", filters: [] };
}

/** Without a `*` a filter is looked for anywhere in the name; with one it is the whole name. */
function matchesFilter(filter: string, name: string): boolean {
  return filter.includes("*") ? matchesWildcard(filter, name) : name.includes(filter);
}

/** The target of the follow-up of such a scan: the results of one type are hidden, not lost, while the registry is set to the other. */
export function scanTarget(scanType: ScanType): string {
  return scanType === "BASIC" ? "" : scanType;
}

/** The type of the scan that a follow-up of that target is. */
export function scanTypeOf(target: string): ScanType {
  return target === scanTarget("ENHANCED") ? "ENHANCED" : "BASIC";
}

const configTypes: readonly string[] = [mediaTypes.ociConfig, mediaTypes.dockerConfig];
const fileSystemTypes = ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."];

/** Is it an image, with a file system to look through? Indexes, signatures, attestations, charts and the like are not. */
export function isScannable({ kind, config, layers }: Pick<ParsedManifest, "kind" | "config" | "layers">): boolean {
  if (kind !== "image" || !configTypes.includes(config?.mediaType ?? "")) return false;
  return layers.every(({ mediaType }) => fileSystemTypes.some((prefix) => mediaType.startsWith(prefix)));
}

/** Scan on push. What the repository itself says counts only if no rule of basic scanning does. */
export function scanRule(settings: RegistrySettings, { name, manifest }: PushedManifest): readonly PushFollowUp[] {
  if (!isScannable(manifest)) return [];
  const configuration = scanConfigurationOf(settings);
  const { scanType } = configuration;
  const { frequency } = effectiveScanning(configuration, { name, scanOnPush: false });
  const target = scanTarget(scanType);
  if (frequency !== "MANUAL") return [{ kind: "scan", target, when: "new" }];
  return scanType === "BASIC" ? [{ kind: "scan", target, when: "new-if-scanned" }] : [];
}
