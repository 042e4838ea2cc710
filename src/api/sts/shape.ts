/** Parts of requests and answers that several operations of STS have in common. */
import { parseIdentityArn } from "#identity/arn.ts";
import type { IssuedCredentials } from "#identity/session.ts";
import type { AskedPolicies } from "#identity/session-policies.ts";
import type { SessionTag } from "#identity/session-tags.ts";
import { ApiFault } from "../fault.ts";
import type { Credentials, PolicyDescriptorType, Tag } from "./model/shapes.ts";

/** Credentials as answers show them. */
export function credentialsShape({ accessKeyId, secretAccessKey, sessionToken, expiresAt }: IssuedCredentials): Credentials {
  return { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken: sessionToken, Expiration: expiresAt };
}

/** The session policies of a request. */
export function policiesOf(input: {
  readonly Policy?: string | undefined;
  readonly PolicyArns?: readonly PolicyDescriptorType[] | undefined;
}): AskedPolicies {
  return { inline: input.Policy, arns: (input.PolicyArns ?? []).map(({ arn }) => arn ?? "") };
}

/** The tags of a request. */
export function tagsOf(tags: readonly Tag[] = []): readonly SessionTag[] {
  return tags.map(({ Key, Value }) => ({ key: Key, value: Value }));
}

/** The condition keys of tags in a request. */
export function requestTagKeys(tags: readonly SessionTag[]): Readonly<Record<string, string | readonly string[]>> {
  if (tags.length === 0) return {};
  const values = Object.fromEntries(tags.map(({ key, value }) => [`aws:RequestTag/${key}`, value]));
  return { ...values, "aws:TagKeys": tags.map(({ key }) => key) };
}

/** Refuses what cannot be the ARN of a role, before anybody is asked about it. */
export function checkRoleArn(arn: string): void {
  const role = parseIdentityArn(arn);
  if (role?.kind !== "role" || role.accountId === "aws") throw new ApiFault("ValidationError", "Request ARN is invalid");
}

/** Codes of MFA devices prove nothing here: there are none. */
export function checkMultiFactor(input: { readonly SerialNumber?: string | undefined; readonly TokenCode?: string | undefined }): void {
  if (input.SerialNumber === undefined && input.TokenCode === undefined) return;
  throw new ApiFault("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code. ", 403);
}
