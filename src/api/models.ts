/**
 * The service models, as AWS publishes them, that requests are read and answers are written by. They are data of the program,
 * loaded once when it starts; a model that is missing or broken stops the start.
 */
import { createRequire } from "node:module";
import { loadServiceModel } from "#aws/model.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";

const load = createRequire(import.meta.url);

/** The model of the service `ecr`, API version 2015-09-21. Names of repositories are judged by the one parser that there is for them. */
export const ecrModel = loadServiceModel(load("../../models/ecr-2015-09-21.json"), {
  patternTests: { RepositoryName: (text) => parseRepositoryName(text).ok },
});

/** The model of the service `sts`, API version 2011-06-15. */
export const stsModel = loadServiceModel(load("../../models/sts-2011-06-15.json"));
