/** The file that names other deployments to replicate to. */
import { readFileSync } from "node:fs";
import { readPeers } from "#replication/peers.ts";
import type { Peers } from "#replication/peers.ts";
import { isTrustedHost } from "#upstream/address-guard.ts";
import { problemOfMode, readSecretYaml } from "./secret-file.ts";
import { SettingsError, isLoopbackHost } from "./settings.ts";
import type { Settings } from "./settings.ts";

/** Reads the file of the setting `peers`. Throws SettingsError for what the operator can mend; it never carries a secret. */
export function loadPeers(file: string, settings: Pick<Settings, "regions" | "trustedHosts">): Peers {
  const fail = (problem: string): never => {
    throw new SettingsError(`SUPERCARGO_PEERS: ${file}: ${problem}`);
  };
  let peers: Peers;
  try {
    const content = readSecretYaml(readFileSync(file, "utf8"));
    peers = readPeers(content, { environment: process.env, readFile: (path) => readFileSync(path, "utf8") });
    const problem = holdsSecret(content) ? problemOfMode(file) : undefined;
    if (problem !== undefined) throw new Error(problem);
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
  for (const { region, origin } of peers.values()) {
    if (settings.regions.includes(region)) fail(`${region} is a region of this deployment, so it cannot name another one`);
    const url = new URL(origin);
    const isReachedSafely = url.protocol === "https:" || isLoopbackHost(url.hostname.replace(/^\[(.*)\]$/, "$1"));
    if (!isReachedSafely && !isTrustedHost(settings.trustedHosts, url))
      fail(
        `${region} is named without TLS: tokens would cross the network in the clear. Use https, or name ${url.host} in SUPERCARGO_TRUSTED_HOSTS`,
      );
  }
  return peers;
}

/** A secret in the file itself, where it could be in another file or in the environment. */
function holdsSecret(content: unknown): boolean {
  return Array.isArray(content) && content.some((peer: unknown) => typeof peer === "object" && peer !== null && "secretAccessKey" in peer);
}
