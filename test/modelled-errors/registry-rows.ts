/** The registry as a whole, pull-through cache rules, creation templates: what each operation is refused with. */
import type { ErrorRow } from "./row.ts";
import { accountId, app, badName, invalid, noRepository, refusedWith } from "./row.ts";

const inRegistry = `in the registry with id '${accountId}'`;
const noRule = refusedWith(`The pull through cache rule with Amazon ECR repository prefix 'none' does not exist ${inRegistry}`, {
  ecrRepositoryPrefix: "none",
});
const noTemplate = refusedWith(`The repository creation template with prefix 'none' does not exist ${inRegistry}`, { prefix: "none" });
const badPrefix = refusedWith(
  /^Invalid parameter at 'ecrRepositoryPrefix' failed to satisfy constraint: 'Member must satisfy regular expression pattern: /,
  {
    ecrRepositoryPrefix: "Not/A/Prefix",
  },
);
const badTemplatePrefix = refusedWith(
  /^Invalid parameter at 'prefix' failed to satisfy constraint: 'Member must satisfy regular expression pattern: /,
  {
    prefix: "Not/A/Prefix",
  },
);
const badPrincipal = refusedWith(
  /^Invalid parameter at 'principalArn' failed to satisfy constraint: 'Member must satisfy regular expression pattern: /,
  {
    principalArn: "nobody",
  },
);
const principalArn = `arn:aws:iam::${accountId}:role/puller`;
const profileArn = (region: string): string => `arn:aws:signer:${region}:${accountId}:/signing-profiles/release`;
const secretArn = `arn:aws:secretsmanager:eu-central-1:${accountId}:secret:ecr-pullthroughcache/none-AbCdEf`;
const noSecret = refusedWith(
  "The ARN of the secret specified in the pull through cache rule was not found. Update the pull through cache rule with a valid secret ARN and try again.",
  { credentialArn: secretArn },
);
const closedSecret = refusedWith(/^The secret specified in the pull through cache rule cannot be accessed\./, (ground) => ({
  credentialArn: ground.closedSecretArn,
}));
const damagedSecret = refusedWith(/^The value of the secret specified in the pull through cache rule cannot be decrypted\./, (ground) => ({
  credentialArn: ground.damagedSecretArn,
}));
const noRegistryPolicy = refusedWith(`Registry policy does not exist ${inRegistry}`, {});
const noSigning = refusedWith(`Signing configuration does not exist ${inRegistry}`, {});

