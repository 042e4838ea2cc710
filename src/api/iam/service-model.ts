import { createRequire } from "node:module";
import { loadServiceModel, supplemented } from "#aws/model.ts";

const load = createRequire(import.meta.url);

/** The model of the service `iam`, API version 2010-05-08, with the few operations that it lacks and clients call. */
export const iamModel = loadServiceModel(
  supplemented(load("../../../models/iam-2010-05-08.json"), load("../../../models/iam-supplement.json")),
  {
    // Documents may be longer than patterns are tried on; this pattern is one class of characters, so it takes linear time.
    patternTests: { policyDocumentType: (text) => /^[\t\n\r\u0020-\u00FF]+$/.test(text) },
  },
);
