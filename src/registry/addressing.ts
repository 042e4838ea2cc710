/**
 * Which host names which registry, and the other way round. Pure.
 *
 * A host `<account>.dkr.ecr.<region>.<domain>` names the registry (account, region). Any other host is mapped to exactly one
 * registry, the default one, so one name always means one manifest. Qualified names under `localhost` always work: clients and
 * resolvers take `*.localhost` for the loopback address without any DNS.
 */
import { LRUCache } from "lru-cache";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryRef } from "./context.ts";

/** The part of a request that decides how its answer names hosts. */
export interface AddressedRequest {
  /** The Host the client used, with its port. */
  readonly host: string | undefined;
  readonly scheme: "http" | "https";
}

/** Translates between hosts and registries. */
export interface Addressing {
  readonly regions: readonly string[];
  /** Regions that other deployments serve, to which this one replicates. */
  readonly peerRegions: readonly string[];
  readonly defaultRegistry: RegistryRef;
  /** `http(s)://host[:port]` of the deployment as it was configured; never what a request says. */
  readonly publicOrigin: string | undefined;
  /** The registry that a Host header means; undefined for a qualified host of a region or domain that is not served here. */
  registryOfHost(host: string | undefined): RegistryRef | undefined;
  /** `host[:port]` for names of this registry, such that it works when pasted into a client. */
  registryHost(registry: RegistryRef, request: AddressedRequest): string;
  /** `scheme://host[:port]` of this registry. */
  endpoint(registry: RegistryRef, request: AddressedRequest): string;
  /** `host[:port]/name`, without scheme and tag. */
  repositoryUri(registry: RegistryRef, name: RepositoryName, request: AddressedRequest): string;
  repositoryArn(registry: RegistryRef, name: RepositoryName): string;
}

/** What addressing is made from. */
export interface AddressingSettings {
  readonly defaultRegistry: RegistryRef;
  readonly regions: readonly string[];
  readonly peerRegions?: readonly string[] | undefined;
  /** The own domain below which qualified hosts live; `amazonaws.com` gives ECR's own names. */
  readonly domain?: string | undefined;
  /** `http(s)://host[:port]`, the address of the default registry as clients see it. */
  readonly publicUrl?: string | undefined;
  /** Where the server listens, and how. */
  readonly port: number;
  readonly scheme: "http" | "https";
  /** The ARN partition; by default told from the region's name. */
  readonly partition?: string | undefined;
}

const ownPort = { http: 80, https: 443 } as const;
const qualified = /^([0-9]{12})\.dkr[.-]ecr(-fips)?\.([a-z0-9-]{1,64})\.([a-z0-9.-]{1,253})$/;
/** Only the form with one label (`dkr-ecr`) and the FIPS names exist under AWS's domains alone. */
const plainQualified = /^[0-9]{12}\.dkr\.ecr\./;

