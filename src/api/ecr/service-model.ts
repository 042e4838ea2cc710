/** The service model, as AWS publishes it, that requests are read and answers are written by; a model that is missing or broken stops the start. */
import { createRequire } from "node:module";
import { loadServiceModel } from "#aws/model.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";

/** The model of the service `ecr`, API version 2015-09-21. Names of repositories are judged by the one parser that there is for them. */
export const ecrModel = loadServiceModel(createRequire(import.meta.url)("../../../models/ecr-2015-09-21.json"), {
  patternTests: { RepositoryName: (text) => parseRepositoryName(text).ok },
});
