import { strict as assert } from "node:assert";
import { test } from "node:test";
import { generateModels } from "./generate-models.ts";

test("every operation of the services has its types", () => {
  const operations = [...generateModels().values()].map((content) => content.match(/^ {4}readonly input: /gm)?.length);
  assert.deepEqual(operations, [58, 11, 34, 122, 18]);
});
