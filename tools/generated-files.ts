/** Everything that is generated, as path → content: written by `npm run generate`, compared by `generated.test.ts`. */
import { generateApiCoverage } from "./generate-api-coverage.ts";
import { generateConfiguration } from "./generate-configuration.ts";
import { generateErrors } from "./generate-errors.ts";
import { generateModels } from "./generate-models.ts";
import { generateSchema } from "./generate-schema.ts";

/** All generated files of the project. */
export async function generatedFiles(): Promise<Map<string, string>> {
  return new Map([
    ...generateModels(),
    ...generateApiCoverage(),
    ["docs/generated/configuration.md", generateConfiguration()],
    ["docs/generated/errors.md", generateErrors()],
    ["docs/generated/schema.sql", await generateSchema()],
  ]);
}
