import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { coveredOperations, generateApiCoverage } from "./generate-api-coverage.ts";

const root = join(import.meta.dirname, "..");

test("the checked-in page is what the tables give", () => {
  for (const [file, content] of generateApiCoverage())
    assert.equal(readFileSync(join(root, file), "utf8"), content, `${file}: run npm run generate`);
});

test("every operation of the models is in the page exactly once", () => {
  for (const [service, file] of [
    ["ecr", "models/ecr-2015-09-21.json"],
    ["sts", "models/sts-2011-06-15.json"],
  ] as const) {
    const model = JSON.parse(readFileSync(join(root, file), "utf8")) as { operations: Record<string, unknown> };
    const listed = coveredOperations().filter((operation) => operation.service === service);
    assert.deepEqual(
      listed.map(({ operation }) => operation),
      Object.keys(model.operations).toSorted(),
    );
  }
});

test("every operation has a permission of its service, and every refused one a reason", () => {
  for (const { service, operation, action, state, reason } of coveredOperations()) {
    assert.match(action, new RegExp(`^${service}:[A-Z][A-Za-z]+$`), operation);
    assert.equal(state === "refused", reason !== "", operation);
  }
});

test("every operation of ecr is offered: its table has errors in the place of reasons", () => {
  const refused = coveredOperations().filter(({ service, state }) => service === "ecr" && state === "refused");
  assert.deepEqual(refused, []);
});
