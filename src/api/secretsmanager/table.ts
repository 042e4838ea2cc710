/**
 * All operations of the service `secretsmanager`, one row each. The compiler holds the table total over the service's model: an operation
 * that the model has and this table has not does not compile.
 */
import type { OperationRow, RefusedRow } from "../call.ts";
import { batchOperations } from "./batch.ts";
import { listingOperations } from "./listing.ts";
import type { SecretsOperations } from "./model/shapes.ts";
import { randomPasswordOperations } from "./random-password.ts";
import { resourcePolicyOperations } from "./resource-policy.ts";
import { secretOperations } from "./secret.ts";
import { taggingOperations } from "./tagging.ts";
import { versionOperations } from "./version.ts";

/** The name of an operation of the service `secretsmanager`. */
export type SecretsOperationName = keyof SecretsOperations;

/** The row of one operation, with the model's input and output types. */
export type SecretsRow<Name extends SecretsOperationName> = OperationRow<
  SecretsOperations[Name]["input"],
  SecretsOperations[Name]["output"]
>;

/** Rows of some operations. */
export type SecretsRows<Names extends SecretsOperationName> = { readonly [Name in Names]: SecretsRow<Name> };

/** What the service `secretsmanager` can do. */
export const secretsOperations = {
  ...secretOperations,
  ...versionOperations,
  ...batchOperations,
  ...randomPasswordOperations,
  ...listingOperations,
  ...taggingOperations,
  ...resourcePolicyOperations,
} satisfies { readonly [Name in SecretsOperationName]: SecretsRow<Name> | RefusedRow };
