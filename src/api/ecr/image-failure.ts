/** Per-item failures of the batch operations on images: the call succeeds, and each identifier that could not be served says why. */
import { digestPattern, tagPattern } from "../errors.ts";
import type { ImageFailure, ImageIdentifier } from "./model/shapes.ts";

/** Why the registry could not serve one identifier. */
export interface ItemFailure {
  readonly code:
    | "not-found"
    | "referenced"
    | "tag-digest-mismatch"
    | "missing-id"
    | "digest-invalid"
    | "tag-invalid"
    | "key-unusable"
    | "archived";
  /** The indexes that reference the manifest. */
  readonly parents?: readonly string[] | undefined;
  /** Why the key refused to be used. */
  readonly reason?: string | undefined;
  /** Whether an archived image is on its way back. */
  readonly status?: "ARCHIVED" | "ACTIVATING" | undefined;
}

const texts = {
  "not-found": { failureCode: "ImageNotFound", failureReason: () => "Requested image not found" },
  referenced: {
    failureCode: "ImageReferencedByManifestList",
    failureReason: (parents) => `Requested image referenced by manifest list: [${parents.join(", ")}]`,
  },
  "tag-digest-mismatch": {
    failureCode: "ImageTagDoesNotMatchDigest",
    failureReason: () => "Requested image tag does not match the requested image digest",
  },
  "missing-id": {
    failureCode: "MissingDigestAndTag",
    failureReason: () => "Invalid request parameters: both tag and digest cannot be null",
  },
  "digest-invalid": {
    failureCode: "InvalidImageDigest",
    failureReason: () => `Invalid request parameters: image digest should satisfy the regex '${digestPattern}'`,
  },
  "tag-invalid": {
    failureCode: "InvalidImageTag",
    failureReason: () => `Invalid request parameters: image tag should satisfy the regex '${tagPattern}'`,
  },
  archived: {
    failureCode: "ImageInaccessible",
    failureReason: (_parents, _reason, status) =>
      status === "ACTIVATING" ? "Requested image is being restored from the archive" : "Requested image is archived",
  },
  "key-unusable": {
    failureCode: "KmsError",
    failureReason: (_parents, reason) => `The KMS key of the repository cannot be used: ${reason}`,
  },
} as const satisfies Readonly<
  Record<
    ItemFailure["code"],
    {
      readonly failureCode: NonNullable<ImageFailure["failureCode"]>;
      readonly failureReason: (parents: readonly string[], reason: string, status: ItemFailure["status"]) => string;
    }
  >
>;

/** The form of digests that ECR accepts, also of those that nothing can have. */
export const digestGrammar = new RegExp(`^${digestPattern}$`);

/** ECR's element of `failures`; the identifier is repeated as it was asked. */
export function imageFailureShape(imageId: ImageIdentifier, failure: ItemFailure): ImageFailure {
  // ECR's grammar allows digests that nothing can have, such as unknown algorithms; to ECR those are images that are not there.
  const isUnheard = failure.code === "digest-invalid" && digestGrammar.test(imageId.imageDigest ?? "");
  const { failureCode, failureReason } = texts[isUnheard ? "not-found" : failure.code];
  return { imageId, failureCode, failureReason: failureReason(failure.parents ?? [], failure.reason ?? "", failure.status) };
}
