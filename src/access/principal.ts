import { callerName } from "#iam/caller.ts";
import type { Caller } from "#iam/caller.ts";
import type { CompiledPolicy } from "#iam/compile.ts";
import { rootArn } from "#identity/arn.ts";
import type { Actor } from "#registry/context.ts";
import type { ConditionKeys } from "./condition-keys.ts";

/** What limits and what grants, as far as it hangs on the principal and not on a resource. */
export interface PrincipalGrants {
  readonly identity: readonly CompiledPolicy[];
  readonly boundary?: CompiledPolicy;
  /** Present, even empty: the session may do no more than these allow. */
  readonly session?: readonly CompiledPolicy[];
}

/** What is known of temporary credentials. Times are milliseconds since the epoch. */
export interface SessionFacts {
  /** `role` AssumeRole…, `federated` GetFederationToken, `user` and `root` GetSessionToken. */
  readonly kind: "role" | "federated" | "user" | "root";
  readonly name: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Keys of tags that the next role in a chain inherits. */
  readonly transitiveKeys: readonly string[];
  readonly sourceIdentity?: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** Who asks, once proven: by a signature, by a registry token, or (with `--dev`) by saying so. */
export interface Principal extends Actor {
  readonly kind: "root" | "user" | "role-session" | "federated" | "anonymous";
  /** The key that the request was signed with, or that the token was asked for with. */
  readonly accessKeyId: string;
  /** Changes whenever the key's secret does, and tokens carry it: a new secret ends the old one's tokens. Absent for a key that exists only in the words of a `--dev` client. */
  readonly keyVersion?: string;
  /** The row of the user or role behind it; absent for root. */
  readonly identityId?: number;
  /** Who asks, as policies name it. */
  readonly caller: Caller;
  readonly grants: PrincipalGrants;
  /** Condition keys that hang on the principal: `aws:username`, `aws:PrincipalTag/…`, `aws:TokenIssueTime` … */
  readonly keys: ConditionKeys;
  readonly session?: SessionFacts;
}

const nothing: PrincipalGrants = { identity: [] };

/** The ARN of who is behind the principal for good: of a session its role or user. */
export function lastingArn({ caller, arn }: Principal): string {
  if (caller.kind === "role-session") return caller.roleArn;
  return caller.kind === "federated" ? callerName(caller.issuer) : arn;
}

/** The owner of an account. Its unique id is the account's number. */
export function rootPrincipal(accountId: string, accessKeyId: string): Principal {
  const arn = rootArn(accountId);
  return {
    kind: "root",
    accountId,
    principalId: accountId,
    arn,
    accessKeyId,
    caller: { kind: "root", accountId, arn },
    grants: nothing,
    keys: {
      "aws:PrincipalArn": arn,
      "aws:PrincipalAccount": accountId,
      "aws:PrincipalType": "Account",
      "aws:PrincipalIsAWSService": "false",
      "aws:userid": accountId,
    },
  };
}

/** Who asks when nobody has said who they are; no policy that names principals ever means them. */
export const anonymousPrincipal: Principal = {
  kind: "anonymous",
  accountId: "anonymous",
  principalId: "anonymous",
  arn: "anonymous",
  accessKeyId: "",
  caller: { kind: "anonymous" },
  grants: nothing,
  keys: { "aws:PrincipalAccount": "anonymous", "aws:PrincipalType": "Anonymous", "aws:userid": "anonymous" },
};
