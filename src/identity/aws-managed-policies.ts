/**
 * The policies that AWS manages, as far as they concern registries and who may use them: part of the program, in every account, written by
 * nobody. What is attached to a role on AWS can be attached to it here.
 *
 * Every row was compared with what AWS's own API answers, as public archives of it keep it: names, paths, ids, versions, times and documents
 * with github.com/zoph-io/MAMIP (2026-03-07) and github.com/iann0036/iam-dataset (2026-08-22; of two versions the later one). The
 * descriptions, which the archives do not have, are those of the "AWS Managed Policy Reference Guide".
 */

/** A policy that AWS manages. Its only version is the one that AWS calls the default. */
export interface AwsManagedPolicy {
  readonly arn: string;
  readonly name: string;
  readonly path: string;
  readonly description: string;
  /** Such as `v3`. */
  readonly versionId: string;
  readonly document: string;
  /** `ANPA…` */
  readonly policyId: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** When the default version was made, in milliseconds since the epoch. */
  readonly updatedAt: number;
}

/** What a statement of these policies may hold. */
interface StatementText {
  readonly Sid?: string;
  readonly Effect: "Allow";
  readonly Action?: string | readonly string[];
  readonly NotAction?: readonly string[];
  readonly Resource: string;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

type Row = Pick<AwsManagedPolicy, "name" | "description" | "versionId" | "policyId"> & {
  readonly path?: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly statements: readonly StatementText[];
};

/** Policies below this path belong to service-linked roles, and nobody attaches them to anything else. */
export const servicePolicyPath = "/aws-service-role/";

const pullActions = [
  "ecr:GetAuthorizationToken",
  "ecr:BatchCheckLayerAvailability",
  "ecr:GetDownloadUrlForLayer",
  "ecr:GetRepositoryPolicy",
  "ecr:DescribeRepositories",
  "ecr:ListImages",
  "ecr:DescribeImages",
  "ecr:BatchGetImage",
  "ecr:GetLifecyclePolicy",
  "ecr:GetLifecyclePolicyPreview",
  "ecr:ListTagsForResource",
  "ecr:DescribeImageScanFindings",
] as const;

const inOwnAccount = { StringEquals: { "aws:ResourceAccount": "${aws:PrincipalAccount}" } };

function allow(actions: string | readonly string[]): StatementText {
  return { Effect: "Allow", Action: actions, Resource: "*" };
}

const rows: readonly Row[] = [
  {
    name: "AdministratorAccess",
    policyId: "ANPAIWMBCKSKIEE64ZLYK",
    versionId: "v1",
    createdAt: "2015-02-06T18:39:46Z",
    updatedAt: "2015-02-06T18:39:46Z",
    description: "Provides full access to AWS services and resources.",
    statements: [allow("*")],
  },
  {
    name: "PowerUserAccess",
    policyId: "ANPAJYRXTHIB4FOVS3ZXS",
    versionId: "v12",
    createdAt: "2015-02-06T18:39:47Z",
    updatedAt: "2026-02-12T17:59:14Z",
    description: "Provides full access to AWS services and resources, but does not allow management of Users and groups.",
    statements: [
      { Effect: "Allow", NotAction: ["iam:*", "organizations:*", "account:*"], Resource: "*" },
      allow([
        "account:GetAccountInformation",
        "account:GetGovCloudAccountInformation",
        "account:GetPrimaryEmail",
        "account:ListRegions",
        "iam:CreateServiceLinkedRole",
        "iam:DeleteServiceLinkedRole",
        "iam:ListRoles",
        "organizations:DescribeEffectivePolicy",
        "organizations:DescribeOrganization",
      ]),
    ],
  },
  {
    name: "IAMFullAccess",
    policyId: "ANPAI7XKCFMBPM3QQRRVQ",
    versionId: "v2",
    createdAt: "2015-02-06T18:40:38Z",
    updatedAt: "2019-06-21T19:40:00Z",
    description: "Provides full access to IAM via the AWS Management Console.",
    statements: [
      allow([
        "iam:*",
        "organizations:DescribeAccount",
        "organizations:DescribeOrganization",
        "organizations:DescribeOrganizationalUnit",
        "organizations:DescribePolicy",
        "organizations:ListChildren",
        "organizations:ListParents",
        "organizations:ListPoliciesForTarget",
        "organizations:ListRoots",
        "organizations:ListPolicies",
        "organizations:ListTargetsForPolicy",
      ]),
    ],
  },
  {
    name: "IAMReadOnlyAccess",
    policyId: "ANPAJKSO7NDY4T57MWDSQ",
    versionId: "v4",
    createdAt: "2015-02-06T18:40:39Z",
    updatedAt: "2018-01-25T19:11:27Z",
    description: "Provides read only access to IAM via the AWS Management Console.",
    statements: [
      allow([
        "iam:GenerateCredentialReport",
        "iam:GenerateServiceLastAccessedDetails",
        "iam:Get*",
        "iam:List*",
        "iam:SimulateCustomPolicy",
        "iam:SimulatePrincipalPolicy",
      ]),
    ],
  },
  {
    name: "AWSKeyManagementServicePowerUser",
    policyId: "ANPAJNPP7PPPPMJRV2SA4",
    versionId: "v2",
    createdAt: "2015-02-06T18:40:40Z",
    updatedAt: "2017-03-07T00:55:11Z",
    description: "Provides access to AWS Key Management Service (KMS).",
    statements: [
      allow([
        "kms:CreateAlias",
        "kms:CreateKey",
        "kms:DeleteAlias",
        "kms:Describe*",
        "kms:GenerateRandom",
        "kms:Get*",
        "kms:List*",
        "kms:TagResource",
        "kms:UntagResource",
        "iam:ListGroups",
        "iam:ListRoles",
        "iam:ListUsers",
      ]),
    ],
  },
  {
    name: "AmazonEC2ContainerRegistryReadOnly",
    policyId: "ANPAIFYZPA37OOHVIH7KQ",
    versionId: "v3",
    createdAt: "2015-12-21T17:04:15Z",
    updatedAt: "2019-12-10T20:56:32Z",
    description: "Provides read-only access to Amazon EC2 Container Registry repositories.",
    statements: [allow(pullActions)],
  },
  {
    name: "AmazonEC2ContainerRegistryPowerUser",
    policyId: "ANPAJDNE5PIHROIBGGDDW",
    versionId: "v3",
    createdAt: "2015-12-21T17:05:33Z",
    updatedAt: "2019-12-10T20:48:08Z",
    description:
      "Provides full access to Amazon EC2 Container Registry repositories, but does not allow repository deletion or policy changes.",
    statements: [allow([...pullActions, "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"])],
  },
  {
    name: "AmazonEC2ContainerRegistryFullAccess",
    policyId: "ANPAIESRL7KD7IIVF6V4W",
    versionId: "v3",
    createdAt: "2015-12-21T17:06:48Z",
    updatedAt: "2020-12-05T00:04:19Z",
    description: "Provides administrative access to Amazon ECR resources",
    statements: [
      allow(["ecr:*", "cloudtrail:LookupEvents"]),
      {
        ...allow(["iam:CreateServiceLinkedRole"]),
        Condition: { StringEquals: { "iam:AWSServiceName": ["replication.ecr.amazonaws.com"] } },
      },
    ],
  },
  {
    name: "AmazonEC2ContainerRegistryPullOnly",
    policyId: "ANPAZKAPJZG4ACPA6HO4Q",
    versionId: "v1",
    createdAt: "2024-10-04T16:58:49Z",
    updatedAt: "2024-10-04T16:58:49Z",
    description: "Provides access to pull images from Amazon EC2 Container Registry repositories.",
    statements: [allow(["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchImportUpstreamImage"])],
  },
  {
    name: "ECRReplicationServiceRolePolicy",
    path: servicePolicyPath,
    policyId: "ANPAZKAPJZG4NS3XDKIDR",
    versionId: "v1",
    createdAt: "2020-12-04T22:11:28Z",
    updatedAt: "2020-12-04T22:11:28Z",
    description: "Enables access to AWS services and Resources used or managed by ECR Replication",
    statements: [allow(["ecr:CreateRepository", "ecr:ReplicateImage"])],
  },
  {
    name: "AWSECRPullThroughCache_ServiceRolePolicy",
    path: servicePolicyPath,
    policyId: "ANPAZKAPJZG4G6RNU4BVN",
    versionId: "v4",
    createdAt: "2021-11-26T21:51:09Z",
    updatedAt: "2026-05-12T18:12:08Z",
    description: "Enables access to AWS services and resources used or managed by AWS ECR pull through cache",
    statements: [
      {
        Sid: "ECR",
        ...allow([
          "ecr:GetAuthorizationToken",
          "ecr:BatchCheckLayerAvailability",
          "ecr:InitiateLayerUpload",
          "ecr:UploadLayerPart",
          "ecr:CompleteLayerUpload",
          "ecr:PutImage",
          "ecr:BatchGetImage",
          "ecr:BatchImportUpstreamImage",
          "ecr:GetDownloadUrlForLayer",
          "ecr:GetImageCopyStatus",
        ]),
        Condition: inOwnAccount,
      },
      {
        Sid: "SecretsManager",
        Effect: "Allow",
        Action: ["secretsmanager:GetSecretValue"],
        Resource: "arn:aws:secretsmanager:*:*:secret:ecr-pullthroughcache/*",
        Condition: inOwnAccount,
      },
    ],
  },
  {
    name: "ECRTemplateServiceRolePolicy",
    path: servicePolicyPath,
    policyId: "ANPAZKAPJZG4LF7MSVTZ7",
    versionId: "v1",
    createdAt: "2024-06-19T23:11:37Z",
    updatedAt: "2024-06-19T23:11:37Z",
    description: "Allows actions to be performed when using AWS ECR repository creation templates",
    statements: [{ Sid: "CreateRepositoryWithTemplate", ...allow(["ecr:CreateRepository"]) }],
  },
];

/** All of them, by ARN. */
export const awsManagedPolicies: readonly AwsManagedPolicy[] = rows
  .map(({ name, path = "/", description, versionId, policyId, createdAt, updatedAt, statements }) => ({
    arn: `arn:aws:iam::aws:policy${path}${name}`,
    name,
    path,
    description,
    versionId,
    document: JSON.stringify({ Version: "2012-10-17", Statement: statements }, undefined, 2),
    policyId,
    createdAt: Date.parse(createdAt),
    updatedAt: Date.parse(updatedAt),
  }))
  .sort((a, b) => (a.arn < b.arn ? -1 : 1));

const byArn: ReadonlyMap<string, AwsManagedPolicy> = new Map(awsManagedPolicies.map((policy) => [policy.arn, policy]));

/** The policy of that ARN, or undefined. */
export function awsManagedPolicy(arn: string): AwsManagedPolicy | undefined {
  return byArn.get(arn);
}
