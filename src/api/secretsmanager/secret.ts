import { refuse } from "#secrets/errors.ts";
import { makeSuffix, readSecretId, secretArn } from "#secrets/secret-id.ts";
import { listSecretTags } from "#secrets/secret-tag.ts";
import { readSecretStages, updateSecret } from "#secrets/secret-value.ts";
import { createSecret, deleteSecret, removeSecret, restoreSecret } from "#secrets/secret.ts";
import type { Secret } from "#secrets/secret.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault } from "../fault.ts";
import type { DeleteSecretRequest } from "./model/shapes.ts";
import { findTarget, futureArn, getTarget, onSecret, readTagList, secretsContext, tagKeys } from "./target.ts";
import type { SecretsRows } from "./table.ts";
import { refuseUnoffered } from "./unoffered.ts";
import { checkValue, valueOf } from "./value-member.ts";

/** Secrets as a whole. */
export const secretOperations: SecretsRows<"CreateSecret" | "DescribeSecret" | "UpdateSecret" | "DeleteSecret" | "RestoreSecret"> = {
  CreateSecret: {
    action: "secretsmanager:CreateSecret",
    resource: (call, input) => futureArn(call, input.Name),
    alsoNeeds: (input) => (input.Tags === undefined || input.Tags.length === 0 ? [] : ["secretsmanager:TagResource"]),
    conditionKeys: (_call, input) => ({
      "secretsmanager:Name": input.Name,
      ...(input.Description !== undefined && { "secretsmanager:Description": input.Description }),
      ...(input.KmsKeyId !== undefined && { "secretsmanager:KmsKeyId": input.KmsKeyId }),
      ...(input.Tags !== undefined && tagKeys(input.Tags)),
    }),
    check: (input) => {
      refuseUnoffered(input);
      checkValue(input);
      readTagList(input.Tags ?? []);
    },
    handle: async (call, input) => {
      const { secret, versionId } = await createSecret(secretsContext(call), {
        name: input.Name,
        description: input.Description,
        tags: readTagList(input.Tags ?? []),
        value: valueOf(input),
        token: input.ClientRequestToken,
      });
      return { ...namesOf(secret), ...(versionId !== undefined && { VersionId: versionId }) };
    },
  },

  DescribeSecret: {
    action: "secretsmanager:DescribeSecret",
    ...onSecret,
    handle: async (call, input) => {
      const ctx = secretsContext(call);
      const secret = await getTarget(call, input);
      const [tags, stages] = [await listSecretTags(ctx, secret), await readSecretStages(ctx, secret)];
      return { ...secretShape(secret, tags), ...(Object.keys(stages).length > 0 && { VersionIdsToStages: stages }) };
    },
  },

  UpdateSecret: {
    action: "secretsmanager:UpdateSecret",
    ...onSecret,
    conditionKeys: async (call, input) => ({
      ...(await onSecret.conditionKeys(call, input)),
      ...(input.Description !== undefined && { "secretsmanager:Description": input.Description }),
      ...(input.KmsKeyId !== undefined && { "secretsmanager:KmsKeyId": input.KmsKeyId }),
    }),
    check: (input) => {
      onSecret.check(input);
      refuseUnoffered(input);
      checkValue(input);
    },
    handle: async (call, input) => {
      const secret = await getTarget(call, input);
      const update = { description: input.Description, value: valueOf(input), token: input.ClientRequestToken };
      const version = await updateSecret(secretsContext(call), secret, update);
      return { ...namesOf(secret), ...(version !== undefined && { VersionId: version.versionId }) };
    },
  },

  DeleteSecret: {
    action: "secretsmanager:DeleteSecret",
    ...onSecret,
    conditionKeys: async (call, input) => ({
      ...(await onSecret.conditionKeys(call, input)),
      ...(input.RecoveryWindowInDays !== undefined && { "secretsmanager:RecoveryWindowInDays": String(input.RecoveryWindowInDays) }),
      "secretsmanager:ForceDeleteWithoutRecovery": String(input.ForceDeleteWithoutRecovery ?? false),
    }),
    check: (input) => {
      onSecret.check(input);
      if (input.ForceDeleteWithoutRecovery === true && input.RecoveryWindowInDays !== undefined)
        throw new ApiFault(
          "InvalidParameterException",
          "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        );
    },
    handle: async (call, input) => {
      if (input.ForceDeleteWithoutRecovery === true) return removeNow(call, input);
      const secret = await getTarget(call, input);
      return { ...namesOf(secret), DeletionDate: await deleteSecret(secretsContext(call), secret, input.RecoveryWindowInDays) };
    },
  },

  RestoreSecret: {
    action: "secretsmanager:RestoreSecret",
    ...onSecret,
    handle: async (call, input) => {
      const secret = await getTarget(call, input);
      await restoreSecret(secretsContext(call), secret);
      return namesOf(secret);
    },
  },
};

/** The members that nearly every answer begins with. */
export function namesOf(secret: Secret): { readonly ARN: string; readonly Name: string } {
  return { ARN: secretArn(secret), Name: secret.name };
}

/** What DescribeSecret and ListSecrets have in common. A secret under the registry's own key shows no key, as with AWS's own. */
export function secretShape(secret: Secret, tags: Readonly<Record<string, string>>) {
  return {
    ...namesOf(secret),
    ...(secret.description !== undefined && { Description: secret.description }),
    CreatedDate: secret.createdAt,
    LastChangedDate: secret.changedAt,
    ...(secret.accessedAt !== undefined && { LastAccessedDate: secret.accessedAt }),
    ...(secret.removeAt !== undefined && { DeletedDate: secret.removeAt }),
    Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
  };
}

/** Deletes at once. A secret that is not there is as good as deleted (DeleteSecret, ForceDeleteWithoutRecovery). */
async function removeNow(call: ApiCall, input: DeleteSecretRequest) {
  const { core } = call.context;
  const DeletionDate = core.clock.now();
  const secret = await findTarget(call, input);
  if (secret !== undefined) {
    await removeSecret(secretsContext(call), secret);
    return { ...namesOf(secret), DeletionDate };
  }
  const [named] = readSecretId(secretsContext(call), input.SecretId);
  if (named === undefined) throw refuse("not-found", {});
  return { ARN: secretArn({ ...named, suffix: named.suffix ?? makeSuffix(core.random) }), Name: named.name, DeletionDate };
}
