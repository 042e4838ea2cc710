import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdirSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { silentLog } from "#std/log.ts";
import { ControlRefused, callControl, nobodyListens, openControlSocket } from "./control.ts";
import { createLog } from "./log.ts";
import { startServer } from "./serve.ts";
import { makeFolder, settingsFor, startInProcess } from "./testing/in-process.ts";
import type { InProcessServer } from "./testing/in-process.ts";

const quiet = { ...silentLog, flush() {} };
let running: InProcessServer;
before(async () => {
  running = await startInProcess();
});
after(() => running.close());

function control(command: string, input: unknown = {}): Promise<unknown> {
  return callControl(running.server.foundation.paths.controlSocket, command, input);
}

test("the socket is the owner's alone", () => {
  assert.equal(statSync(running.server.foundation.paths.controlSocket).mode & 0o777, 0o600);
});

test("a second server on the same data folder is refused in clear words and changes nothing", async () => {
  const before = await control("gc");
  const secondKey = { SUPERCARGO_ROOT_ACCESS_KEY_ID: "AKIASECONDSERVER0000", SUPERCARGO_ROOT_SECRET_ACCESS_KEY: "second/Secret0123456789" };
  const second = settingsFor(running.folder, secondKey);
  for (let attempt = 0; attempt < 2; attempt++)
    await assert.rejects(startServer(second, quiet, ""), /data folder .*data is in use by another supercargo process.*SUPERCARGO_DATA/);
  assert.ok(before !== undefined && (await control("gc")) !== undefined, "the first one's socket still answers");
  // The second one's key did not take the first one's place.
  await running.call("DescribeRepositories", {});
});

test("of servers that start at once on one folder one runs", async () => {
  const folder = makeFolder();
  const starts = await Promise.allSettled([1, 2, 3].map(() => startServer(settingsFor(folder), quiet, "")));
  const started = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
  assert.equal(started.length, 1);
  await started[0]?.stop();
  rmSync(folder, { recursive: true });
});

