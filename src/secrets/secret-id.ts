/** How secrets are named: by name, by ARN, or by an ARN without the random letters at its end. */
import type { Random } from "#std/random.ts";
import type { SecretsContext } from "./context.ts";

/** A secret that a text may mean. */
export interface SecretCandidate {
  readonly accountId: string;
  readonly region: string;
  readonly name: string;
  /** The letters at the end of its ARN; undefined where the text has none. */
  readonly suffix: string | undefined;
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const suffixLength = 6;
const nameForm = /^[\w/+=.@-]{1,512}$/;
const arnForm = /^arn:aws:secretsmanager:([a-z0-9-]{1,64}):([0-9]{12}):secret:([\w/+=.@-]{1,519})$/;
const fullForm = /^(.{1,512})-([A-Za-z0-9]{6})$/;

/** `arn:aws:secretsmanager:<region>:<account>:secret:<name>-<suffix>` */
export function secretArn(secret: {
  readonly accountId: string;
  readonly region: string;
  readonly name: string;
  readonly suffix: string;
}): string {
  return `arn:aws:secretsmanager:${secret.region}:${secret.accountId}:secret:${secret.name}-${secret.suffix}`;
}

/** May a secret have this name? */
export function isSecretName(text: string): boolean {
  return nameForm.test(text);
}

/** The secrets that a text may mean, the likelier first; none when it is neither a name nor an ARN of a secret. */
export function readSecretId(ctx: Pick<SecretsContext, "accountId" | "region">, text: string): readonly SecretCandidate[] {
  const [, region, accountId, rest] = arnForm.exec(text) ?? [];
  if (region === undefined || accountId === undefined || rest === undefined)
    return isSecretName(text) ? [{ accountId: ctx.accountId, region: ctx.region, name: text, suffix: undefined }] : [];
  const [, name, suffix] = fullForm.exec(rest) ?? [];
  const partial = { accountId, region, name: rest, suffix: undefined };
  return name === undefined || suffix === undefined ? [partial] : [{ accountId, region, name, suffix }, partial];
}

/** Draws the letters at the end of an ARN. */
export function makeSuffix(random: Random): string {
  let suffix = "";
  // Bytes beyond the last whole alphabet are thrown away, so that all letters are equally likely.
  while (suffix.length < suffixLength)
    for (const byte of random.bytes(16)) if (byte < 208 && suffix.length < suffixLength) suffix += letters.charAt(byte % 52);
  return suffix;
}
