import { createRequire } from "node:module";
import { loadServiceModel } from "#aws/model.ts";

/** The model of the service `secretsmanager`, API version 2017-10-17. */
export const secretsModel = loadServiceModel(createRequire(import.meta.url)("../../../models/secretsmanager-2017-10-17.json"));
