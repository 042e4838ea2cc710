import { assumeRole } from "#identity/role-session.ts";
import { inheritedTags } from "#identity/session-tags.ts";
import type { ApiCall, AskedPermission } from "../call.ts";
import { ApiFault } from "../fault.ts";
import type { AssumeRoleRequest } from "./model/shapes.ts";
import { inStsWords } from "./refusals.ts";
import { checkMultiFactor, checkRoleArn, credentialsShape, policiesOf, requestTagKeys, tagsOf } from "./shape.ts";
import type { StsRows } from "./table.ts";

/** Roles for those who have credentials. */
export const assumeRoleOperations: StsRows<"AssumeRole"> = {
  AssumeRole: {
    action: "sts:AssumeRole",
    check(input) {
      checkRoleArn(input.RoleArn);
      checkMultiFactor(input);
      if (input.ProvidedContexts !== undefined)
        throw new ApiFault("ValidationError", "ProvidedContexts are not supported by this registry");
    },
    resource(call, input) {
      // Root needs no role, and AWS gives it none: what root does should be seen to be root's doing.
      if (call.principal.kind === "root") throw new ApiFault("AccessDenied", "Roles may not be assumed by root accounts.", 403);
      return input.RoleArn;
    },
    alsoAsks: markPermissions,
    conditionKeys: (call, input) => ({
      ...requestTagKeys(tagsOf(input.Tags)),
      "sts:RoleSessionName": input.RoleSessionName,
      ...(input.ExternalId !== undefined && { "sts:ExternalId": input.ExternalId }),
      ...(input.TransitiveTagKeys !== undefined && { "sts:TransitiveTagKeys": input.TransitiveTagKeys }),
      ...sourceIdentityKey(input.SourceIdentity ?? call.principal.session?.sourceIdentity),
    }),
    handle: async (call, input) => {
      const session = await inStsWords({ call, action: "sts:AssumeRole" }, () =>
        assumeRole(call.context.core, {
          roleArn: input.RoleArn,
          sessionName: input.RoleSessionName,
          durationSeconds: input.DurationSeconds,
          policies: policiesOf(input),
          marks: {
            tags: tagsOf(input.Tags),
            transitiveKeys: input.TransitiveTagKeys ?? [],
            sourceIdentity: input.SourceIdentity,
          },
          chain: call.principal.session,
        }),
      );
      return {
        Credentials: credentialsShape(session.credentials),
        AssumedRoleUser: { AssumedRoleId: session.assumedRoleId, Arn: session.arn },
        ...(session.packedPercent !== undefined && { PackedPolicySize: session.packedPercent }),
        ...(session.sourceIdentity !== undefined && { SourceIdentity: session.sourceIdentity }),
      };
    },
  },
};

/** To tag a session and to name its source each need a permission of their own, and so does handing on what the chain brings along. */
function markPermissions({ principal }: ApiCall, input: AssumeRoleRequest): readonly AskedPermission[] {
  const isTagged = (input.Tags ?? []).length > 0 || inheritedTags(principal.session).length > 0;
  const isNamed = (input.SourceIdentity ?? principal.session?.sourceIdentity) !== undefined;
  return [
    ...(isTagged ? [{ action: "sts:TagSession", resource: input.RoleArn }] : []),
    ...(isNamed ? [{ action: "sts:SetSourceIdentity", resource: input.RoleArn }] : []),
  ];
}

function sourceIdentityKey(sourceIdentity: string | undefined): Readonly<Record<string, string>> {
  return sourceIdentity === undefined ? {} : { "sts:SourceIdentity": sourceIdentity };
}
