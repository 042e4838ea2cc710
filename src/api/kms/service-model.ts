import { createRequire } from "node:module";
import { loadServiceModel } from "#aws/model.ts";

/** The model of the service `kms`, API version 2014-11-01. */
export const kmsModel = loadServiceModel(createRequire(import.meta.url)("../../../models/kms-2014-11-01.json"));
