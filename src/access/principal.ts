import type { Actor } from "#registry/context.ts";

/** Who asks, once proven: by a signature, by a registry token, or (with `--dev`) by saying so. */
export interface Principal extends Actor {
  readonly kind: "root";
  /** The key that the request was signed with, or that the token was asked for with. */
  readonly accessKeyId: string;
  /** Changes whenever the key's secret does, and tokens carry it: a new secret ends the old one's tokens. Absent for a key that exists only in the words of a `--dev` client. */
  readonly keyVersion?: string;
}

/** The owner of an account. Its unique id is the account's number. */
export function rootPrincipal(accountId: string, accessKeyId: string): Principal {
  return { kind: "root", accountId, principalId: accountId, arn: rootArn(accountId), accessKeyId };
}

/** `arn:aws:iam::<account>:root` */
export function rootArn(accountId: string): string {
  return `arn:aws:iam::${accountId}:root`;
}
