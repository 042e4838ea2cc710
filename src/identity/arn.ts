/** ARNs of identities. IAM and STS leave the region empty. */

/** The part of an IAM ARN that says what it names. */
export type IdentityArnKind = "user" | "group" | "role" | "policy" | "instance-profile";

/** `arn:aws:iam::<account>:<kind><path><name>`; the path begins and ends with a slash. */
export function identityArn(kind: IdentityArnKind, accountId: string, path: string, name: string): string {
  return `arn:aws:iam::${accountId}:${kind}${path}${name}`;
}

/** `arn:aws:iam::<account>:root` */
export function rootArn(accountId: string): string {
  return `arn:aws:iam::${accountId}:root`;
}

/** `arn:aws:sts::<account>:assumed-role/<role>/<session>`: without the role's path. */
export function roleSessionArn(accountId: string, roleName: string, sessionName: string): string {
  return `arn:aws:sts::${accountId}:assumed-role/${roleName}/${sessionName}`;
}

/** `arn:aws:sts::<account>:federated-user/<name>` */
export function federatedUserArn(accountId: string, name: string): string {
  return `arn:aws:sts::${accountId}:federated-user/${name}`;
}

/** An IAM ARN taken apart. `accountId` is `aws` for policies that AWS manages. */
export interface ParsedIdentityArn {
  readonly accountId: string;
  readonly kind: IdentityArnKind;
  readonly path: string;
  readonly name: string;
}

const form = /^arn:aws:iam::([0-9]{12}|aws):(user|group|role|policy|instance-profile)(\/(?:[!-~]{1,510}\/)?)([\w+=,.@-]{1,128})$/;

/** Reads an ARN of an identity; undefined for any other text. */
export function parseIdentityArn(arn: string): ParsedIdentityArn | undefined {
  if (arn.length > 2048) return undefined;
  const [, accountId, kind, path, name] = form.exec(arn) ?? [];
  if (accountId === undefined || kind === undefined || path === undefined || name === undefined) return undefined;
  return { accountId, kind: kind as IdentityArnKind, path, name };
}