/** Makes the translation for one deployment. */
export function createAddressing(settings: AddressingSettings): Addressing {
  const domain = settings.domain?.toLowerCase();
  const publicUrl = settings.publicUrl === undefined ? undefined : new URL(settings.publicUrl);
  const { defaultRegistry, regions } = settings;

  /** Few names are used, by every request: the answer for each is kept. Bounded, because clients choose what they write. */
  const knownHosts = new LRUCache<string, { readonly registry: RegistryRef | undefined }>({ max: 1000 });

  function registryOfHost(host: string | undefined): RegistryRef | undefined {
    if (host === undefined) return defaultRegistry;
    const known = knownHosts.get(host);
    if (known !== undefined) return known.registry;
    const registry = readHost(host);
    if (host.length <= 300) knownHosts.set(host, { registry });
    return registry;
  }

  function readHost(host: string): RegistryRef | undefined {
    const bare = splitHost(host).name;
    const match = qualified.exec(bare);
    if (match === null) return defaultRegistry;
    const [, accountId = "", , region = "", suffix = ""] = match;
    if (!regions.includes(region) || !servesSuffix(domain, region, suffix, plainQualified.test(bare))) return undefined;
    return { accountId, region };
  }

  /** The port as the client sees it, when the request came to a name like the one to be made; else where the server listens. */
  function portFor(request: AddressedRequest, isLike: (name: string) => boolean): string {
    const asked = request.host === undefined ? undefined : splitHost(request.host);
    if (asked !== undefined && isLike(asked.name)) return portSuffix(asked.port, request.scheme);
    if (domain !== undefined && publicUrl !== undefined) return publicUrl.port === "" ? "" : `:${publicUrl.port}`;
    return portSuffix(settings.port, settings.scheme);
  }

  function registryHost(registry: RegistryRef, request: AddressedRequest): string {
    const prefix = `${registry.accountId}.dkr.ecr.${registry.region}`;
    if (domain !== undefined) {
      const suffix = suffixFor(domain, registry.region);
      return `${prefix}.${suffix}${portFor(request, (name) => name === domain || name.endsWith(`.${suffix}`))}`;
    }
    if (publicUrl !== undefined && sameRegistry(registry, defaultRegistry)) return publicUrl.host;
    const meant = request.host === undefined ? undefined : registryOfHost(request.host);
    if (request.host !== undefined && meant !== undefined && sameRegistry(registry, meant)) {
      const asked = splitHost(request.host);
      return `${asked.name}${portSuffix(asked.port, request.scheme)}`;
    }
    const port = portFor(request, (name) => name === "localhost" || name.endsWith(".localhost"));
    return request.host === undefined && sameRegistry(registry, defaultRegistry) ? `localhost${port}` : `${prefix}.localhost${port}`;
  }

  function endpoint(registry: RegistryRef, request: AddressedRequest): string {
    const isPublic = domain === undefined && publicUrl !== undefined && sameRegistry(registry, defaultRegistry);
    const scheme = isPublic ? publicUrl.protocol.slice(0, -1) : request.scheme;
    return `${scheme}://${registryHost(registry, request)}`;
  }

  return {
    regions,
    peerRegions: settings.peerRegions ?? [],
    defaultRegistry,
    publicOrigin: publicUrl?.origin,
    registryOfHost,
    registryHost,
    endpoint,
    repositoryUri: (registry, name, request) => `${registryHost(registry, request)}/${name}`,
    repositoryArn: (registry, name) =>
      `arn:${settings.partition ?? partitionOf(registry.region)}:ecr:${registry.region}:${registry.accountId}:repository/${name}`,
  };
}

/** The ARN partition that AWS gives a region of this name. */
function partitionOf(region: string): string {
  if (region.startsWith("cn-")) return "aws-cn";
  if (region.startsWith("us-gov-")) return "aws-us-gov";
  return "aws";
}

function sameRegistry(a: RegistryRef, b: RegistryRef): boolean {
  return a.accountId === b.accountId && a.region === b.region;
}

/** AWS's Chinese regions live under a domain of their own. */
function suffixFor(domain: string, region: string): string {
  return domain === "amazonaws.com" && region.startsWith("cn-") ? "amazonaws.com.cn" : domain;
}

function servesSuffix(domain: string | undefined, region: string, suffix: string, isPlain: boolean): boolean {
  if (suffix === "localhost") return isPlain;
  if (domain === undefined) return false;
  if (domain !== "amazonaws.com") return isPlain && suffix === domain;
  const dualStack = region.startsWith("cn-") ? "on.amazonwebservices.com.cn" : "on.aws";
  return suffix === suffixFor(domain, region) || (!isPlain && suffix === dualStack);
}

/** Splits a Host header into a lower-case name without trailing dot and its port, if it carries one. IPv6 literals keep their brackets. */
function splitHost(host: string): { readonly name: string; readonly port: number | undefined } {
  const match = /^(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?$/.exec(host.toLowerCase());
  const name = match?.[1] ?? host.toLowerCase();
  return { name: name.endsWith(".") ? name.slice(0, -1) : name, port: match?.[2] === undefined ? undefined : Number(match[2]) };
}

function portSuffix(port: number | undefined, scheme: "http" | "https"): string {
  return port === undefined || port === ownPort[scheme] ? "" : `:${port}`;
}
