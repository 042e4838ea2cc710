import { createRequire } from "node:module";
import { loadServiceModel } from "#aws/model.ts";

/** The model of the service `sts`, API version 2011-06-15. */
export const stsModel = loadServiceModel(createRequire(import.meta.url)("../../../models/sts-2011-06-15.json"));
