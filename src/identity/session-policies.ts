/** Session policies: what limits one session (IAM User Guide, "Session policies"; STS API Reference, AssumeRole). */
import { deflateRawSync } from "node:zlib";
import { parsePolicy } from "#iam/document.ts";
import { findIdentity } from "#metadata/identities.ts";
import { findPolicyDocument } from "#metadata/principal-policies.ts";
import { identityArn, parseIdentityArn } from "./arn.ts";
import { awsManagedPolicy } from "./aws-managed-policies.ts";
import type { IdentityContext } from "./context.ts";
import { refuseSession } from "./session-refusal.ts";

/** The session policies of a request. */
export interface AskedPolicies {
  readonly inline: string | undefined;
  readonly arns: readonly string[];
}

const maxPolicies = 10;
/** AWS does not say how large its packed form may be; this holds the largest policy and the tags that people use beside it. */
const maxPackedBytes = 4_096;

/**
 * The documents, managed ones as they are now; undefined when none was asked for. The account is the one that the session will be of.
 * Throws SessionRefused.
 */
export async function readSessionPolicies(ctx: IdentityContext, { inline, arns }: AskedPolicies): Promise<readonly string[] | undefined> {
  if (arns.length > maxPolicies) throw refuseSession("too-many-policies", { limit: maxPolicies });
  const documents: string[] = [];
  if (inline !== undefined) {
    const policy = parsePolicy(inline, "session");
    if (!policy.ok && policy.problem.isTooLong === true) {
      // Its length by the length it may have: AWS's percentage of a policy that is refused before it is packed is not known.
      throw refuseSession("packed-too-large", { percent: Math.ceil((inline.length * 100) / 2_048), of: "policy" });
    }
    if (!policy.ok) throw refuseSession("policy-malformed", { message: policy.problem.message });
    documents.push(inline);
  }
  for (const arn of arns) {
    const document = await findDocument(ctx, arn);
    if (document === undefined) throw refuseSession("policy-unknown", { arn });
    documents.push(document);
  }
  return documents.length === 0 ? undefined : documents;
}

async function findDocument({ core, accountId }: IdentityContext, arn: string): Promise<string | undefined> {
  const asked = parseIdentityArn(arn);
  if (asked?.kind !== "policy") return undefined;
  if (asked.accountId === "aws") return awsManagedPolicy(arn)?.document;
  if (asked.accountId !== accountId) return undefined;
  const policy = await findIdentity(core.metadata, { accountId, kind: "policy", name: asked.name });
  // Names are found without regard to case and path, but an ARN means itself.
  if (policy === undefined || identityArn("policy", accountId, policy.path, policy.name) !== arn) return undefined;
  return findPolicyDocument(core.metadata, accountId, policy.name);
}

/**
 * How much of the room for session policies and tags is taken, in percent; undefined when there are none. Managed policies count by their
 * ARNs. Throws SessionRefused when it is more than there is.
 */
export function packedPercent({ inline, arns }: AskedPolicies, tags: Readonly<Record<string, string>>): number | undefined {
  const hasPolicies = inline !== undefined || arns.length > 0;
  if (!hasPolicies && Object.keys(tags).length === 0) return undefined;
  const packed = deflateRawSync(JSON.stringify([inline ?? "", arns, Object.entries(tags)]));
  const percent = Math.ceil((packed.length * 100) / maxPackedBytes);
  if (percent > 100) throw refuseSession("packed-too-large", { percent, of: hasPolicies ? "policy" : "tags" });
  return percent;
}
