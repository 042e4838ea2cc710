/** Setting when repositories are scanned: for a whole registry, and for one repository. */
import { putRegistrySetting, readRegistrySettings } from "#metadata/registry-settings.ts";
import { findRepository, listRepositories } from "#metadata/repositories.ts";
import type { Repository } from "#metadata/repositories.ts";
import * as scans from "#metadata/scans.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import { refuse } from "./errors.ts";
import { effectiveScanning, scanConfigurationOf } from "./scan-rule.ts";
import type { EffectiveScanning, ScanConfiguration, ScanType } from "./scan-rule.ts";
import { authorOf, repositoryDetail, repositoryKey } from "./scope.ts";

/** Repositories that are looked at in one step. */
const step = 500;
const frequencies: Readonly<Record<ScanType, readonly string[]>> = {
  BASIC: ["SCAN_ON_PUSH", "MANUAL"],
  ENHANCED: ["SCAN_ON_PUSH", "CONTINUOUS_SCAN"],
};

/** The scanning configuration of a registry; that of a new one when it was never set. */
export async function getScanConfiguration(ctx: RegistryContext, { accountId, region }: RegistryRef): Promise<ScanConfiguration> {
  return scanConfigurationOf(await readRegistrySettings(ctx.core.metadata, { accountId, region }));
}

/** Throws `parameter-invalid` for a frequency that the type of scanning does not have, or that stands in two rules. */
export function checkScanConfiguration({ scanType, rules }: ScanConfiguration): void {
  const seen = new Set<string>();
  for (const { scanFrequency } of rules) {
    const problem = frequencies[scanType].includes(scanFrequency)
      ? `The scan frequency ${scanFrequency} must not be given more than once`
      : `The scan frequency ${scanFrequency} is not supported for the scan type ${scanType}`;
    if (seen.has(scanFrequency) || !frequencies[scanType].includes(scanFrequency))
      refuse("parameter-invalid", { parameter: "rules", constraint: problem });
    seen.add(scanFrequency);
  }
}

/** Sets or replaces the scanning configuration of a registry; it counts for later pushes. Throws as {@link checkScanConfiguration}. */
export async function putScanConfiguration(
  ctx: RegistryContext,
  { accountId, region }: RegistryRef,
  configuration: ScanConfiguration,
): Promise<void> {
  checkScanConfiguration(configuration);
  const registry = { accountId, region };
  const before = await getScanConfiguration(ctx, registry);
  await putRegistrySetting(ctx.core.metadata, { registry, name: "scanning", value: configuration, author: authorOf(ctx) });
  await recordFrequencies(ctx, registry, before, configuration);
}

/** Each repository that is scanned at other times now gets an entry in the change log, which becomes the event `ECR Scan Resource Change`. */
async function recordFrequencies(
  ctx: RegistryContext,
  registry: RegistryRef,
  before: ScanConfiguration,
  after: ScanConfiguration,
): Promise<void> {
  if (before.rules.length === 0 && after.rules.length === 0 && before.scanType === after.scanType) return;
  let last: string | undefined;
  for (;;) {
    const page = await listRepositories(ctx.core.metadata, registry, { ...(last !== undefined && { after: last }), limit: step });
    const changed = page.flatMap((repository) => {
      const was = effectiveScanning(before, repository).frequency;
      const is = effectiveScanning(after, repository).frequency;
      if (was === is) return [];
      const states = { before: { scanType: before.scanType, scanFrequency: was }, after: { scanType: after.scanType, scanFrequency: is } };
      return [{ key: repository, ...states }];
    });
    await scans.recordScanFrequencies(ctx.core.metadata, changed, authorOf(ctx));
    last = page.at(-1)?.name;
    if (page.length < step) return;
  }
}

/** Sets whether what is pushed into a repository is scanned, where basic scanning leaves it to the repository. Throws `repository-not-found`. */
export async function putScanOnPush(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  scanOnPush: boolean,
): Promise<Repository> {
  const input = { key: repositoryKey(registry, name), scanOnPush, author: authorOf(ctx) };
  return (await scans.setScanOnPush(ctx.core.metadata, input)) ?? refuse("repository-not-found", repositoryDetail(registry, name));
}

/** When a repository is scanned, or that there is none of that name. */
export interface FoundScanning {
  readonly name: RepositoryName;
  /** Undefined: no such repository. */
  readonly scanning: EffectiveScanning | undefined;
}

/** When each of the named repositories is scanned, in the order asked. */
export async function findScanning(
  ctx: RegistryContext,
  registry: RegistryRef,
  names: readonly RepositoryName[],
): Promise<readonly FoundScanning[]> {
  const configuration = await getScanConfiguration(ctx, registry);
  const found: FoundScanning[] = [];
  for (const name of names) {
    const repository = await findRepository(ctx.core.metadata, repositoryKey(registry, name));
    found.push({ name, scanning: repository && effectiveScanning(configuration, repository) });
  }
  return found;
}
