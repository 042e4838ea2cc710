/** Which user an operation means: the one that is named, or the caller itself, and how permissions on it are asked. */
import { identityArn, parseIdentityArn } from "#identity/arn.ts";
import { findTags } from "#identity/tag.ts";
import { findUser } from "#identity/user.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault } from "../fault.ts";
import { identityContext, resourceTagKeys } from "./identity-shape.ts";

/** Condition keys by their names as AWS writes them. */
export type TargetKeys = Readonly<Record<string, string | readonly string[]>>;

interface UserInput {
  readonly UserName?: string | undefined;
}

/** The name of the user that is meant: the one that is given, else the caller's own, which root does not have. Throws ApiFault. */
export function userNameOf({ principal }: ApiCall, { UserName }: UserInput): string | undefined {
  if (UserName !== undefined) return UserName;
  if (principal.kind === "root") return undefined;
  const name = principal.kind === "user" ? parseIdentityArn(principal.arn)?.name : undefined;
  if (name === undefined) throw new ApiFault("ValidationError", "Must specify userName when calling with non-User credentials");
  return name;
}

/** The ARN that permissions on the user are asked on. A user that does not exist is asked for in the path `/`. */
export async function userArn(call: ApiCall, input: UserInput): Promise<string> {
  const name = userNameOf(call, input);
  if (name === undefined) return call.principal.arn;
  const user = await findUser(identityContext(call), name);
  return identityArn("user", call.principal.accountId, user?.path ?? "/", user?.name ?? name);
}

/** What conditions may ask about the user that is meant: its tags. */
export async function userKeys(call: ApiCall, input: UserInput): Promise<TargetKeys> {
  const name = userNameOf(call, input);
  return name === undefined ? {} : resourceTagKeys(await findTags(identityContext(call), "user", name));
}

/** The permission columns of every operation on a user that exists. */
export const onUser = { resource: userArn, conditionKeys: userKeys };
