/**
 * Loaded before the server by `node bench/lifecycle.ts`: measures how long each transaction holds SQLite's writer. SIGUSR2 writes what was
 * measured since the last one to the file that BENCH_PROBE_FILE names.
 */
import { renameSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

/** What was measured: the longest transactions in milliseconds, without and with the commit, and how many there were. */
export interface ProbeReport {
  readonly transactions: number;
  readonly longestMs: number;
  readonly longestWithCommitMs: number;
  readonly longestLoopMs: number;
  readonly cpuMs: number;
}

const file = process.env["BENCH_PROBE_FILE"];
let beganAt = 0;
let measured = { transactions: 0, longestMs: 0, longestWithCommitMs: 0 };
let longestLoopMs = 0;
let cpuBefore = process.cpuUsage();

const prepare = Reflect.get(DatabaseSync.prototype, "prepare");
DatabaseSync.prototype.prepare = function (this: DatabaseSync, text: string) {
  const statement = prepare.call(this, text);
  if (text === "begin immediate") {
    const run = statement.run.bind(statement);
    statement.run = (...values: never[]) => {
      const result = run(...values);
      beganAt = performance.now();
      return result;
    };
  } else if (text === "commit") {
    const run = statement.run.bind(statement);
    statement.run = (...values: never[]) => {
      const heldMs = performance.now() - beganAt;
      const result = run(...values);
      measured.transactions += 1;
      measured.longestMs = Math.max(measured.longestMs, heldMs);
      measured.longestWithCommitMs = Math.max(measured.longestWithCommitMs, performance.now() - beganAt);
      return result;
    };
  }
  return statement;
};

let turnedAt = performance.now();
setInterval(() => {
  const now = performance.now();
  longestLoopMs = Math.max(longestLoopMs, now - turnedAt - 5);
  turnedAt = now;
}, 5).unref();

if (file !== undefined) {
  process.on("SIGUSR2", () => {
    const cpu = process.cpuUsage(cpuBefore);
    cpuBefore = process.cpuUsage();
    const report: ProbeReport = { ...measured, longestLoopMs, cpuMs: (cpu.user + cpu.system) / 1_000 };
    measured = { transactions: 0, longestMs: 0, longestWithCommitMs: 0 };
    longestLoopMs = 0;
    writeFileSync(`${file}.part`, JSON.stringify(report));
    renameSync(`${file}.part`, file);
  });
}
