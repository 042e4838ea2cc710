/** Keys that the service makes by itself when they are first named, one for each kind of use in an account and region. */
import { createKmsKey } from "#metadata/kms-keys.ts";
import type { KmsKey, KmsScope } from "#metadata/kms-keys.ts";
import { findKmsKeyByAlias } from "#metadata/kms-aliases.ts";
import type { StoredPolicy } from "#metadata/resource-policies.ts";
import { assert } from "#std/assert.ts";
import type { KmsCore } from "./context.ts";
import { dayMs, defaultRotationDays, maxKeys } from "./limits.ts";
import { makeMaterial } from "./material.ts";

/** The alias of the key that repositories use when they name none. */
const ecrAlias = "alias/aws/ecr";

interface ManagedKey {
  /** As it stands in `kms:ViaService`. */
  readonly service: string;
  readonly title: string;
}

const managedKeys: Readonly<Record<string, ManagedKey>> = { [ecrAlias]: { service: "ecr", title: "ECR" } };

/** Is it the alias of such a key? */
export function isManagedAlias(name: string): boolean {
  return Object.hasOwn(managedKeys, name);
}

/** The managed key of that alias, made now unless it is there: of several who name it first, all get the same one. */
export async function ensureManagedKey(core: KmsCore, scope: KmsScope, alias: string): Promise<KmsKey> {
  const known = await findKmsKeyByAlias(core.metadata, { accountId: scope.accountId, region: scope.region, name: alias });
  if (known !== undefined) return known;
  const kind = managedKeys[alias];
  assert(kind !== undefined, "an alias of a managed key");
  const keyId = core.random.uuid();
  const now = core.clock.now();
  const made = await createKmsKey(core.metadata, {
    accountId: scope.accountId,
    region: scope.region,
    keyId,
    description: `Default key that protects my ${kind.title} data when no other key is defined`,
    manager: "AWS",
    policy: managedPolicy(scope, kind),
    tags: {},
    rotation: { periodDays: defaultRotationDays, nextAt: now + defaultRotationDays * dayMs },
    ...makeMaterial(core, keyId, 1),
    alias,
    now,
    limit: maxKeys,
  });
  assert(made.outcome !== "limit", "managed keys have no limit");
  return made.key;
}

/** The account may look at the key; only the service uses it, for whoever may use the service. */
function managedPolicy({ accountId, region }: KmsScope, { service, title }: ManagedKey): StoredPolicy {
  const document = {
    Version: "2012-10-17",
    Id: `auto-${service}-1`,
    Statement: [
      {
        Sid: `Allow access through ${title} for all principals in the account that are authorized to use ${title}`,
        Effect: "Allow",
        Principal: { AWS: "*" },
        Action: [
          "kms:Encrypt",
          "kms:Decrypt",
          "kms:ReEncrypt*",
          "kms:GenerateDataKey*",
          "kms:CreateGrant",
          "kms:DescribeKey",
          "kms:RetireGrant",
        ],
        Resource: "*",
        Condition: { StringEquals: { "kms:CallerAccount": accountId, "kms:ViaService": `${service}.${region}.amazonaws.com` } },
      },
      {
        Sid: "Allow direct access to key metadata to the account",
        Effect: "Allow",
        Principal: { AWS: `arn:aws:iam::${accountId}:root` },
        Action: ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"],
        Resource: "*",
      },
    ],
  };
  return { document: JSON.stringify(document, undefined, 2), principals: {} };
}
