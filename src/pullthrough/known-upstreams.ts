/** The registries that a rule can fetch from: those that ECR knows, this deployment's own, and any other that speaks OCI (Amazon ECR User Guide, "Sync an upstream registry"). */
import type { Addressing } from "#registry/addressing.ts";
import type { RegistryRef } from "#registry/context.ts";

/** Where a rule's upstream is. */
export type UpstreamPlace =
  /** Another server; `http` for a trusted host only. */
  | { readonly kind: "remote"; readonly origin: string }
  /** A registry of this deployment. */
  | { readonly kind: "own"; readonly registry: RegistryRef };

/** What a rule asks for. */
export interface AskedUpstream {
  /** `host[:port]`; for a trusted host also `http://host[:port]`. */
  readonly url: string;
  readonly kind: string | undefined;
  readonly credentialArn: string | undefined;
  readonly roleArn: string | undefined;
}

/** An upstream that a rule can have. */
export interface ReadUpstream {
  /** ECR's name; undefined for one that ECR does not know. */
  readonly kind: string | undefined;
  readonly place: UpstreamPlace;
}

interface KnownUpstream {
  readonly host: RegExp;
  readonly needsCredentials: boolean;
  /** Anybody can have a registry whose host looks like that, and reads what it is shown. */
  readonly isAnybodys?: true;
}

const known: ReadonlyMap<string, KnownUpstream> = new Map([
  ["ecr-public", { host: /^public\.ecr\.aws$/, needsCredentials: false }],
  ["k8s", { host: /^registry\.k8s\.io$/, needsCredentials: false }],
  ["quay", { host: /^quay\.io$/, needsCredentials: false }],
  ["docker-hub", { host: /^registry-1\.docker\.io$/, needsCredentials: true }],
  ["github-container-registry", { host: /^ghcr\.io$/, needsCredentials: true }],
  ["gitlab-container-registry", { host: /^registry\.gitlab\.com$/, needsCredentials: true }],
  ["azure-container-registry", { host: /^[a-zA-Z0-9-]{1,63}\.azurecr\.io$/, needsCredentials: true, isAnybodys: true }],
  ["chainguard", { host: /^cgr\.dev$/, needsCredentials: true }],
]);
const ecrKind = "ecr";
const ecrHost = /^([0-9]{12})\.dkr[.-]ecr\.[a-z0-9-]{1,64}\.[a-z0-9.-]{1,253}(?::\d{1,5})?$/;
const maxUrlLength = 512;

/**
 * Reads a rule's upstream. Problems are ECR's sentences. A registry of Amazon ECR itself cannot be one: whoever asks there has to sign with
 * credentials of AWS, which this deployment has none of; its own registries can, as a role of the rule's account.
 */
export function readUpstream(
  asked: AskedUpstream,
  context: { readonly addressing: Pick<Addressing, "registryOfHost">; readonly registry: RegistryRef },
): { readonly ok: true; readonly value: ReadUpstream } | { readonly ok: false; readonly problem: string } {
  const url = asked.url.length <= maxUrlLength ? readOrigin(asked.url) : undefined;
  if (url === undefined) return invalid(asked.url);
  if (asked.kind === ecrKind || (asked.kind === undefined && ecrHost.test(url.host))) return readOwn(asked, url, context);
  const kind = asked.kind ?? [...known].find(([, { host }]) => host.test(url.host))?.[0];
  const upstream = kind === undefined ? undefined : known.get(kind);
  if (kind !== undefined && (upstream === undefined || url.protocol !== "https:" || !upstream.host.test(url.host)))
    return invalid(asked.url);
  if (upstream?.needsCredentials === true && asked.credentialArn === undefined)
    return refuse("The specified upstream registry requires authentication. Specify a valid Secrets Manager ARN and try again");
  if (asked.roleArn !== undefined) return refuse("A custom role ARN can be specified for upstream registries of Amazon ECR only");
  return { ok: true, value: { kind, place: { kind: "remote", origin: url.origin } } };
}

/** Can whoever writes a rule stand behind such an upstream, and so read the credentials that it is shown? Not behind those that all the world shares. */
export function isAnybodysUpstream({ url, kind }: Pick<AskedUpstream, "url" | "kind">): boolean {
  const host = readOrigin(url)?.host ?? "";
  const upstream = kind === undefined ? [...known.values()].find((one) => one.host.test(host)) : known.get(kind);
  return upstream === undefined || upstream.isAnybodys === true;
}

function readOwn(
  asked: AskedUpstream,
  url: URL,
  { addressing, registry }: { readonly addressing: Pick<Addressing, "registryOfHost">; readonly registry: RegistryRef },
): ReturnType<typeof readUpstream> {
  const accountId = ecrHost.exec(url.host)?.[1];
  const upstream = accountId === undefined ? undefined : addressing.registryOfHost(url.host);
  if (accountId === undefined || url.protocol !== "https:") return invalid(asked.url);
  if (upstream === undefined)
    return refuse(`${invalidText(asked.url)}: of Amazon ECR's registries, those of this deployment can be upstream registries`);
  if (asked.credentialArn !== undefined) return refuse("A credential ARN cannot be specified for upstream registries of Amazon ECR");
  if (upstream.accountId === registry.accountId && upstream.region === registry.region)
    return refuse(`${invalidText(asked.url)}: a registry cannot be its own upstream registry`);
  if (upstream.accountId !== registry.accountId && asked.roleArn === undefined)
    return refuse("The specified upstream registry requires authentication. Specify a valid custom role ARN and try again");
  return { ok: true, value: { kind: ecrKind, place: { kind: "own", registry: upstream } } };
}

/** A host as a URL; undefined when the text says more or less than that. */
function readOrigin(text: string): URL | undefined {
  const isPlain = text.startsWith("http://");
  const url = URL.parse(isPlain ? text : `https://${text}`);
  if (url === null || url.pathname !== "/" || url.search !== "" || url.hash !== "" || url.username !== "" || url.password !== "")
    return undefined;
  const host = isPlain ? text.slice("http://".length) : text;
  // Written otherwise (a default port, a trailing slash, other letters) it would be another text for the same place.
  return url.host === host ? url : undefined;
}

function invalidText(url: string): string {
  return `The upstream registry URL ${url.slice(0, maxUrlLength)} is invalid. Specify a valid upstream registry URL and try again`;
}

function invalid(url: string): { readonly ok: false; readonly problem: string } {
  return refuse(invalidText(url));
}

function refuse(problem: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem };
}
