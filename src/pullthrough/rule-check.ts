/** Whether a rule can work: what it names is looked at when it is written, and really tried when somebody asks for it. */
import { SessionRefused } from "#identity/session-refusal.ts";
import type { RegistryRef } from "#registry/context.ts";
import { createRegistryClient } from "#upstream/registry-client.ts";
import { UpstreamError } from "#upstream/upstream-error.ts";
import { readUpstream } from "./known-upstreams.ts";
import type { AskedUpstream, ReadUpstream } from "./known-upstreams.ts";
import { assumeRuleRole, pullThroughService, readUpstreamSecret } from "./service-identity.ts";
import type { SecretProblem } from "./service-identity.ts";
import type { UpstreamDeps } from "./upstream.ts";

/** What a rule asks for as far as it can be had: its upstream, or ECR's sentence why there is none. */
export async function checkUpstream(
  deps: UpstreamDeps,
  registry: RegistryRef,
  asked: AskedUpstream,
): Promise<{ readonly ok: true; readonly value: ReadUpstream } | { readonly ok: false; readonly problem: string }> {
  const read = readUpstream(asked, { addressing: deps.addressing, registry });
  if (!read.ok || read.value.place.kind === "own" || read.value.kind !== undefined) return read;
  // Anybody's host: it must not be one that only this machine or its network can reach, unless the operator trusts it.
  const refusal = await deps.connections.judge(read.value.place.origin);
  if (refusal === undefined) return read;
  return {
    ok: false,
    problem: `The upstream registry URL ${asked.url} is invalid. Specify a valid upstream registry URL and try again`,
  };
}

/** What is wrong with the secret that a rule names; undefined when it gives credentials. */
export async function checkSecret(deps: UpstreamDeps, registry: RegistryRef, secretArn: string): Promise<SecretProblem | undefined> {
  const read = await readUpstreamSecret(deps, registry, secretArn);
  return typeof read === "string" ? read : undefined;
}

/** ECR's sentences about secrets, where they are known; the others are ours in its style. */
export const secretTexts: Readonly<Record<SecretProblem, string>> = {
  "not-found":
    "The ARN of the secret specified in the pull through cache rule was not found. Update the pull through cache rule with a valid secret ARN and try again.",
  "no-access":
    "The secret specified in the pull through cache rule cannot be accessed. Update the resource policy of the secret or the pull through cache rule and try again.",
  undecryptable:
    "The value of the secret specified in the pull through cache rule cannot be decrypted. Update the secret or the pull through cache rule and try again.",
  malformed:
    "The value of the secret specified in the pull through cache rule is not valid. It must be a JSON object with the keys 'username' and 'accessToken'.",
};

/**
 * Tries a rule: reads its secret, then authenticates with its upstream, or takes on its role. Answers what is wrong, in words for who wrote
 * the rule, or undefined when it works. An upstream that is asked without credentials only has to answer.
 */
export async function tryRule(deps: UpstreamDeps, registry: RegistryRef, asked: AskedUpstream): Promise<string | undefined> {
  const checked = await checkUpstream(deps, registry, asked);
  if (!checked.ok) return checked.problem;
  const { place } = checked.value;
  if (place.kind === "own") return asked.roleArn === undefined ? undefined : tryRole(deps, registry, asked.roleArn);
  const secret = asked.credentialArn === undefined ? undefined : await readUpstreamSecret(deps, registry, asked.credentialArn);
  if (typeof secret === "string") return secretTexts[secret];
  const { clock, log } = deps.core;
  const client = createRegistryClient({
    connections: deps.connections,
    endpoint: { origin: place.origin, ...(secret !== undefined && { credentials: async () => secret }) },
    clock,
    log,
  });
  try {
    const answer = await client.request({ method: "GET", path: "/v2/", signal: AbortSignal.timeout(30_000) });
    answer.body.destroy();
    const { status } = answer;
    if (status === 429) return "The upstream registry limits requests. Try again later.";
    if (status >= 500 || (secret === undefined && ![200, 401, 403].includes(status)))
      return `The upstream registry answered with the status ${status}.`;
    return secret === undefined || status === 200 ? undefined : "The upstream registry denied the credentials of the secret.";
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    const { outcome } = error.failure;
    if (outcome === "denied") return "The upstream registry denied the credentials of the secret.";
    return outcome === "rate-limited"
      ? "The upstream registry limits requests. Try again later."
      : "The upstream registry cannot be reached.";
  }
}

async function tryRole(deps: UpstreamDeps, registry: RegistryRef, roleArn: string): Promise<string | undefined> {
  try {
    const made = await assumeRuleRole(deps, registry, roleArn);
    return typeof made === "string" ? `The role cannot be assumed by ${pullThroughService}: ${made}.` : undefined;
  } catch (error) {
    if (!(error instanceof SessionRefused)) throw error;
    return `The role cannot be assumed by ${pullThroughService}.`;
  }
}
