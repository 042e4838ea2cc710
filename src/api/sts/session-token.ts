import type { IdentityContext } from "#identity/context.ts";
import { federatedUserArn } from "#identity/arn.ts";
import { federateUser, makeUserSession } from "#identity/user-session.ts";
import type { SessionAsker } from "#identity/user-session.ts";
import type { ApiCall } from "../call.ts";
import { inStsWords } from "./refusals.ts";
import { checkMultiFactor, credentialsShape, policiesOf, requestTagKeys, tagsOf } from "./shape.ts";
import type { StsRows } from "./table.ts";

/** Temporary credentials for users and root, and for those whom they vouch for. Only a long-term key gets them: that is decided with the permissions. */
export const sessionTokenOperations: StsRows<"GetSessionToken" | "GetFederationToken"> = {
  GetSessionToken: {
    action: "sts:GetSessionToken",
    check: checkMultiFactor,
    resource: () => "*",
    handle: async (call, input) => ({
      Credentials: credentialsShape(await makeUserSession(contextOf(call), askerOf(call), input.DurationSeconds)),
    }),
  },
  GetFederationToken: {
    action: "sts:GetFederationToken",
    resource: (call, input) => federatedUserArn(call.principal.accountId, input.Name),
    alsoNeeds: (input) => ((input.Tags ?? []).length > 0 ? ["sts:TagSession"] : []),
    conditionKeys: (_call, input) => requestTagKeys(tagsOf(input.Tags)),
    handle: async (call, input) => {
      const session = await inStsWords({ call, action: "sts:GetFederationToken" }, () =>
        federateUser(contextOf(call), askerOf(call), {
          name: input.Name,
          durationSeconds: input.DurationSeconds,
          policies: policiesOf(input),
          tags: tagsOf(input.Tags),
        }),
      );
      return {
        Credentials: credentialsShape(session.credentials),
        FederatedUser: { FederatedUserId: session.federatedUserId, Arn: session.arn },
        ...(session.packedPercent !== undefined && { PackedPolicySize: session.packedPercent }),
      };
    },
  },
};

function contextOf({ context, principal }: ApiCall): IdentityContext {
  return { core: context.core, accountId: principal.accountId };
}

/** With `--dev` a key need not exist, so none has to be there. */
function askerOf({ principal, access }: ApiCall): SessionAsker {
  const { identityId, arn, accessKeyId } = principal;
  if (identityId === undefined) return { rootKeyId: access.dev ? undefined : accessKeyId };
  return { identityId, name: arn.slice(arn.lastIndexOf("/") + 1) };
}
