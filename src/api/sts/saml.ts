import { anonymousPrincipal } from "#access/principal.ts";
import type { Principal } from "#access/principal.ts";
import { assumeRole } from "#identity/role-session.ts";
import { readSamlIdentity } from "#identity/saml-identity.ts";
import type { SamlIdentity } from "#identity/saml-identity.ts";
import { assert } from "#std/assert.ts";
import type { ApiCall } from "../call.ts";
import type { AssumeRoleWithSAMLRequest } from "./model/shapes.ts";
import { inStsWords } from "./refusals.ts";
import { samlFault } from "./saml-refusals.ts";
import { checkRoleArn, credentialsShape, policiesOf, requestTagKeys } from "./shape.ts";
import type { StsRows } from "./table.ts";

const action = "sts:AssumeRoleWithSAML";

/** What the responses said that made these principals. */
const proven = new WeakMap<Principal, SamlIdentity>();

/** Roles for those whom a SAML identity provider vouches for. */
export const samlOperations: StsRows<"AssumeRoleWithSAML"> = {
  AssumeRoleWithSAML: {
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
    conditionKeys(call) {
      const { trustKeys, marks, sessionName } = provenBy(call);
      return {
        ...trustKeys,
        ...requestTagKeys(marks.tags),
        "sts:RoleSessionName": sessionName,
        ...(marks.transitiveKeys.length > 0 && { "sts:TransitiveTagKeys": marks.transitiveKeys }),
        ...(marks.sourceIdentity !== undefined && { "sts:SourceIdentity": marks.sourceIdentity }),
      };
    },
    handle: async (call, input) => {
      const identity = provenBy(call);
      const session = await inStsWords({ call, action }, () =>
        assumeRole(call.context.core, {
          roleArn: input.RoleArn,
          sessionName: identity.sessionName,
          durationSeconds: input.DurationSeconds,
          maxSeconds: identity.maxSeconds,
          policies: policiesOf(input),
          marks: identity.marks,
          chain: undefined,
          context: { ...identity.sessionKeys, "aws:FederatedProvider": identity.providerArn },
        }),
      );
      return {
        Credentials: credentialsShape(session.credentials),
        AssumedRoleUser: { AssumedRoleId: session.assumedRoleId, Arn: session.arn },
        Subject: identity.subject,
        SubjectType: identity.subjectType,
        Issuer: identity.issuer,
        Audience: identity.audience,
        NameQualifier: identity.nameQualifier,
        ...(session.packedPercent !== undefined && { PackedPolicySize: session.packedPercent }),
        ...(session.sourceIdentity !== undefined && { SourceIdentity: session.sourceIdentity }),
      };
    },
  },
};

async function identify(call: ApiCall, input: AssumeRoleWithSAMLRequest): Promise<Principal> {
  const read = await readSamlIdentity(call.context.core, {
    roleArn: input.RoleArn,
    providerArn: input.PrincipalArn,
    response: input.SAMLAssertion,
    publicUrl: call.addressing.publicOrigin,
  });
  if (!read.ok) throw samlFault(read.problem);
  const { providerArn, sessionKeys } = read.value;
  const principal: Principal = {
    ...anonymousPrincipal,
    arn: providerArn,
    caller: { kind: "web-identity", providerArn },
    keys: { ...anonymousPrincipal.keys, ...sessionKeys, "aws:FederatedProvider": providerArn },
  };
  proven.set(principal, read.value);
  return principal;
}

function provenBy({ principal }: ApiCall): SamlIdentity {
  const identity = proven.get(principal);
  assert(identity !== undefined, "the caller was identified by an assertion");
  return identity;
}
