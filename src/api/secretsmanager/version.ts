import { listSecretVersions, moveStage, readSecretValue, updateSecret } from "#secrets/secret-value.ts";
import type { ReadSecretValue } from "#secrets/secret-value.ts";
import type { Secret } from "#secrets/secret.ts";
import type { Json } from "#std/json.ts";
import { ApiFault } from "../fault.ts";
import { closeSecretsPage, defaultResults, openSecretsPage } from "./page.ts";
import { namesOf } from "./secret.ts";
import { getTarget, onSecret, secretsContext } from "./target.ts";
import type { SecretsRows } from "./table.ts";
import { refuseUnoffered } from "./unoffered.ts";
import { checkValue, valueMember, valueOf } from "./value-member.ts";

/** The key that values are encrypted with, as AWS names its own. */
const keyIds = ["DefaultEncryptionKey"];

const isVersionPosition = (position: Json): position is number => typeof position === "number";

/** Values of secrets. */
export const versionOperations: SecretsRows<"GetSecretValue" | "PutSecretValue" | "UpdateSecretVersionStage" | "ListSecretVersionIds"> = {
  GetSecretValue: {
    action: "secretsmanager:GetSecretValue",
    ...onSecret,
    conditionKeys: async (call, input) => ({
      ...(await onSecret.conditionKeys(call, input)),
      ...(input.VersionId !== undefined && { "secretsmanager:VersionId": input.VersionId }),
      // Without id and label the current version is meant, so a policy may say that only it is to be read.
      ...((input.VersionStage !== undefined || input.VersionId === undefined) && {
        "secretsmanager:VersionStage": input.VersionStage ?? "AWSCURRENT",
      }),
    }),
    handle: async (call, input) => {
      const secret = await getTarget(call, input);
      const wanted = { versionId: input.VersionId, stage: input.VersionStage };
      return valueShape(secret, await readSecretValue(secretsContext(call), secret, wanted));
    },
  },

  PutSecretValue: {
    action: "secretsmanager:PutSecretValue",
    ...onSecret,
    check: (input) => {
      onSecret.check(input);
      refuseUnoffered(input);
      checkValue(input);
      if (valueOf(input) === undefined)
        throw new ApiFault("InvalidRequestException", "You must provide either SecretString or SecretBinary.");
    },
    handle: async (call, input) => {
      const secret = await getTarget(call, input);
      const update = { value: valueOf(input), token: input.ClientRequestToken, stages: input.VersionStages };
      const version = await updateSecret(secretsContext(call), secret, update);
      return { ...namesOf(secret), ...(version !== undefined && { VersionId: version.versionId, VersionStages: version.stages }) };
    },
  },

  UpdateSecretVersionStage: {
    action: "secretsmanager:UpdateSecretVersionStage",
    ...onSecret,
    conditionKeys: async (call, input) => ({
      ...(await onSecret.conditionKeys(call, input)),
      "secretsmanager:VersionStage": input.VersionStage,
    }),
    check: (input) => {
      onSecret.check(input);
      if (input.MoveToVersionId === undefined && input.RemoveFromVersionId === undefined)
        throw new ApiFault("InvalidParameterException", "You must provide either MoveToVersionId or RemoveFromVersionId.");
    },
    handle: async (call, input) => {
      const secret = await getTarget(call, input);
      const move = { stage: input.VersionStage, from: input.RemoveFromVersionId, to: input.MoveToVersionId };
      await moveStage(secretsContext(call), secret, move);
      return namesOf(secret);
    },
  },

  ListSecretVersionIds: {
    action: "secretsmanager:ListSecretVersionIds",
    ...onSecret,
    handle: async (call, input) => {
      const secret = await getTarget(call, input);
      const includeDeprecated = input.IncludeDeprecated ?? false;
      const listing = ["versions", secret.secretId, includeDeprecated];
      const after = openSecretsPage(call, listing, input.NextToken, isVersionPosition);
      const page = { includeDeprecated, after, limit: input.MaxResults ?? defaultResults };
      const { versions, next } = await listSecretVersions(secretsContext(call), secret, page);
      return {
        ...namesOf(secret),
        Versions: versions.map((version) => ({
          VersionId: version.versionId,
          ...(version.stages.length > 0 && { VersionStages: version.stages }),
          ...(version.accessedAt !== undefined && { LastAccessedDate: version.accessedAt }),
          CreatedDate: version.createdAt,
          KmsKeyIds: keyIds,
        })),
        ...closeSecretsPage(call, listing, next),
      };
    },
  },
};

/** A value as GetSecretValue and BatchGetSecretValue show it. */
export function valueShape(secret: Secret, { version, value }: ReadSecretValue) {
  return {
    ...namesOf(secret),
    VersionId: version.versionId,
    ...valueMember(value),
    ...(version.stages.length > 0 && { VersionStages: version.stages }),
    CreatedDate: version.createdAt,
  };
}
