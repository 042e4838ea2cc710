/**
 * All operations of the service `ecr`, one row each: all are offered. The compiler holds the table total over the service's model.
 */
import type { OperationRow } from "../call.ts";
import { accountSettingOperations } from "./account-setting.ts";
import { authorizationOperations } from "./authorization.ts";
import { creationTemplateOperations } from "./creation-template.ts";
import { imageListingOperations } from "./image-listing.ts";
import { imageOperations } from "./image.ts";
import { layerOperations } from "./layer.ts";
import { lifecycleOperations } from "./lifecycle.ts";
import type { EcrOperations, UploadLayerPartRequest } from "./model/shapes.ts";
import { pullTimeOperations } from "./pull-time.ts";
import type { ReceivedBlob } from "./received-blob.ts";
import { referrerOperations } from "./referrer.ts";
import { pullThroughRuleOperations } from "./pull-through-rule.ts";
import { registryPolicyOperations } from "./registry-policy.ts";
import { registryOperations } from "./registry.ts";
import { replicationOperations } from "./replication.ts";
import { repositoryPolicyOperations } from "./repository-policy.ts";
import { repositoryOperations } from "./repository.ts";
import { storageClassOperations } from "./storage-class.ts";
import { scanFindingOperations } from "./scan-findings.ts";
import { scanningOperations } from "./scanning.ts";
import { signingOperations } from "./signing.ts";
import { tagMutabilityOperations } from "./tag-mutability.ts";
import { taggingOperations } from "./tagging.ts";

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
  ...scanningOperations,
  ...scanFindingOperations,
  ...signingOperations,
  ...taggingOperations,
  ...layerOperations,
  ...imageOperations,
  ...imageListingOperations,
  ...accountSettingOperations,
  ...creationTemplateOperations,
  ...pullTimeOperations,
  ...referrerOperations,
  ...storageClassOperations,
  ...replicationOperations,
  ...pullThroughRuleOperations,
  ...lifecycleOperations,
} satisfies EcrRows<EcrOperationName>;
