/** Repositories, their policies, tags and lifecycle: what each operation is refused with. */
import type { ErrorRow } from "./row.ts";
import { accountId, app, badName, inApp, invalid, noRepository, refusedWith } from "./row.ts";

const policyText = JSON.stringify({
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Principal: "*", Action: "ecr:BatchGetImage" }],
});
/** A lifecycle policy that every text may be. */
const lifecyclePolicyText = JSON.stringify({
  rules: [
    {
      rulePriority: 1,
      selection: { tagStatus: "untagged", countType: "imageCountMoreThan", countNumber: 1_000 },
      action: { type: "expire" },
    },
  ],
});
const noLifecyclePolicy = refusedWith(`Lifecycle policy does not exist for ${inApp.within}`, {});
const noPolicy = refusedWith(`Repository policy does not exist for ${inApp.within}`, {});
const arn = (name: string): string => `arn:aws:ecr:eu-central-1:${accountId}:repository/${name}`;
const badArn = invalid("resourceArn", "Invalid ARN", { resourceArn: "arn:aws:s3:::team" });
const noTaggedRepository = refusedWith(noRepository.text, { resourceArn: arn("team/none") });
const manyTags = Array.from({ length: 51 }, (_, index) => ({ Key: `key-${index}`, Value: "" }));
const tooManyTags = refusedWith("The number of tags on the repository must not exceed 50", { tags: manyTags });
const reservedTag = "Tag keys must not start with the reserved prefix 'aws:'";

/** Rows by operation. */
export const repositoryRows: Readonly<Record<string, ErrorRow>> = {
  CreateRepository: {
    input: { repositoryName: "team/new" },
    shown: {
      InvalidParameter: invalid(
        "imageTagMutability",
        "Member must satisfy enum value set: [MUTABLE, IMMUTABLE, IMMUTABLE_WITH_EXCLUSION, MUTABLE_WITH_EXCLUSION]",
        {
          imageTagMutability: "SOMETIMES",
        },
      ),
      InvalidTagParameter: refusedWith(reservedTag, { tags: [{ Key: "aws:owner", Value: "me" }] }),
      TooManyTags: tooManyTags,
      RepositoryAlreadyExists: refusedWith(
        `The repository with name 'team/app' already exists in the registry with id '${accountId}'`,
        app,
      ),
      LimitExceeded: refusedWith(
        `The registry with id '${accountId}' already has the maximum allowed number of repositories which is '1'`,
        {},
        { place: "full" },
      ),
      Kms: refusedWith(
        /alias\/none is not found\.$/,
        { encryptionConfiguration: { encryptionType: "KMS", kmsKey: "alias/none" } },
        { members: { kmsError: "NotFoundException" } },
      ),
    },
  },
  DescribeRepositories: {
    input: {},
    shown: {
      InvalidParameter: invalid("maxResults", "Member must have value less than or equal to 1000", { maxResults: 1_001 }),
      RepositoryNotFound: refusedWith(noRepository.text, { repositoryNames: ["team/app", "team/none"] }),
    },
  },
  DeleteRepository: {
    input: app,
    shown: {
      InvalidParameter: badName,
      RepositoryNotFound: noRepository,
      RepositoryNotEmpty: refusedWith(`T${inApp.inside.slice(1)} cannot be deleted because it still contains images`, {}),
    },
    untriggered: { Kms: "undo-window" },
  },
  PutImageTagMutability: {
    input: { ...app, imageTagMutability: "MUTABLE" },
    shown: {
      InvalidParameter: refusedWith(/^Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: '/, {
        imageTagMutability: "IMMUTABLE_WITH_EXCLUSION",
      }),
      RepositoryNotFound: noRepository,
    },
  },
  SetRepositoryPolicy: {
    input: { ...app, policyText },
    shown: {
      InvalidParameter: invalid("PolicyText", "Invalid repository policy provided", { policyText: "{" }),
      RepositoryNotFound: noRepository,
    },
  },
  GetRepositoryPolicy: {
    input: app,
    shown: { InvalidParameter: badName, RepositoryNotFound: noRepository, RepositoryPolicyNotFound: noPolicy },
  },
  DeleteRepositoryPolicy: {
    input: app,
    shown: { InvalidParameter: badName, RepositoryNotFound: noRepository, RepositoryPolicyNotFound: noPolicy },
  },
  TagResource: {
    input: { resourceArn: arn("team/app"), tags: [{ Key: "team", Value: "sea" }] },
    shown: {
      InvalidParameter: badArn,
      InvalidTagParameter: refusedWith(reservedTag, { tags: [{ Key: "aws:owner", Value: "me" }] }),
      TooManyTags: tooManyTags,
      RepositoryNotFound: noTaggedRepository,
    },
  },
  UntagResource: {
    input: { resourceArn: arn("team/app"), tagKeys: ["team"] },
    shown: {
      InvalidParameter: badArn,
      InvalidTagParameter: refusedWith(reservedTag, { tagKeys: ["aws:owner"] }),
      RepositoryNotFound: noTaggedRepository,
    },
    untriggered: { TooManyTags: "no-sensible-trigger" },
  },
  ListTagsForResource: {
    input: { resourceArn: arn("team/app") },
    shown: { InvalidParameter: badArn, RepositoryNotFound: noTaggedRepository },
  },
  PutLifecyclePolicy: {
    input: { ...app, lifecyclePolicyText },
    shown: {
      InvalidParameter: invalid("lifecyclePolicyText", "Member must have length greater than or equal to 100", {
        lifecyclePolicyText: "{}",
      }),
      RepositoryNotFound: noRepository,
    },
    untriggered: { Validation: "second-code" },
  },
  GetLifecyclePolicy: {
    input: app,
    shown: { InvalidParameter: badName, RepositoryNotFound: noRepository, LifecyclePolicyNotFound: noLifecyclePolicy },
    untriggered: { Validation: "second-code" },
  },
  DeleteLifecyclePolicy: {
    input: app,
    shown: { InvalidParameter: badName, RepositoryNotFound: noRepository, LifecyclePolicyNotFound: noLifecyclePolicy },
    untriggered: { Validation: "second-code" },
  },
  StartLifecyclePolicyPreview: {
    input: { ...app, lifecyclePolicyText },
    shown: {
      InvalidParameter: refusedWith(
        `Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: object has missing required properties (["rules"])'`,
        { lifecyclePolicyText: `{${" ".repeat(100)}}` },
      ),
      RepositoryNotFound: noRepository,
      LifecyclePolicyNotFound: refusedWith(noLifecyclePolicy.text, { lifecyclePolicyText: undefined }),
      LifecyclePolicyPreviewInProgress: refusedWith(
        /^A lifecycle policy preview is already in progress for the repository with name 'team\/previewed' /,
        async (ground) => {
          await ground.succeed("StartLifecyclePolicyPreview", { repositoryName: "team/previewed", lifecyclePolicyText });
          return { repositoryName: "team/previewed" };
        },
      ),
    },
    untriggered: { Validation: "second-code" },
  },
  GetLifecyclePolicyPreview: {
    input: app,
    shown: {
      InvalidParameter: invalid("maxResults", "Member must be null when imageIds is set", {
        imageIds: [{ imageTag: "v1" }],
        maxResults: 1,
      }),
      RepositoryNotFound: noRepository,
      LifecyclePolicyPreviewNotFound: refusedWith(`Lifecycle policy preview does not exist for ${inApp.within}`, {}),
    },
    untriggered: { Validation: "second-code" },
  },
};
