/**
 * All operations of the service `kms`, one row each. The compiler holds the table total over the service's model: an operation is
 * offered, or it is refused by name with a reason, and there is no third state.
 */
import type { OperationRow } from "../call.ts";
import { aliasOperations } from "./alias.ts";
import { cryptographyOperations } from "./cryptography.ts";
import { grantOperations } from "./grant.ts";
import { keyOperations } from "./key.ts";
import { keyPolicyOperations } from "./key-policy.ts";
import type { KmsOperations } from "./model/shapes.ts";
import { rotationOperations } from "./rotation.ts";
import { taggingOperations } from "./tagging.ts";

/** The name of an operation of the service `kms`. */
type KmsOperationName = keyof KmsOperations;

/** The row of one operation, with the model's input and output types. */
type KmsRow<Name extends KmsOperationName> = OperationRow<KmsOperations[Name]["input"], KmsOperations[Name]["output"]>;

/** Rows of some operations. */
export type KmsRows<Names extends KmsOperationName> = { readonly [Name in Names]: KmsRow<Name> };

/** What the service `kms` can do. */
export const kmsOperations = {
  ...keyOperations,
  ...keyPolicyOperations,
  ...cryptographyOperations,
  ...aliasOperations,
  ...grantOperations,
  ...rotationOperations,
  ...taggingOperations,
} satisfies { readonly [Name in KmsOperationName]: KmsRow<Name> };
