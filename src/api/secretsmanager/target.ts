/** The secret that a call is about: looked up once, so that what was decided about is what is acted on. */
import { refuse } from "#secrets/errors.ts";
import type { SecretsContext } from "#secrets/context.ts";
import { readSecretId, secretArn } from "#secrets/secret-id.ts";
import { listSecretTags } from "#secrets/secret-tag.ts";
import { findSecret } from "#secrets/secret.ts";
import type { Secret } from "#secrets/secret.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault } from "../fault.ts";
import type { Tag } from "./model/shapes.ts";

/** An input that names a secret. */
interface SecretInput {
  readonly SecretId: string;
}

/** What policies may ask about a request. */
type ConditionKeys = Readonly<Record<string, string | readonly string[]>>;

/** Stands for the six letters that a secret has not got yet: policies name them by wildcards. */
const unknownSuffix = "??????";

const targets = new WeakMap<ApiCall, Promise<Secret | undefined>>();

/** The columns that every operation on one secret has. */
export const onSecret = {
  check: ({ SecretId }: SecretInput): void => checkSecretId(SecretId),
  resource: targetArn,
  conditionKeys: targetKeys,
} as const;

/** Throws `invalid-name` for what is neither a name nor an ARN of a secret. */
export function checkSecretId(secretId: string): void {
  // Whose account a bare name is in does not matter for whether it is one.
  if (readSecretId({ accountId: "", region: "" }, secretId).length === 0) throw refuse("invalid-name", {});
}

/** The view that the secrets room has of a call. */
export function secretsContext(call: ApiCall): SecretsContext {
  return { core: call.context.core, accountId: call.principal.accountId, region: call.region };
}

/** The secret that the input means. Throws `not-found`. */
export async function getTarget(call: ApiCall, input: SecretInput): Promise<Secret> {
  const secret = await findTarget(call, input);
  if (secret === undefined) throw refuse("not-found", {});
  return secret;
}

/** The secret that the input means, or undefined. */
export async function findTarget(call: ApiCall, input: SecretInput): Promise<Secret | undefined> {
  let target = targets.get(call);
  if (target === undefined) {
    target = findSecret(secretsContext(call), input.SecretId);
    targets.set(call, target);
  }
  return target;
}

/** The ARN that a secret of this name would have, for permissions: its last letters are not known before it is made. */
export function futureArn(call: ApiCall, name: string): string {
  return secretArn({ accountId: call.principal.accountId, region: call.region, name, suffix: unknownSuffix });
}

/** The ARN that permissions on a secret are asked on. One that does not exist is asked for all the same, so that only who may see it learns that it is not there. */
export function askedArn(call: ApiCall, secretId: string, secret: Secret | undefined): string {
  if (secret !== undefined) return secretArn(secret);
  return secretId.startsWith("arn:") ? secretId : futureArn(call, secretId);
}

/** Condition keys of the secret that is named (Service Authorization Reference, "AWS Secrets Manager"). */
export async function secretKeys(call: ApiCall, secretId: string, secret: Secret | undefined): Promise<ConditionKeys> {
  const tags = secret === undefined ? {} : await listSecretTags(secretsContext(call), secret);
  const named = Object.entries(tags).map(([key, value]) => [`secretsmanager:ResourceTag/${key}`, value]);
  return { "secretsmanager:SecretId": secretId, ...Object.fromEntries(named) };
}

async function targetArn(call: ApiCall, input: SecretInput): Promise<string> {
  return askedArn(call, input.SecretId, await findTarget(call, input));
}

async function targetKeys(call: ApiCall, input: SecretInput): Promise<ConditionKeys> {
  return secretKeys(call, input.SecretId, await findTarget(call, input));
}

/** Condition keys of tags in a request. */
export function tagKeys(tags: readonly Tag[]): ConditionKeys {
  const given = readTagList(tags);
  return {
    "aws:TagKeys": given.map(({ key }) => key),
    ...Object.fromEntries(given.map(({ key, value }) => [`aws:RequestTag/${key}`, value])),
  };
}

/** Tags with both their members. Throws ApiFault for one without a key; a value may be left out and is empty then. */
export function readTagList(tags: readonly Tag[]): { readonly key: string; readonly value: string }[] {
  return tags.map(({ Key, Value = "" }) => {
    if (Key === undefined) throw new ApiFault("InvalidParameterException", "A tag must have a key.");
    return { key: Key, value: Value };
  });
}
