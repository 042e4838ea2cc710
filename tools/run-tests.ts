/**
 * `npm test`: every `*.test.ts` beside the code and under test/, with Node's own test runner, a process a file.
 * Journeys with foreign clients (test/clients) and long faults (test/faults) are for `.ci/run`, or named as arguments:
 * `npm test -- 'test/clients/docker.test.ts'`.
 */
import { globSync } from "node:fs";
import { spec } from "node:test/reporters";
import { run } from "node:test";

const asked = process.argv.slice(2);
const journeys = ["test/clients/**", "test/faults/**"];
const files = (
  asked.length > 0 ? globSync(asked) : globSync(["src/**/*.test.ts", "test/**/*.test.ts", "tools/*.test.ts"], { exclude: journeys })
).toSorted();
if (files.length === 0) throw new Error(`no test files match ${asked.join(" ")}`);

let passed = 0;
let failed = 0;
let skipped = 0;
const isQuiet = process.env["TEST_REPORT"] !== "spec";
const stream = run({
  files,
  concurrency: asked.some((name) => name.includes("clients") || name.includes("faults")) ? 1 : 3,
});
if (!isQuiet) stream.compose(spec).pipe(process.stdout);
stream.on("test:pass", (event) => {
  if (event.details.type === "suite") return;
  if (event.skip !== undefined && event.skip !== false) {
    skipped++;
    process.stdout.write(`skipped: ${event.name}: ${String(event.skip)}\n`);
  } else passed++;
});
stream.on("test:fail", (event) => {
  const error = event.details.error as Error & { cause?: unknown };
  // A suite or file fails because something inside it did; that is reported once, where it happened.
  if (event.details.type === "suite" || /subtests? failed/.test(error.message)) return;
  failed++;
  const cause = error.cause instanceof Error ? (error.cause.stack ?? error.cause.message) : (error.stack ?? error.message);
  process.stdout.write(`FAILED ${event.file ?? ""}: ${event.name}\n${cause}\n\n`);
});
stream.on("test:stderr", (event) => process.stderr.write(event.message));
stream.on("test:stdout", (event) => {
  if (asked.length > 0) process.stdout.write(event.message);
});
stream.once("end", () => {
  process.stdout.write(`${files.length} test files\n${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
});
stream.resume();
