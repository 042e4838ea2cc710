import { unreachable } from "#std/assert.ts";
import type { Principal } from "./principal.ts";

/** Principals are kept by caches, so each is described once. */
const described = new WeakMap<Principal, object>();

/**
 * Who asked, as CloudTrail's `userIdentity` says it (AWS CloudTrail User Guide, "CloudTrail userIdentity element"). The same object for every
 * request of a principal; holds no secret.
 */
export function auditIdentityOf(principal: Principal): object {
  let identity = described.get(principal);
  if (identity === undefined) described.set(principal, (identity = describe(principal)));
  return identity;
}

function describe({ kind, principalId, arn, accountId, accessKeyId, keys, caller, session }: Principal): object {
  const own = { principalId, arn, accountId, accessKeyId };
  switch (kind) {
    case "root":
      return { type: "Root", ...own };
    case "user":
      return { type: "IAMUser", ...own, userName: keys["aws:username"], ...sessionContext(session, undefined) };
    case "role-session": {
      const issuer =
        caller.kind === "role-session"
          ? { type: "Role", principalId: caller.uniqueId, arn: caller.roleArn, accountId, userName: caller.roleArn.split("/").at(-1) }
          : undefined;
      return { type: "AssumedRole", ...own, ...sessionContext(session, issuer) };
    }
    case "federated":
      return { type: "FederatedUser", ...own, ...sessionContext(session, undefined) };
    case "anonymous":
      return caller.kind === "web-identity" ? federatedIdentity(caller.providerArn, keys) : { type: "Unknown" };
    default:
      return unreachable(kind);
  }
}

/** Who comes by an assertion is known by its subject, and the hash that sets it apart from the same subject of others. */
function federatedIdentity(identityProvider: string, keys: Principal["keys"]): object {
  const subject = keys["saml:sub"];
  if (subject === undefined) return { type: "WebIdentityUser", principalId: identityProvider, identityProvider };
  return { type: "SAMLUser", principalId: `${String(keys["saml:namequalifier"])}:${String(subject)}`, userName: subject, identityProvider };
}

function sessionContext(session: Principal["session"], sessionIssuer: object | undefined): object {
  if (session === undefined) return {};
  return {
    sessionContext: {
      ...(sessionIssuer !== undefined && { sessionIssuer }),
      attributes: { creationDate: `${new Date(session.issuedAt).toISOString().slice(0, 19)}Z`, mfaAuthenticated: "false" },
      ...(session.sourceIdentity !== undefined && { sourceIdentity: session.sourceIdentity }),
    },
  };
}
