import { createRequire } from "node:module";
import { loadServiceModel, supplemented } from "#aws/model.ts";

const load = createRequire(import.meta.url);

/** The model of the service `secretsmanager`, API version 2017-10-17, with the operations that it lacks and clients call. */
export const secretsModel = loadServiceModel(
  supplemented(load("../../../models/secretsmanager-2017-10-17.json"), load("../../../models/secretsmanager-supplement.json")),
);
