/**
 * All operations of the service `sts`, one row each. The compiler holds the table total over the service's model: an operation is
 * offered, or it is refused by name with a reason, and there is no third state.
 */
import type { OperationRow, RefusedRow } from "../call.ts";
import { callerOperations } from "./access-key-info.ts";
import { assumeRoleOperations } from "./assume-role.ts";
import type { StsOperations } from "./model/shapes.ts";
import { samlOperations } from "./saml.ts";
import { sessionTokenOperations } from "./session-token.ts";
import { webIdentityOperations } from "./web-identity.ts";

/** The name of an operation of the service `sts`. */
export type StsOperationName = keyof StsOperations;

/** The row of one operation, with the model's input and output types. */
export type StsRow<Name extends StsOperationName> = OperationRow<StsOperations[Name]["input"], StsOperations[Name]["output"]>;

/** Rows of some operations. */
export type StsRows<Names extends StsOperationName> = { readonly [Name in Names]: StsRow<Name> };

const refuse = (name: string, refused: string): RefusedRow => ({ action: `sts:${name}`, refused });

/** What the service `sts` can do. */
export const stsOperations = {
  ...assumeRoleOperations,
  ...webIdentityOperations,
  ...samlOperations,
  ...sessionTokenOperations,
  ...callerOperations,
  AssumeRoot: refuse("AssumeRoot", "its accounts belong to no organization that could act in their name"),
  GetDelegatedAccessToken: refuse("GetDelegatedAccessToken", "it delegates to nobody"),
  GetWebIdentityToken: refuse("GetWebIdentityToken", "it is no identity provider for others"),
} satisfies { readonly [Name in StsOperationName]: StsRow<Name> | RefusedRow };
