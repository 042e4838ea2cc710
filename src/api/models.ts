/**
 * The service models, as AWS publishes them, that requests are read and answers are written by. They are data of the program,
 * loaded once when it starts; a model that is missing or broken stops the start.
 */
import { createRequire } from "node:module";
import { loadServiceModel, supplemented } from "#aws/model.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";

const load = createRequire(import.meta.url);

/** The model of the service `ecr`, API version 2015-09-21. Names of repositories are judged by the one parser that there is for them. */
export const ecrModel = loadServiceModel(load("../../models/ecr-2015-09-21.json"), {
  patternTests: { RepositoryName: (text) => parseRepositoryName(text).ok },
});

/** The model of the service `sts`, API version 2011-06-15. */
export const stsModel = loadServiceModel(load("../../models/sts-2011-06-15.json"));

/** The model of the service `iam`, API version 2010-05-08, with the few operations that it lacks and clients call. */
export const iamModel = loadServiceModel(supplemented(load("../../models/iam-2010-05-08.json"), load("../../models/iam-supplement.json")), {
  // Documents may be longer than patterns are tried on; this pattern is one class of characters, so it takes linear time.
  patternTests: { policyDocumentType: (text) => /^[\t\n\r\u0020-\u00FF]+$/.test(text) },
});

/** The model of the service `kms`, API version 2014-11-01. */
export const kmsModel = loadServiceModel(load("../../models/kms-2014-11-01.json"));

/** The model of the service `secretsmanager`, API version 2017-10-17. */
export const secretsModel = loadServiceModel(load("../../models/secretsmanager-2017-10-17.json"));
