/**
 * ECR's actions behind the requests of the data plane: what ECR's own registry proxy asks for, so that policies written for ECR
 * mean the same here. Where ECR has no such request (DELETE of a blob), the nearest of its actions.
 */
export const actions = {
  checkBlob: "ecr:BatchCheckLayerAvailability",
  getBlob: "ecr:GetDownloadUrlForLayer",
  startUpload: "ecr:InitiateLayerUpload",
  appendUpload: "ecr:UploadLayerPart",
  completeUpload: "ecr:CompleteLayerUpload",
  getManifest: "ecr:BatchGetImage",
  putManifest: "ecr:PutImage",
  remove: "ecr:BatchDeleteImage",
  /** Another deployment brings copies: it may bring their blobs too, and nothing else. */
  replicate: "ecr:ReplicateImage",
  listTags: "ecr:ListImages",
  listRepositories: "ecr:DescribeRepositories",
} as const;

/** One of {@link actions}. */
export type Action = (typeof actions)[keyof typeof actions];
