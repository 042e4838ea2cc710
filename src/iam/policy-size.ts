/** How large policies may be, and how their size is counted (IAM User Guide, "IAM and AWS STS quotas"; the models of ECR, KMS and Secrets Manager). */
import type { PolicyKind, PolicyProblem } from "./document.ts";

interface SizeRule {
  readonly max: number;
  readonly count: (text: string) => number;
  readonly message: string;
}

/** The size of a policy as IAM counts it against its quotas: characters other than white space. */
export function policySize(text: string): number {
  let size = 0;
  for (let at = 0; at < text.length; at++) if (!isSpace(text.charCodeAt(at))) size++;
  return size;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

const characters = (text: string): number => text.length;
const bytes = (text: string): number => Buffer.byteLength(text);

const managed: SizeRule = { max: 6_144, count: policySize, message: "Cannot exceed quota for PolicySize: 6144" };

const rules: Readonly<Record<PolicyKind, SizeRule>> = {
  managed,
  boundary: managed,
  // A role has the largest sum; who stores the policy knows the owner and the sum.
  inline: { max: 10_240, count: policySize, message: "Maximum policy size of 10240 bytes exceeded" },
  session: { max: 2_048, count: characters, message: "Cannot exceed quota for PolicySize: 2048" },
  trust: { max: 2_048, count: policySize, message: "Cannot exceed quota for ACLSizePerRole: 2048" },
  repository: { max: 10_240, count: characters, message: "The policy has more than 10240 characters." },
  registry: { max: 10_240, count: characters, message: "The policy has more than 10240 characters." },
  "registry-v1": { max: 10_240, count: characters, message: "The policy has more than 10240 characters." },
  key: { max: 32_768, count: bytes, message: "The policy has more than 32768 bytes." },
  secret: { max: 20_480, count: characters, message: "The policy has more than 20480 characters." },
};

/** Is the text larger than a policy of its kind may be? */
export function findSizeProblem(text: string, kind: PolicyKind): PolicyProblem | undefined {
  const { max, count, message } = rules[kind];
  return count(text) > max ? { message, isTooLong: true } : undefined;
}