/** Rows by operation. */
export const registryRows: Readonly<Record<string, ErrorRow>> = {
  GetAuthorizationToken: {
    input: {},
    shown: {
      InvalidParameter: invalid(
        "registryIds",
        "Member must satisfy constraint: [Member must satisfy regular expression pattern: [0-9]{12}]",
        {
          registryIds: ["mine"],
        },
      ),
    },
  },
  DescribeRegistry: { input: {}, shown: {}, untriggered: { InvalidParameter: "no-input", Validation: "no-input" } },
  GetAccountSetting: {
    input: { name: "BLOB_MOUNTING" },
    shown: {
      InvalidParameter: invalid(
        "name",
        "Member must satisfy enum value set: [BASIC_SCAN_TYPE_VERSION, REGISTRY_POLICY_SCOPE, BLOB_MOUNTING]",
        {
          name: "NONE",
        },
      ),
    },
    untriggered: { Validation: "second-code" },
  },
  PutAccountSetting: {
    input: { name: "BLOB_MOUNTING", value: "ENABLED" },
    shown: { InvalidParameter: invalid("value", "Member must satisfy enum value set: [ENABLED, DISABLED]", { value: "SOMETIMES" }) },
    untriggered: { Validation: "second-code", LimitExceeded: "no-sensible-trigger" },
  },
  GetRegistryPolicy: {
    input: {},
    shown: { RegistryPolicyNotFound: noRegistryPolicy },
    untriggered: { InvalidParameter: "no-input", Validation: "no-input" },
  },
  PutRegistryPolicy: {
    input: {
      policyText: JSON.stringify({
        Version: "2012-10-17",
        Statement: [{ Effect: "Allow", Principal: { AWS: accountId }, Action: "ecr:ReplicateImage", Resource: "*" }],
      }),
    },
    shown: { InvalidParameter: invalid("PolicyText", "Invalid registry policy provided", { policyText: "{}" }) },
    untriggered: { Validation: "second-code" },
  },
  DeleteRegistryPolicy: {
    input: {},
    shown: { RegistryPolicyNotFound: noRegistryPolicy },
    untriggered: { InvalidParameter: "no-input", Validation: "no-input" },
  },
  PutImageScanningConfiguration: {
    input: { ...app, imageScanningConfiguration: { scanOnPush: false } },
    shown: { InvalidParameter: badName, RepositoryNotFound: noRepository },
    untriggered: { Validation: "second-code" },
  },
  PutRegistryScanningConfiguration: {
    input: { scanType: "BASIC", rules: [] },
    shown: {
      InvalidParameter: invalid("rules", "The scan frequency CONTINUOUS_SCAN is not supported for the scan type BASIC", {
        rules: [{ scanFrequency: "CONTINUOUS_SCAN", repositoryFilters: [{ filter: "*", filterType: "WILDCARD" }] }],
      }),
    },
    untriggered: { Validation: "second-code", BlockedByOrganizationPolicy: "no-organization" },
  },
  GetRegistryScanningConfiguration: { input: {}, shown: {}, untriggered: { InvalidParameter: "no-input", Validation: "no-input" } },
  BatchGetRepositoryScanningConfiguration: {
    input: { repositoryNames: ["team/app"] },
    shown: {
      InvalidParameter: invalid("repositoryNames", "Member must have length less than or equal to 25", {
        repositoryNames: Array.from({ length: 26 }, (_, index) => `team/${index}`),
      }),
    },
    untriggered: { RepositoryNotFound: "item-failure", Validation: "second-code" },
  },
  PutReplicationConfiguration: {
    input: { replicationConfiguration: { rules: [] } },
    shown: {
      InvalidParameter: invalid("replicationConfiguration", "Replication destination cannot be the same as the source registry", {
        replicationConfiguration: { rules: [{ destinations: [{ region: "eu-central-1", registryId: accountId }] }] },
      }),
    },
    untriggered: { Validation: "second-code" },
  },
  PutSigningConfiguration: {
    input: { signingConfiguration: { rules: [{ signingProfileArn: profileArn("eu-central-1") }] } },
    shown: {
      InvalidParameter: invalid("signingConfiguration", "Member must not be null", { signingConfiguration: undefined }),
      Validation: refusedWith(`The signing profile '${profileArn("us-east-1")}' is not in the region of the registry, eu-central-1`, {
        signingConfiguration: { rules: [{ signingProfileArn: profileArn("us-east-1") }] },
      }),
    },
  },
  GetSigningConfiguration: {
    input: {},
    shown: { SigningConfigurationNotFound: noSigning },
    untriggered: { InvalidParameter: "no-input", Validation: "no-input" },
  },
  DeleteSigningConfiguration: {
    input: {},
    shown: { SigningConfigurationNotFound: noSigning },
    untriggered: { Validation: "no-input" },
  },
  RegisterPullTimeUpdateExclusion: {
    input: { principalArn },
    shown: {
      InvalidParameter: badPrincipal,
      ExclusionAlreadyExists: refusedWith(
        `The pull time update exclusion for principal '${principalArn}' already exists ${inRegistry}`,
        {},
        { place: "full" },
      ),
      LimitExceeded: refusedWith(
        `The registry with id '${accountId}' already has the maximum allowed number of pull time update exclusions which is '1'`,
        { principalArn: `${principalArn}-2` },
        { place: "full" },
      ),
    },
    untriggered: { Validation: "second-code" },
  },
  DeregisterPullTimeUpdateExclusion: {
    input: { principalArn },
    shown: {
      InvalidParameter: badPrincipal,
      ExclusionNotFound: refusedWith(`The pull time update exclusion for principal '${principalArn}' does not exist ${inRegistry}`, {}),
    },
    untriggered: { Validation: "second-code", LimitExceeded: "no-sensible-trigger" },
  },
  ListPullTimeUpdateExclusions: {
    input: {},
    shown: { InvalidParameter: invalid("maxResults", "Member must have value greater than or equal to 1", { maxResults: 0 }) },
    untriggered: { Validation: "second-code", LimitExceeded: "no-sensible-trigger" },
  },
  CreatePullThroughCacheRule: {
    input: { ecrRepositoryPrefix: "quay", upstreamRegistryUrl: "quay.io" },
    shown: {
      InvalidParameter: badPrefix,
      PullThroughCacheRuleAlreadyExists: refusedWith(
        `The pull through cache rule with Amazon ECR repository prefix 'hub' already exists ${inRegistry}`,
        { ecrRepositoryPrefix: "hub" },
      ),
      UnsupportedUpstreamRegistry: refusedWith(
        "The upstream registry URL https://quay.io is invalid. Specify a valid upstream registry URL and try again",
        { upstreamRegistryUrl: "https://quay.io" },
      ),
      LimitExceeded: refusedWith(
        `The registry with id '${accountId}' already has the maximum allowed number of pull through cache rules which is '50'`,
        async (ground) => {
          await ground.fillRules();
          return {};
        },
        { place: "full" },
      ),
      UnableToAccessSecret: closedSecret,
      SecretNotFound: noSecret,
      UnableToDecryptSecretValue: damagedSecret,
    },
    untriggered: { Validation: "second-code" },
  },
  DescribePullThroughCacheRules: {
    input: {},
    shown: {
      InvalidParameter: invalid("maxResults", "Member must have value less than or equal to 1000", { maxResults: 1_001 }),
      PullThroughCacheRuleNotFound: refusedWith(noRule.text, { ecrRepositoryPrefixes: ["hub", "none"] }),
    },
    untriggered: { Validation: "second-code" },
  },
  UpdatePullThroughCacheRule: {
    input: (ground) => ({ ecrRepositoryPrefix: "hub", credentialArn: ground.closedSecretArn }),
    shown: {
      InvalidParameter: refusedWith("Invalid input: Please set either credential arn or role arn to update the credential", {
        credentialArn: undefined,
      }),
      UnableToAccessSecret: closedSecret,
      PullThroughCacheRuleNotFound: noRule,
      SecretNotFound: noSecret,
      UnableToDecryptSecretValue: damagedSecret,
    },
    untriggered: { Validation: "second-code" },
  },
  DeletePullThroughCacheRule: {
    input: { ecrRepositoryPrefix: "none" },
    shown: { InvalidParameter: badPrefix, PullThroughCacheRuleNotFound: noRule },
    untriggered: { Validation: "second-code" },
  },
  ValidatePullThroughCacheRule: {
    input: { ecrRepositoryPrefix: "hub" },
    shown: { InvalidParameter: badPrefix, PullThroughCacheRuleNotFound: noRule },
    untriggered: { Validation: "second-code" },
  },
  CreateRepositoryCreationTemplate: {
    input: { prefix: "made", appliedFor: ["CREATE_ON_PUSH"] },
    shown: {
      InvalidParameter: badTemplatePrefix,
      LimitExceeded: refusedWith(
        `The registry with id '${accountId}' already has the maximum allowed number of repository creation templates which is '1'`,
        {},
        { place: "full" },
      ),
      TemplateAlreadyExists: refusedWith(
        `The repository creation template with prefix 'first' already exists ${inRegistry}`,
        { prefix: "first" },
        { place: "full" },
      ),
    },
    untriggered: { Validation: "second-code" },
  },
  DescribeRepositoryCreationTemplates: {
    input: {},
    shown: { InvalidParameter: invalid("nextToken", "Invalid token", { nextToken: "none" }) },
    untriggered: { Validation: "second-code" },
  },
  UpdateRepositoryCreationTemplate: {
    input: { prefix: "none" },
    shown: { InvalidParameter: badTemplatePrefix, TemplateNotFound: noTemplate },
    untriggered: { Validation: "second-code" },
  },
  DeleteRepositoryCreationTemplate: {
    input: { prefix: "none" },
    shown: { InvalidParameter: badTemplatePrefix, TemplateNotFound: noTemplate },
    untriggered: { Validation: "second-code" },
  },
};
