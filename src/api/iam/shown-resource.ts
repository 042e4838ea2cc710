/** How the members of IAM's inputs name what an ARN of a kind means. */
const members: Readonly<Record<string, { readonly member: string; readonly noun: string }>> = {
  user: { member: "UserName", noun: "user" },
  group: { member: "GroupName", noun: "group" },
  role: { member: "RoleName", noun: "role" },
  "instance-profile": { member: "InstanceProfileName", noun: "instance profile" },
};

/**
 * What a denial says that permission was asked on. IAM names identities as the caller did (`user ann`), and so nobody learns from a denial
 * that one exists, under which path, or how it is really written.
 */
export function shownResource(action: string, resource: string, input: unknown): string {
  // PassRole is asked on a role that is given away, and AWS names that one by its ARN.
  const kind = action.startsWith("iam:") && action !== "iam:PassRole" ? /^arn:aws:iam::\d{12}:([a-z-]+)\//.exec(resource)?.[1] : undefined;
  const named = kind === undefined ? undefined : members[kind];
  if (named === undefined || typeof input !== "object" || input === null) return resource;
  const name: unknown = Reflect.get(input, named.member);
  return typeof name === "string" ? `${named.noun} ${name}` : resource;
}
