/** `npm run generate`: writes everything that is made from tables and models. `tools/generated.test.ts` fails when something is out of date. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { generatedFiles } from "./generated-files.ts";

const root = new URL("..", import.meta.url).pathname;
for (const [path, content] of await generatedFiles()) {
  mkdirSync(dirname(`${root}${path}`), { recursive: true });
  writeFileSync(`${root}${path}`, content);
  process.stdout.write(`${path}\n`);
}
