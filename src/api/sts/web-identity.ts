import { anonymousPrincipal } from "#access/principal.ts";
import type { Principal } from "#access/principal.ts";
import { parseIdentityArn } from "#identity/arn.ts";
import { assumeRole } from "#identity/role-session.ts";
import { readWebIdentity } from "#identity/web-identity.ts";
import type { WebIdentity } from "#identity/web-identity.ts";
import { assert } from "#std/assert.ts";
import type { ApiCall } from "../call.ts";
import type { AssumeRoleWithWebIdentityRequest } from "./model/shapes.ts";
import { inStsWords, webIdentityFault } from "./refusals.ts";
import { checkRoleArn, credentialsShape, policiesOf, requestTagKeys } from "./shape.ts";
import type { StsRows } from "./table.ts";

const action = "sts:AssumeRoleWithWebIdentity";

/** What the tokens said that made these principals. */
const proven = new WeakMap<Principal, WebIdentity>();

/** Roles for those whom an identity provider vouches for. */
export const webIdentityOperations: StsRows<"AssumeRoleWithWebIdentity"> = {
  AssumeRoleWithWebIdentity: {
    action,
    credentials: "none",
    check: (input) => checkRoleArn(input.RoleArn),
    identify,
    resource: (_call, input) => input.RoleArn,
    alsoAsks(call, input) {
      const { marks } = provenBy(call);
      return [
        ...(marks.tags.length > 0 ? [{ action: "sts:TagSession", resource: input.RoleArn }] : []),
        ...(marks.sourceIdentity !== undefined ? [{ action: "sts:SetSourceIdentity", resource: input.RoleArn }] : []),
      ];
    },
    conditionKeys(call, input) {
      const { keys, marks } = provenBy(call);
      return {
        ...keys,
        ...requestTagKeys(marks.tags),
        "sts:RoleSessionName": input.RoleSessionName,
        ...(marks.transitiveKeys.length > 0 && { "sts:TransitiveTagKeys": marks.transitiveKeys }),
        ...(marks.sourceIdentity !== undefined && { "sts:SourceIdentity": marks.sourceIdentity }),
      };
    },
    handle: async (call, input) => {
      const { providerArn, subject, audience, marks } = provenBy(call);
      const session = await inStsWords({ call, action }, () =>
        assumeRole(call.context.core, {
          roleArn: input.RoleArn,
          sessionName: input.RoleSessionName,
          durationSeconds: input.DurationSeconds,
          policies: policiesOf(input),
          marks,
          chain: undefined,
          context: { "aws:FederatedProvider": providerArn },
        }),
      );
      return {
        Credentials: credentialsShape(session.credentials),
        SubjectFromWebIdentityToken: subject,
        AssumedRoleUser: { AssumedRoleId: session.assumedRoleId, Arn: session.arn },
        Provider: providerArn,
        Audience: audience,
        ...(session.packedPercent !== undefined && { PackedPolicySize: session.packedPercent }),
        ...(session.sourceIdentity !== undefined && { SourceIdentity: session.sourceIdentity }),
      };
    },
  },
};

/** The providers that count are those of the role's account. */
async function identify(call: ApiCall, input: AssumeRoleWithWebIdentityRequest): Promise<Principal> {
  const accountId = parseIdentityArn(input.RoleArn)?.accountId ?? "";
  const read = await readWebIdentity({ core: call.context.core, accountId }, call.openIdKeys, input.WebIdentityToken);
  if (!read.ok) throw webIdentityFault(read.problem);
  const { providerArn } = read.value;
  const principal: Principal = {
    ...anonymousPrincipal,
    arn: providerArn,
    caller: { kind: "web-identity", providerArn },
    keys: { ...anonymousPrincipal.keys, "aws:FederatedProvider": providerArn },
  };
  proven.set(principal, read.value);
  return principal;
}

function provenBy({ principal }: ApiCall): WebIdentity {
  const identity = proven.get(principal);
  assert(identity !== undefined, "the caller was identified by a token");
  return identity;
}
