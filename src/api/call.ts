/**
 * The shape of the control plane: what a handler is given, and the columns that every operation's row has.
 */
import type { Access } from "#access/access.ts";
import type { RequestOrigin } from "#access/request-origin.ts";
import type { Principal } from "#access/principal.ts";
import type { OpenIdKeys } from "#identity/openid-keys.ts";
import type { PullThrough } from "#pullthrough/pull-through.ts";
import type { Addressing } from "#registry/addressing.ts";
import type { RegistryContext, RegistryRef } from "#registry/context.ts";
import type { Exchange } from "#std/exchange.ts";

/** One authenticated call. */
export interface ApiCall {
  readonly principal: Principal;
  /** The region of the signature: the one the call is about. */
  readonly region: string;
  readonly context: RegistryContext;
  readonly access: Access;
  readonly addressing: Addressing;
  readonly pullThrough: PullThrough;
  readonly openIdKeys: OpenIdKeys;
  /** For the audit log; handlers answer by what they return. */
  readonly exchange: Pick<Exchange, "audit" | "decided">;
  /** How the client reached us; URLs in answers are made for it. */
  readonly origin: RequestOrigin;
}

/** Now, or after a look at what is stored. */
type Eventually<T> = T | Promise<T>;

/** A permission on one resource. */
export interface AskedPermission {
  readonly action: string;
  readonly resource: string;
  /** Where conditions see something else than the row's {@link OperationRow.conditionKeys} on this resource. */
  readonly keys?: Readonly<Record<string, string | readonly string[]>>;
}

/** An operation that is offered. The pipeline runs `check`, then the permissions, then `handle`; no handler authorizes, but for items of a batch that are refused one by one. */
export interface OperationRow<Input, Output> {
  /** The permission that the call needs, such as `ecr:CreateRepository`. */
  readonly action: string;
  /** The ARN that the permission is asked on, or `*`; several when an input names several resources. */
  readonly resource: (call: ApiCall, input: Input) => Eventually<string | readonly string[]>;
  /** Further permissions on the same resources that this input needs. */
  readonly alsoNeeds?: (input: Input) => readonly string[];
  /** Further permissions on other resources, such as `iam:PassRole` on the role that is given away. */
  readonly alsoAsks?: (call: ApiCall, input: Input) => Eventually<readonly AskedPermission[]>;
  /** Condition keys that only this operation's input can tell: tags in the request, `iam:PolicyARN` and the like. */
  readonly conditionKeys?: (call: ApiCall, input: Input) => Eventually<Readonly<Record<string, string | readonly string[]>>>;
  /** Rules between members that the model cannot state; throws ApiFault. Runs before the permissions, as ECR does it. */
  readonly check?: (input: Input) => void;
  /** `none`: the caller is unknown to the registry and proves who they are by what is in the input. A signature when absent. */
  readonly credentials?: "none";
  /** With `credentials: "none"`: says who asks by what is in the input, before any permission is looked at. Throws ApiFault. */
  readonly identify?: (call: ApiCall, input: Input) => Promise<Principal>;
  /** For the few bodies that may be larger than the service's usual limit. */
  readonly bodyLimitBytes?: number;
  readonly handle: (call: ApiCall, input: Input) => Promise<Output>;
}

/** An operation that the service has and that is refused by name. */
export interface RefusedRow {
  readonly action: string;
  /** Why, as the caller reads it. */
  readonly refused: string;
}

/** The registry that an input means: its `registryId`, else the caller's own, in the region of the signature. */
export function registryOf(call: ApiCall, input: { readonly registryId?: string | undefined }): RegistryRef {
  return { accountId: input.registryId ?? call.principal.accountId, region: call.region };
}

/** The caller's own registry in the region of the signature, which operations without a `registryId` are about. */
export function ownRegistry(call: ApiCall): RegistryRef {
  return registryOf(call, {});
}
