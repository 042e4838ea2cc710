import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { generatedFiles } from "./generated-files.ts";

const root = new URL("..", import.meta.url).pathname;
for (const [path, content] of await generatedFiles()) {
  test(`${path} is what the tables and models say (npm run generate)`, () => {
    assert.ok(existsSync(`${root}${path}`), `${path} is missing`);
    assert.equal(readFileSync(`${root}${path}`, "utf8"), content);
  });
}