test("a start that fails leaves the folder free and nothing listening", async () => {
  const folder = makeFolder();
  const taken = createServer();
  await new Promise<void>((resolve) => void taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as { port: number };
  const settings = settingsFor(folder, { SUPERCARGO_LISTEN: `127.0.0.1:${port}` });
  await assert.rejects(
    startServer(settings, quiet, ""),
    /cannot listen on 127\.0\.0\.1:\d+: something else listens there already.*SUPERCARGO_LISTEN/,
  );
  // Nothing was made, so the root key of the first start is still to be shown.
  assert.equal(existsSync(join(folder, "data", "registry.sqlite")), false);
  taken.close();
  await once(taken, "close");
  const server = await startServer(settings, quiet, "");
  await server.stop();
  rmSync(folder, { recursive: true });
});

test("the socket of a server that was killed is replaced, and so is anything else of that name", async () => {
  const folder = makeFolder();
  const path = join(folder, "data", "control.sock");
  mkdirSync(join(folder, "data"));
  const program = `require("net").createServer().listen(${JSON.stringify(path)}, () => console.log("ready"))`;
  const killed = spawn(process.execPath, ["--eval", program], { stdio: ["ignore", "pipe", "inherit"] });
  await once(killed.stdout, "data");
  killed.kill("SIGKILL");
  await once(killed, "exit");
  assert.ok(existsSync(path));
  assert.ok(nobodyListens(await callControl(path, "gc", {}).catch((error: unknown) => error)));
  for (const make of [() => undefined, () => writeFileSync(path, "restored from a backup")]) {
    make();
    const server = await startServer(settingsFor(folder), quiet, "");
    assert.ok(await callControl(path, "gc", {}));
    await server.stop();
  }
  assert.ok(nobodyListens(await callControl(path, "gc", {}).catch((error: unknown) => error)));
  rmSync(folder, { recursive: true });
});

test("a data folder whose path is longer than a socket's may be works like any other", async () => {
  const folder = makeFolder();
  const data = join(folder, "x".repeat(100), "y".repeat(100));
  const server = await startServer(settingsFor(folder, { SUPERCARGO_DATA: data }), quiet, "");
  const path = join(data, "control.sock");
  assert.ok(Buffer.byteLength(path) > 200);
  assert.ok(statSync(path).isSocket());
  assert.ok(await callControl(path, "gc", {}));
  await server.stop();
  assert.equal(existsSync(path), false);
  rmSync(folder, { recursive: true });
});

test("commands: garbage collection, restore and purge", async () => {
  await running.call("CreateRepository", { repositoryName: "kept" });
  const report = (await control("gc", { graceMs: 0 })) as { failures: number };
  assert.equal(report.failures, 0);
  await running.call("DeleteRepository", { repositoryName: "kept" });
  assert.deepEqual(await control("restore", { repository: "kept" }), { restored: "repository" });
  await running.call("DescribeRepositories", { repositoryNames: ["kept"] });
});

const digest = `sha256:${"0".repeat(64)}`;
const refusals: readonly (readonly [command: string, input: unknown, words: RegExp])[] = [
  [
    "restore",
    { repository: "kept" },
    /^the repository 'kept' exists in the registry of account 000000000000 in us-east-1.*--tag or --digest$/,
  ],
  ["restore", { repository: "never" }, /^there is no deleted repository 'never' in the registry of account 000000000000 in us-east-1/],
  ["restore", { repository: "kept", region: "eu-west-1" }, /in eu-west-1/],
  ["restore", { repository: "kept", account: "111122223333" }, /of account 111122223333/],
  ["restore", { repository: "never", tag: "1" }, /^there is no repository 'never'.*supercargo restore never$/],
  ["restore", { repository: "kept", tag: "1" }, /^no deletion of the tag '1' of 'kept' can be found.*undo window is over$/],
  ["purge", { repository: "kept", digest }, /^no deletion of sha256:0+ of 'kept' can be found/],
  ["purge", { repository: "kept" }, /tag or a digest must be given/],
  ["restore", { repository: "UPPER" }, /repository name/],
  ["restore", {}, /^repository: /],
  ["gc", { graceMs: -1 }, /^graceMs: /],
  ["gc", [], /expected object/],
  ["no-such-command", {}, /^unknown command 'no-such-command'$/],
  ["toString", {}, /^unknown command 'toString'$/],
  ["gc", { filler: "x".repeat(1_100_000) }, /^command too large$/],
];
for (const [command, input, words] of refusals) {
  test(`refused: ${command} ${JSON.stringify(input).slice(0, 60)}`, async () => {
    await assert.rejects(control(command, input), (error) => error instanceof ControlRefused && words.test(error.message));
  });
}

test("a connection that breaks in the middle of a command is not taken for no server", async () => {
  const folder = makeFolder();
  const path = join(folder, "control.sock");
  const breaking = createServer((socket) => socket.once("data", () => socket.destroy()));
  await new Promise<void>((resolve) => void breaking.listen(path, resolve));
  const error: unknown = await callControl(path, "gc", {}).catch((caught: unknown) => caught);
  assert.ok(error instanceof Error && !nobodyListens(error));
  breaking.close();
  rmSync(folder, { recursive: true });
});

test("a command that fails is logged without ending the socket", async () => {
  const folder = makeFolder();
  const path = join(folder, "control.sock");
  const descriptor = openSync(join(folder, "log"), "a");
  const log = createLog("error", descriptor);
  const socket = await openControlSocket(path, async (command) => (command === "fail" ? Promise.reject(new Error("broken")) : "fine"), log);
  await assert.rejects(callControl(path, "fail", {}), /^ControlRefused: broken$/);
  assert.equal(await callControl(path, "work", {}), "fine");
  await socket.close();
  closeSync(descriptor);
  rmSync(folder, { recursive: true });
});
