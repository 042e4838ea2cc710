/**
 * `npm test`: every `*.test.ts` beside the code and under test/, with Node's own test runner, a process a file.
 * Journeys with foreign clients (test/clients) and long faults (test/faults) are for `.ci/run`, or named as arguments:
 * `npm test -- 'test/clients/docker.test.ts'`.
 *
 * A file has a time limit and so has the whole: a test that waits for ever is a failure with a name, never a run without an end.
 */
import { spawn } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestLine } from "./test-lines.ts";

const asked = process.argv.slice(2);
const journeys = ["test/clients/**", "test/faults/**"];
const files = (
  asked.length > 0 ? globSync(asked) : globSync(["src/**/*.test.ts", "test/**/*.test.ts", "tools/*.test.ts"], { exclude: journeys })
).toSorted();
if (files.length === 0) throw new Error(`no test files match ${asked.join(" ")}`);

const hasJourneys = files.some((name) => /^test\/(?:clients|faults)\//.test(name));
/** Journeys measure memory and time, so they run one at a time. */
const concurrency = hasJourneys ? 1 : 3;
const fileLimitMs = (hasJourneys ? 20 : 4) * 60_000;
const wholeLimitMs = (hasJourneys ? 40 : 15) * 60_000;

const reporter = fileURLToPath(new URL("test-lines.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "test-lines-"));
const counts = { passed: 0, failed: 0, skipped: 0 };
const running = new Map<string, number>();
let ended = 0;

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => finish(1));
// Said now and then, so that a log that was cut off tells where the time went.
setInterval(() => print(`${seconds()} s: ${ended} of ${files.length} files, now ${[...running.keys()].join(", ")}`), 60_000).unref();

const queue = files.entries();
await Promise.all(
  Array.from({ length: concurrency }, async () => {
    for (const [index, file] of queue) await runFile(file, join(folder, String(index)));
  }),
);
print(`${files.length} test files, ${seconds()} s`);
print(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
finish(counts.failed === 0 && counts.passed > 0 ? 0 : 1);

/** Runs one file in a process group of its own and counts what its lines say. What it leaves running is ended with it. */
async function runFile(file: string, linesFile: string): Promise<void> {
  const limitMs = Math.min(fileLimitMs, wholeLimitMs - performance.now());
  if (limitMs <= 0) return fail(file, "not run", `the whole took longer than ${wholeLimitMs / 60_000} minutes`);
  const child = spawn(process.execPath, [`--test-reporter=${reporter}`, `--test-reporter-destination=${linesFile}`, file], {
    detached: true,
    stdio: ["ignore", asked.length > 0 ? "inherit" : "ignore", "inherit"],
  });
  const pid = child.pid ?? 0;
  const startedAt = seconds();
  running.set(file, pid);
  let isLate = false;
  const limit = setTimeout(() => {
    isLate = true;
    killGroup(pid);
  }, limitMs);
  const status = await new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(code === null ? `ended by ${signal}` : `ended with ${code}`));
  });
  clearTimeout(limit);
  killGroup(pid);
  running.delete(file);
  ended++;
  if (hasJourneys) print(`${file}: ${seconds() - startedAt} s`);
  const lines = readLines(linesFile);
  const failures = count(file, lines);
  if (isLate) fail(file, `still running after ${Math.round(limitMs / 1000)} s`, unfinished(lines).join("\n"));
  else if (status !== "ended with 0" && failures === 0) fail(file, "the file itself", status);
  else if (lines.length === 0) fail(file, "the file itself", "has no test in it");
}

/** Adds the lines of a file to the counts, prints its failures and what it skipped, and returns how many failed. */
function count(file: string, lines: readonly TestLine[]): number {
  const before = counts.failed;
  for (const line of lines) {
    if (line.is === "passed") counts.passed++;
    if (line.is === "failed") fail(file, line.name, line.detail);
    if (line.is === "skipped") {
      counts.skipped++;
      print(`skipped: ${line.name}: ${line.reason}`);
    }
  }
  return counts.failed - before;
}

function fail(file: string, name: string, detail: string): void {
  counts.failed++;
  print(`FAILED ${file}: ${name}\n${detail}\n`);
}

/** The tests that began and did not end. Names that repeat are counted. */
function unfinished(lines: readonly TestLine[]): string[] {
  const open: string[] = [];
  for (const { is, name } of lines) {
    if (is === "begun") open.push(name);
    const at = open.lastIndexOf(name);
    if (is === "ended" && at !== -1) open.splice(at, 1);
  }
  return open.length > 0 ? open.map((name) => `unfinished: ${name}`) : ["every test ended, but the process did not"];
}

/** A file that could not be loaded leaves none; one that was killed may leave a last line that is cut off. */
function readLines(path: string): TestLine[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return [];
  }
  return text.split("\n").slice(0, -1).map(readLine);
}

function readLine(text: string): TestLine {
  try {
    return JSON.parse(text) as TestLine;
  } catch {
    return { is: "failed", name: "the file itself", detail: `wrote into its own report: ${text.slice(0, 200)}` };
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nothing of it is left.
  }
}

function finish(code: number): never {
  for (const pid of running.values()) killGroup(pid);
  rmSync(folder, { recursive: true, force: true });
  process.exit(code);
}

function seconds(): number {
  return Math.round(performance.now() / 1000);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
