/**
 * The pull-through room: names under a rule are fetched from another registry when they are first pulled, and kept. It stands on the registry
 * room for everything that is stored and on `upstream/` for everything that is asked of others; it knows no HTTP and no AWS operation.
 * This file is what every pull goes through; the rest is loaded by the first one that a rule covers.
 */
import { LRUCache } from "lru-cache";
import type { Access } from "#access/access.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { Addressing } from "#registry/addressing.ts";
import type { RegistryCore, RegistryRef } from "#registry/context.ts";
import type { PullThroughRule } from "#registry/pull-through-rule.ts";
import { readRules, selectRule } from "#registry/pull-through-rule.ts";
import type { GuardedConnections } from "#upstream/connections.ts";
import type { Puller } from "./pull.ts";
import type { UpstreamDeps } from "./upstream.ts";

/** What fetching stands on. */
export interface PullThroughDeps {
  readonly core: RegistryCore;
  readonly access: Access;
  readonly addressing: Addressing;
  /** No other process uses the same database. */
  readonly isOnlyNode: boolean;
  /** Opens the connections to other servers, which are loaded with it. */
  readonly connect: () => Promise<GuardedConnections>;
}

/** Fetching through rules, for the life of the process. */
export interface PullThrough {
  /** The rule that covers a name. Rules are remembered for a second. */
  ruleFor(registry: RegistryRef, name: RepositoryName): PullThroughRule | undefined | Promise<PullThroughRule | undefined>;
  /** The registry's rules have just been changed by this process: they are read again. Other nodes see the change within a second. */
  forget(registry: RegistryRef): void;
  /** What pulls through rules; loaded when it is first asked for. */
  puller(): Promise<Puller>;
  /** What upstreams are opened with. */
  upstreamDeps(): Promise<UpstreamDeps>;
}

const rememberMs = 1_000;
const maxRegistries = 1_000;

/** Makes it. Nothing is read or connected before it is needed. */
export function createPullThrough(deps: PullThroughDeps): PullThrough {
  const { core } = deps;
  const known = new LRUCache<string, { readonly rules: readonly PullThroughRule[]; readonly until: number }>({ max: maxRegistries });
  let puller: Promise<Puller> | undefined;
  let upstreamDeps: Promise<UpstreamDeps> | undefined;

  async function read(registry: RegistryRef, key: string): Promise<readonly PullThroughRule[]> {
    const until = core.clock.now() + rememberMs;
    const rules = await readRules(core, registry);
    known.set(key, { rules, until });
    return rules;
  }

  const open: PullThrough["upstreamDeps"] = () => {
    const { access, addressing } = deps;
    upstreamDeps ??= deps.connect().then((connections) => ({ core, access, addressing, connections }));
    return upstreamDeps;
  };

  return {
    ruleFor(registry, name) {
      const key = `${registry.accountId}/${registry.region}`;
      const found = known.get(key);
      if (found !== undefined && found.until > core.clock.now()) return selectRule(found.rules, name);
      return read(registry, key).then((rules) => selectRule(rules, name));
    },
    forget: ({ accountId, region }) => void known.delete(`${accountId}/${region}`),
    puller() {
      puller ??= Promise.all([open(), import("./pull.ts")]).then(([opened, { createPuller }]) => createPuller(opened, deps));
      return puller;
    },
    upstreamDeps: open,
  };
}
