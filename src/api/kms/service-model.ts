import { createRequire } from "node:module";
import { loadServiceModel, supplemented } from "#aws/model.ts";

const load = createRequire(import.meta.url);

/** The model of the service `kms`, API version 2014-11-01, with what it lacks and clients call. */
export const kmsModel = loadServiceModel(
  supplemented(load("../../../models/kms-2014-11-01.json"), load("../../../models/kms-supplement.json")),
);
