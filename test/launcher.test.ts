/** `bin/supercargo.js` is started by whatever Node is on the machine and runs the pinned one. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { test } from "node:test";
import { runTool } from "./clients/tool.ts";
import { freePort, runtimeFlags } from "./server-process.ts";

const launcher = new URL("../bin/supercargo.js", import.meta.url).pathname;

/** An older Node on this machine, which cannot run the sources itself. */
const oldNode = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/local/bin", "/usr/bin"]
  .map((folder) => join(folder, "node"))
  .find((file) => /^v(?:2[0-5])\./.test(spawnSync(file, ["--version"], { encoding: "utf8" }).stdout ?? ""));
const available = oldNode === undefined ? { skip: "not installed: a Node older than 26" } : {};

test("an old Node finds the pinned runtime, and exit codes pass through", available, async () => {
  const environment = { PATH: "/nowhere" };
  const version = await runTool([oldNode ?? "", launcher, "--version"], { environment });
  assert.deepEqual([version.status, version.stderr], [0, ""]);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
  const refused = await runTool([oldNode ?? "", launcher, "gc", "--data", "/nowhere"], { environment });
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /there is no registry in \/nowhere/);
});

test("the launcher gives the runtime what the scripts give it", () => {
  assert.ok(runtimeFlags.length > 0);
  const [, literal = ""] = /const runtimeFlags = (\[.*\]);/.exec(readFileSync(launcher, "utf8")) ?? [];
  assert.deepEqual(JSON.parse(literal), runtimeFlags);
  const { scripts } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { scripts: Record<string, string> };
  assert.equal(scripts["start"], `exec node ${runtimeFlags.join(" ")} src/cli/main.ts serve`);
  assert.equal(scripts["supercargo"], `exec node ${runtimeFlags.join(" ")} src/cli/main.ts`);
});

test("signals reach the server, and its end is the launcher's", available, async () => {
  const data = mkdtempSync(join(tmpdir(), "supercargo-launcher-"));
  try {
    for (const [signal, end] of [
      ["SIGTERM", [0, null]],
      ["SIGINT", [0, null]],
    ] as const) {
      const words = [launcher, "serve", "--data", data, "--listen", `127.0.0.1:${await freePort()}`];
      const started = spawn(oldNode ?? "", words, { stdio: ["ignore", "pipe", "ignore"] });
      await once(started.stdout, "data");
      // What the server hears of right away must not be lost before it listens for signals.
      started.kill(signal);
      assert.deepEqual(await once(started, "exit"), end);
    }
  } finally {
    rmSync(data, { recursive: true });
  }
});

test("without the pinned runtime an old Node says what to do", available, async () => {
  const folder = mkdtempSync(join(tmpdir(), "supercargo-launcher-"));
  try {
    mkdirSync(join(folder, "bin"));
    cpSync(launcher, join(folder, "bin", "supercargo.mjs"));
    const result = await runTool([oldNode ?? "", join(folder, "bin", "supercargo.mjs"), "serve"]);
    assert.equal(result.status, 1);
    assert.match(
      result.stderr,
      /^supercargo needs Node 26 or newer and found v2\d\.\S+ Run 'npm ci' in \S+: it installs the runtime too\.\n$/,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
