/** Machines are enrolled by the command line, and stock SDKs find the credentials of their role: by the container variables, and by the agent. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { json, mustRun, runTool } from "./tool.ts";
import type { ToolResult } from "./tool.ts";

const installed = spawnSync("python3", ["-c", "import boto3"]).status === 0 ? {} : { skip: "not installed: python3's boto3" };
const command = [process.execPath, new URL("../../src/cli/main.ts", import.meta.url).pathname];

/** What boto3/machine.py prints. */
interface Found {
  readonly source: string;
  readonly arn: string;
  readonly login: string;
  readonly environment: Readonly<Record<string, string>>;
}

let server: ServerProcess;
let folder: string;
let agent: ChildProcess | undefined;
before(async () => {
  server = await startServerProcess();
  folder = mkdtempSync(join(tmpdir(), "supercargo-machine-"));
});
after(async () => {
  agent?.kill();
  await server.close();
  rmSync(folder, { recursive: true });
});

function supercargo(...words: string[]): Promise<ToolResult> {
  return runTool([...command, "machine", ...words], { environment: { SUPERCARGO_DATA: server.folder } });
}

async function must(...words: string[]): Promise<string> {
  const { status, stdout, stderr } = await supercargo(...words);
  assert.equal(status, 0, `${words.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

/** The machine's environment: no keys, and no file in which keys could be. */
function machineEnvironment(more: Readonly<Record<string, string>>): Record<string, string> {
  const { AWS_ACCESS_KEY_ID: _id, AWS_SECRET_ACCESS_KEY: _secret, ...environment } = server.awsEnvironment;
  return { ...environment, BOTO_CONFIG: "/dev/null", PYTHONDONTWRITEBYTECODE: "1", ...more };
}

function asMachine(more: Readonly<Record<string, string>>): Promise<ToolResult> {
  const file = new URL("boto3/machine.py", import.meta.url).pathname;
  return runTool(["python3", file], { environment: machineEnvironment(more) });
}

async function found(more: Readonly<Record<string, string>>): Promise<Found> {
  const { status, stdout, stderr } = await asMachine(more);
  assert.equal(status, 0, stderr);
  return json<Found>(stdout);
}

/** The variables of AWS's container credential provider. */
function container(tokenFile: string): Record<string, string> {
  return {
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${server.port}/v1/credentials`,
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: tokenFile,
  };
}

async function startAgent(tokenFile: string): Promise<Record<string, string>> {
  const address = `127.0.0.1:${await freePort()}`;
  const words = ["machine", "agent", "--server", server.url, "--token-file", tokenFile, "--agent-listen", address];
  const child = spawn(process.execPath, [...command.slice(1), ...words], { stdio: ["ignore", "pipe", "inherit"] });
  agent = child;
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  for (const end = performance.now() + 10_000; !text.includes("\n") && child.exitCode === null && performance.now() < end;) await sleep(20);
  assert.equal(text, `export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://${address}\n`);
  return { AWS_EC2_METADATA_DISABLED: "false", AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://${address}` };
}

test("a machine is enrolled, is its role by either way, and is nobody when it was revoked", installed, async () => {
  const python = new URL("boto3/machine_role.py", import.meta.url).pathname;
  await mustRun(["python3", python], { environment: { ...server.awsEnvironment, PYTHONDONTWRITEBYTECODE: "1" } });
  const tokenFile = join(folder, "token");
  const [, machineId = ""] =
    /enrolled as (i-[0-9a-f]{17})\./.exec(await must("enroll", "crane-1", "--profile", "fleet", "--token-file", tokenFile)) ?? [];
  assert.equal(statSync(tokenFile).mode & 0o777, 0o600);
  assert.doesNotMatch(server.output(), new RegExp(readFileSync(tokenFile, "utf8").trim()));
  assert.match(await must("list"), new RegExp(machineId));

  const arn = `arn:aws:sts::000000000000:assumed-role/fleet/${machineId}`;
  const byContainer = await found(container(tokenFile));
  assert.deepEqual([byContainer.source, byContainer.arn, byContainer.login], ["container-role", arn, "given"]);
  const metadata = await startAgent(tokenFile);
  const byAgent = await found(metadata);
  assert.deepEqual([byAgent.source, byAgent.arn, byAgent.login], ["iam-role", arn, "given"]);

  assert.equal(await must("revoke", "crane-1"), "The machine 'crane-1' and its credentials were revoked.\n");
  const ends = [
    // boto3 asks three times, a second apart.
    { environment: container(tokenFile), message: /401.*the token of an enrolled machine/s },
    { environment: byContainer.environment, message: /\(InvalidClientTokenId\) when calling the GetCallerIdentity operation/ },
    { environment: metadata, message: /\(InvalidClientTokenId\) when calling the GetCallerIdentity operation/ },
  ];
  await Promise.all(ends.map(async ({ environment, message }) => assert.match((await asMachine(environment)).stderr, message)));
  assert.equal(await must("list"), "");
});

test("a policy tells machines apart, a role that trusts no machines is given to none, and mistakes are named", installed, async () => {
  const other = join(folder, "other");
  await must("enroll", "crane-2", "--profile", "fleet", "--token-file", other);
  assert.equal((await found(container(other))).login, "AccessDeniedException");
  const office = join(folder, "office");
  await must("enroll", "desk", "--profile", "office", "--token-file", office);
  const answer = await fetch(`${server.url}/v1/credentials`, { headers: { authorization: readFileSync(office, "utf8").trim() } });
  assert.deepEqual([answer.status, ((await answer.json()) as { Code: string }).Code], [403, "AccessDeniedException"]);
  const mistakes: readonly (readonly [readonly string[], number, RegExp])[] = [
    [["enroll", "crane-2", "--profile", "fleet", "--token-file", join(folder, "new")], 1, /crane-2 already exists/],
    [["enroll", "crane-3", "--profile", "none", "--token-file", join(folder, "new")], 1, /Instance Profile none cannot be found/],
    [["enroll", "crane-3", "--profile", "fleet", "--token-file", other], 2, /exists already and is left alone/],
    [["enroll", "crane-3", "--profile", "fleet"], 2, /--token-file is needed/],
    [["revoke", "crane-3"], 1, /crane-3/],
    [["agent", "--server", "http://registry.example", "--token-file", other], 2, /https/],
  ];
  await Promise.all(
    mistakes.map(async ([words, status, message]) => {
      const result = await supercargo(...words);
      assert.equal(result.status, status, `${words.join(" ")}: ${result.stdout}${result.stderr}`);
      assert.match(result.stderr, message);
    }),
  );
});
