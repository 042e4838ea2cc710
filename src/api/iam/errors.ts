/** What IAM says about each refusal of `identity/`: code, status and AWS's sentence (IAM API Reference, and what its clients have been seen to print). */
import type { DeleteConflict, IdentityErrorDetails, IdentityErrorKind, IdentityNoun, IdentityRefusal } from "#identity/errors.ts";
import { ApiFault } from "../fault.ts";

/** How one kind of refusal is shown. */
interface IdentityFaultRow<Kind extends IdentityErrorKind> {
  readonly code: string;
  readonly status: number;
  readonly message: (detail: IdentityErrorDetails[Kind]) => string;
}

const conflicts: Readonly<Record<DeleteConflict, string>> = {
  "access-keys": "Cannot delete entity, must delete access keys first.",
  "login-profile": "Cannot delete entity, must delete login profile first.",
  policies: "Cannot delete entity, must delete policies first.",
  "attached-policies": "Cannot delete entity, must detach all policies first.",
  "group-members": "Cannot delete entity, must remove users from group first.",
  "group-memberships": "Cannot delete entity, must remove users from group first.",
  "instance-profile-roles": "Cannot delete entity, must remove roles from instance profile first.",
  "role-in-instance-profiles": "Cannot delete entity, must remove roles from instance profile first.",
  "policy-attached": "Cannot delete a policy attached to entities.",
  "policy-versions":
    "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
  "default-version": "Cannot delete the default version of a policy.",
};

/** Every refusal of `identity/` in IAM's words. Also a source of the generated list of errors. */
export const identityFaults: { readonly [Kind in IdentityErrorKind]: IdentityFaultRow<Kind> } = {
  "not-found": { code: "NoSuchEntity", status: 404, message: notFoundText },
  exists: { code: "EntityAlreadyExists", status: 409, message: existsText },
  "delete-conflict": { code: "DeleteConflict", status: 409, message: ({ conflict }) => conflicts[conflict] },
  limit: { code: "LimitExceeded", status: 409, message: limitText },
  "inline-policy-size": {
    code: "LimitExceeded",
    status: 409,
    message: ({ holder, limit }) => `Maximum policy size of ${limit} bytes exceeded for ${holder}`,
  },
  "foreign-policy": { code: "AccessDenied", status: 403, message: () => "Policy is outside your own account." },
  "malformed-policy": { code: "MalformedPolicyDocument", status: 400, message: ({ message }) => message },
  "invalid-input": { code: "InvalidInput", status: 400, message: ({ message }) => message },
  unmodifiable: {
    code: "UnmodifiableEntity",
    status: 400,
    message: ({ name }) => `Cannot perform the operation on the protected role '${name}' - this role is only modifiable by AWS`,
  },
  "not-attachable": { code: "PolicyNotAttachable", status: 400, message: ({ arn }) => `Policy ${arn} cannot be attached to this entity.` },
  "password-violation": { code: "PasswordPolicyViolation", status: 400, message: ({ message }) => message },
  "wrong-password": { code: "AccessDenied", status: 403, message: () => "The old password was incorrect." },
};

/** Turns a refusal into IAM's answer. */
export function identityFault(refusal: IdentityRefusal): ApiFault {
  // The row and the detail belong together by the refusal's own type, which an index cannot show the compiler.
  const row = identityFaults[refusal.kind] as IdentityFaultRow<IdentityErrorKind>;
  return new ApiFault(row.code, row.message(refusal.detail), row.status);
}

function limitText({ quota, limit }: IdentityErrorDetails["limit"]): string {
  if (quota === "VersionsPerPolicy")
    return `A managed policy can have up to ${limit} versions. Before you create a new version, you must delete an existing version.`;
  return `Cannot exceed quota for ${quota}: ${limit}`;
}

/** What is said of a missing thing; the nouns that are not here are said as they are. */
const notFoundTexts: Partial<Record<IdentityNoun, (name: string, version: string) => string>> = {
  policy: (name) => `Policy ${name} was not found.`,
  attachment: (name) => `Policy ${name} was not found.`,
  "policy-version": (name, version) => `Policy ${name} version ${version} does not exist or is not attachable.`,
  "attachable-policy": (name) => `Policy ${name} does not exist or is not attachable.`,
  "user-policy": (name) => `The user policy with name ${name} cannot be found.`,
  "group-policy": (name) => `The group policy with name ${name} cannot be found.`,
  "role-policy": (name) => `The role policy with name ${name} cannot be found.`,
  "access-key": (name) => `The Access Key with id ${name} cannot be found.`,
  "instance-profile": (name) => `Instance Profile ${name} cannot be found.`,
  "login-profile": (name) => `Login Profile for User ${name} cannot be found.`,
  "oidc-provider": (name) => `OpenIDConnect Provider not found for arn ${name}`,
  "saml-provider": (name) => `SAML Provider ${name} does not exist.`,
  "account-alias": (name) => `The account alias ${name} cannot be found.`,
  "password-policy": (name) => `The Password Policy with domain name ${name} cannot be found.`,
  membership: (name) => `User not in group ${name}.`,
};

/** What is said of a thing that is there already; the nouns that are not here are said as they are. */
const existsTexts: Partial<Record<IdentityNoun, (name: string) => string>> = {
  policy: (name) => `A policy called ${name} already exists. Duplicate names are not allowed.`,
  "instance-profile": (name) => `Instance Profile ${name} already exists.`,
  "oidc-provider": (name) => `Provider with url ${name} already exists.`,
  "login-profile": (name) => `Login Profile for user ${name} already exists.`,
  "account-alias": (name) => `The account alias ${name} already exists.`,
};

function notFoundText({ noun, name, version = "" }: IdentityErrorDetails["not-found"]): string {
  return notFoundTexts[noun]?.(name, version) ?? `The ${noun} with name ${name} cannot be found.`;
}

function existsText({ noun, name }: IdentityErrorDetails["exists"]): string {
  return existsTexts[noun]?.(name) ?? `${noun.charAt(0).toUpperCase()}${noun.slice(1)} with name ${name} already exists.`;
}
