/**
 * All operations of the service `ecr`, one row each. The compiler holds the table total over the service's model:
 * an operation is offered, or it is refused by name with a reason, and there is no third state.
 */
import type { OperationRow, RefusedRow } from "../call.ts";
import { authorizationOperations } from "./authorization.ts";
import { imageListingOperations } from "./image-listing.ts";
import { imageOperations } from "./image.ts";
import { layerOperations } from "./layer.ts";
import type { EcrOperations, UploadLayerPartRequest } from "./model/shapes.ts";
import type { ReceivedBlob } from "./received-blob.ts";
import { registryPolicyOperations } from "./registry-policy.ts";
import { registryOperations } from "./registry.ts";
import { repositoryPolicyOperations } from "./repository-policy.ts";
import { repositoryOperations } from "./repository.ts";
import { tagMutabilityOperations } from "./tag-mutability.ts";
import { taggingOperations } from "./tagging.ts";
import { unsupportedOperations } from "./unsupported.ts";

/** The name of an operation of the service `ecr`. */
export type EcrOperationName = keyof EcrOperations;

/** The input of UploadLayerPart once it is decoded: its bytes are not in the JSON any more but beside it. */
export type UploadLayerPartInput = Omit<UploadLayerPartRequest, "layerPartBlob"> & { readonly layerPartBlob: ReceivedBlob };

type InputOf<Name extends EcrOperationName> = Name extends "UploadLayerPart" ? UploadLayerPartInput : EcrOperations[Name]["input"];

/** The row of one operation, with the model's input and output types. */
export type EcrRow<Name extends EcrOperationName> = OperationRow<InputOf<Name>, EcrOperations[Name]["output"]>;

/** Rows of some operations. */
export type EcrRows<Names extends EcrOperationName> = { readonly [Name in Names]: EcrRow<Name> };

/** What the service `ecr` can do. */
export const ecrOperations = {
  ...authorizationOperations,
  ...registryOperations,
  ...registryPolicyOperations,
  ...repositoryOperations,
  ...repositoryPolicyOperations,
  ...tagMutabilityOperations,
  ...taggingOperations,
  ...layerOperations,
  ...imageOperations,
  ...imageListingOperations,
  ...unsupportedOperations,
} satisfies { readonly [Name in EcrOperationName]: EcrRow<Name> | RefusedRow };
