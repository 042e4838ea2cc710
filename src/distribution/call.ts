/** What a handler is given: one request that has been matched, authenticated and authorized. */
import type { Access } from "#access/access.ts";
import type { Principal } from "#access/principal.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { PullThrough } from "#pullthrough/pull-through.ts";
import type { Addressing } from "#registry/addressing.ts";
import type { RegistryContext, RegistryCore, RegistryRef } from "#registry/context.ts";
import type { ByteBudget } from "#std/byte-budget.ts";
import type { Exchange } from "#std/exchange.ts";
import type { RegistryPath } from "./path.ts";

/** What the data plane stands on, for the life of the process. */
export interface DistributionDeps {
  readonly core: RegistryCore;
  readonly access: Access;
  readonly addressing: Addressing;
  readonly pullThrough: PullThrough;
  /** Bytes of manifests that may be in memory before they are stored; has a default. */
  readonly budget?: ByteBudget;
}

/** A request whose caller is known and allowed. */
export interface Call {
  readonly exchange: Exchange;
  readonly context: RegistryContext;
  readonly access: Access;
  readonly addressing: Addressing;
  readonly pullThrough: PullThrough;
  readonly budget: ByteBudget;
  readonly principal: Principal;
  readonly registry: RegistryRef;
  readonly path: RegistryPath;
  readonly query: URLSearchParams;
}

/** A call about one repository, which need not exist. */
export interface RepositoryCall extends Call {
  readonly name: RepositoryName;
}
