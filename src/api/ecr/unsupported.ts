/**
 * Operations of the service `ecr` that this registry refuses, each with its permission and the reason that the caller reads.
 * To offer one: write its row in the file of its group and delete the row here; the table in `table.ts` stays total either way.
 */
import type { RefusedRow } from "../call.ts";

const reason = {
  lifecycle: "lifecycle policies are not evaluated yet",
  replication: "images are not replicated to other registries yet",
  pullThroughCache: "images are not fetched from upstream registries yet",
  creationTemplates: "repositories are made by CreateRepository only",
  scanning: "images are not scanned yet",
  signing: "images are not signed by the registry",
  archiving: "images have one storage class, STANDARD",
  pullTimes: "pull times are not recorded yet",
  settings: "the registry has no account settings yet",
  referrers: "ask the OCI referrers API of the registry host instead",
} as const;

const refuse = (action: string, refused: string): RefusedRow => ({ action: `ecr:${action}`, refused });

/** What is refused. The permission is the operation's own name, except where AWS has none for it. */
export const unsupportedOperations = {
  BatchGetRepositoryScanningConfiguration: refuse("BatchGetRepositoryScanningConfiguration", reason.scanning),
  CreatePullThroughCacheRule: refuse("CreatePullThroughCacheRule", reason.pullThroughCache),
  CreateRepositoryCreationTemplate: refuse("CreateRepositoryCreationTemplate", reason.creationTemplates),
  DeleteLifecyclePolicy: refuse("DeleteLifecyclePolicy", reason.lifecycle),
  DeletePullThroughCacheRule: refuse("DeletePullThroughCacheRule", reason.pullThroughCache),
  DeleteRepositoryCreationTemplate: refuse("DeleteRepositoryCreationTemplate", reason.creationTemplates),
  DeleteSigningConfiguration: refuse("DeleteSigningConfiguration", reason.signing),
  DeregisterPullTimeUpdateExclusion: refuse("DeregisterPullTimeUpdateExclusion", reason.pullTimes),
  DescribeImageReplicationStatus: refuse("DescribeImageReplicationStatus", reason.replication),
  DescribeImageScanFindings: refuse("DescribeImageScanFindings", reason.scanning),
  DescribeImageSigningStatus: refuse("DescribeImageSigningStatus", reason.signing),
  DescribePullThroughCacheRules: refuse("DescribePullThroughCacheRules", reason.pullThroughCache),
  DescribeRepositoryCreationTemplates: refuse("DescribeRepositoryCreationTemplates", reason.creationTemplates),
  GetAccountSetting: refuse("GetAccountSetting", reason.settings),
  GetLifecyclePolicy: refuse("GetLifecyclePolicy", reason.lifecycle),
  GetLifecyclePolicyPreview: refuse("GetLifecyclePolicyPreview", reason.lifecycle),
  GetRegistryScanningConfiguration: refuse("GetRegistryScanningConfiguration", reason.scanning),
  GetSigningConfiguration: refuse("GetSigningConfiguration", reason.signing),
  // AWS authorizes it as BatchGetImage; there is no permission of its own name.
  ListImageReferrers: refuse("BatchGetImage", reason.referrers),
  ListPullTimeUpdateExclusions: refuse("ListPullTimeUpdateExclusions", reason.pullTimes),
  PutAccountSetting: refuse("PutAccountSetting", reason.settings),
  PutImageScanningConfiguration: refuse(
    "PutImageScanningConfiguration",
    "scanOnPush is set when a repository is created, and cannot be changed yet",
  ),
  PutLifecyclePolicy: refuse("PutLifecyclePolicy", reason.lifecycle),
  PutRegistryScanningConfiguration: refuse("PutRegistryScanningConfiguration", reason.scanning),
  PutReplicationConfiguration: refuse("PutReplicationConfiguration", reason.replication),
  PutSigningConfiguration: refuse("PutSigningConfiguration", reason.signing),
  RegisterPullTimeUpdateExclusion: refuse("RegisterPullTimeUpdateExclusion", reason.pullTimes),
  StartImageScan: refuse("StartImageScan", reason.scanning),
  StartLifecyclePolicyPreview: refuse("StartLifecyclePolicyPreview", reason.lifecycle),
  UpdateImageStorageClass: refuse("UpdateImageStorageClass", reason.archiving),
  UpdatePullThroughCacheRule: refuse("UpdatePullThroughCacheRule", reason.pullThroughCache),
  UpdateRepositoryCreationTemplate: refuse("UpdateRepositoryCreationTemplate", reason.creationTemplates),
  ValidatePullThroughCacheRule: refuse("ValidatePullThroughCacheRule", reason.pullThroughCache),
} satisfies Readonly<Record<string, RefusedRow>>;
