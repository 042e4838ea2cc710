import type { Json } from "#std/json.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryRef } from "#registry/context.ts";
import { getLifecyclePreview, startLifecyclePreview } from "#registry/lifecycle-preview.ts";
import type { LifecyclePreviewResult, LifecyclePreviewState } from "#registry/lifecycle-preview.ts";
import { deleteLifecyclePolicy, getLifecyclePolicy, putLifecyclePolicy } from "#registry/lifecycle.ts";
import type { KeptLifecyclePolicy } from "#registry/lifecycle.ts";
import type { ApiCall } from "../call.ts";
import { registryOf } from "../call.ts";
import { invalidParameter } from "../fault.ts";
import { checkImageId, manifestName } from "./image.ts";
import type {
  GetLifecyclePolicyPreviewRequest,
  GetLifecyclePolicyPreviewResponse,
  LifecyclePolicyPreviewResult,
  LifecyclePolicyPreviewSummary,
} from "./model/shapes.ts";
import { openPage, sealPage } from "./page.ts";
import { repositoryArn, repositoryNameOf } from "./shape.ts";
import type { RepositoryInput } from "./shape.ts";
import type { EcrRows } from "./table.ts";

const defaultPage = 100;

/** Which images expire or go to the archive by themselves. */
export const lifecycleOperations: EcrRows<
  "PutLifecyclePolicy" | "GetLifecyclePolicy" | "DeleteLifecyclePolicy" | "StartLifecyclePolicyPreview" | "GetLifecyclePolicyPreview"
> = {
  PutLifecyclePolicy: {
    action: "ecr:PutLifecyclePolicy",
    resource: repositoryArn,
    handle: async (call, input) => {
      const { registry, name } = scopeOf(call, input);
      const { text } = await putLifecyclePolicy(call.context, registry, name, input.lifecyclePolicyText);
      return { ...named(registry, name), lifecyclePolicyText: text };
    },
  },

  GetLifecyclePolicy: {
    action: "ecr:GetLifecyclePolicy",
    resource: repositoryArn,
    handle: async (call, input) => {
      const { registry, name } = scopeOf(call, input);
      return { ...named(registry, name), ...policyShape(await getLifecyclePolicy(call.context, registry, name)) };
    },
  },

  DeleteLifecyclePolicy: {
    action: "ecr:DeleteLifecyclePolicy",
    resource: repositoryArn,
    handle: async (call, input) => {
      const { registry, name } = scopeOf(call, input);
      return { ...named(registry, name), ...policyShape(await deleteLifecyclePolicy(call.context, registry, name)) };
    },
  },

  StartLifecyclePolicyPreview: {
    action: "ecr:StartLifecyclePolicyPreview",
    resource: repositoryArn,
    handle: async (call, input) => {
      const { registry, name } = scopeOf(call, input);
      const lifecyclePolicyText = await startLifecyclePreview(call.context, registry, name, input.lifecyclePolicyText);
      return { ...named(registry, name), lifecyclePolicyText, status: "IN_PROGRESS" };
    },
  },

  GetLifecyclePolicyPreview: {
    action: "ecr:GetLifecyclePolicyPreview",
    resource: repositoryArn,
    check: (input) => checkImageIds(input),
    handle: async (call, input) => {
      const { registry, name } = scopeOf(call, input);
      const { imageIds, maxResults: limit = defaultPage } = input;
      const tagStatus = input.filter?.tagStatus ?? "ANY";
      const listing = ["GetLifecyclePolicyPreview", registry.accountId, registry.region, name, tagStatus];
      const after = openPage(call, listing, input.nextToken, isOrdinal);
      const preview = await getLifecyclePreview(call.context, registry, name, {
        after,
        limit,
        isTagged: tagStatus === "ANY" ? undefined : tagStatus === "TAGGED",
        ids: imageIds?.map(manifestName),
      });
      return { ...named(registry, name), ...previewShape(preview), ...sealPage(call, listing, preview.next) };
    },
  },
};

function scopeOf(call: ApiCall, input: RepositoryInput): { readonly registry: RegistryRef; readonly name: RepositoryName } {
  return { registry: registryOf(call, input), name: repositoryNameOf(input.repositoryName) };
}

function named({ accountId: registryId }: RegistryRef, repositoryName: RepositoryName) {
  return { registryId, repositoryName };
}

/** A policy that has not run yet says so with the beginning of time, as ECR does. */
function policyShape({ text, lastEvaluatedAt = 0 }: KeptLifecyclePolicy) {
  return { lifecyclePolicyText: text, lastEvaluatedAt };
}

function isOrdinal(position: Json): position is number {
  return typeof position === "number";
}

function checkImageIds({ imageIds, maxResults, nextToken }: GetLifecyclePolicyPreviewRequest): void {
  if (imageIds === undefined) return;
  if (maxResults !== undefined) throw invalidParameter("maxResults", "Member must be null when imageIds is set");
  if (nextToken !== undefined) throw invalidParameter("nextToken", "Member must be null when imageIds is set");
  for (const imageId of imageIds) checkImageId(imageId, "imageIds");
}

function previewShape({ policy, status, counts, results }: LifecyclePreviewState): GetLifecyclePolicyPreviewResponse {
  return {
    lifecyclePolicyText: policy,
    status,
    previewResults: results.map(resultShape),
    ...(counts !== undefined && { summary: summaryShape(counts) }),
  };
}

function resultShape({ digest, tags, pushedAt, action, priority, storageClass }: LifecyclePreviewResult): LifecyclePolicyPreviewResult {
  return {
    ...(tags.length > 0 && { imageTags: tags }),
    imageDigest: digest,
    // In whole seconds, as DescribeImages gives it.
    imagePushedAt: Math.floor(pushedAt / 1_000) * 1_000,
    action: action === "expire" ? { type: "EXPIRE" } : { type: "TRANSITION", targetStorageClass: "ARCHIVE" },
    appliedRulePriority: priority,
    storageClass: storageClass === "standard" ? "STANDARD" : "ARCHIVE",
  };
}

function summaryShape({ expire, archive }: { readonly expire: number; readonly archive: number }): LifecyclePolicyPreviewSummary {
  return {
    expiringImageTotalCount: expire,
    ...(archive > 0 && { transitioningImageTotalCounts: [{ targetStorageClass: "ARCHIVE", imageTotalCount: archive }] }),
  };
}
