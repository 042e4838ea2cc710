/**
 * Machines are enrolled by the command line, and stock SDKs find the credentials of their role: by the container variables, and by the agent.
 * Those with a token of an identity provider need no enrolment.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { until } from "#std/testing/until.ts";
import { makeIssuerKey, startFakeIssuer } from "../fake-issuer.ts";
import type { FakeIssuer } from "../fake-issuer.ts";
import { iamDocument, trustIn } from "../iam-client.ts";
import { freePort, startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { json, mustRun, needs, runTool } from "./tool.ts";
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
let issuer: FakeIssuer;
const agents: ChildProcess[] = [];
before(async () => {
  issuer = await startFakeIssuer();
  server = await startServerProcess({ environment: { SUPERCARGO_TRUSTED_HOSTS: issuer.host } });
  folder = mkdtempSync(join(tmpdir(), "supercargo-machine-"));
});
after(async () => {
  for (const agent of agents) agent.kill();
  await server.close();
  await issuer.close();
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
function container(tokenFile: string, role = ""): Record<string, string> {
  return {
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${server.port}/v1/credentials${role}`,
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: tokenFile,
  };
}

/** Starts an agent and answers its address. */
async function startAgent(tokenFile: string, registry = server.url, host = "127.0.0.1"): Promise<string> {
  const address = `${host}:${await freePort()}`;
  const words = ["machine", "agent", "--server", registry, "--token-file", tokenFile, "--agent-listen", address];
  const child = spawn(process.execPath, [...command.slice(1), ...words], { stdio: ["ignore", "pipe", "inherit"] });
  agents.push(child);
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await until(() => text.includes("\n") || child.exitCode !== null, { withinMs: 60_000, everyMs: 20, otherwise: "the agent says nothing" });
  assert.equal(text, `export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://${address}\n`);
  return address;
}

/** The variables of AWS's metadata service provider. */
function metadataAt(address: string): Record<string, string> {
  return { AWS_EC2_METADATA_DISABLED: "false", AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://${address}` };
}

/** The agent's own endpoint, once it answers with that status; it hears of what happened at the registry within seconds. */
async function untilAgentAnswers(address: string, status: number): Promise<Response> {
  let answer = new Response();
  const answersSo = async (): Promise<boolean> => {
    answer = await fetch(`http://${address}/v1/credentials`);
    return answer.status === status;
  };
  await until(answersSo, { withinMs: 60_000, everyMs: 200, otherwise: () => `the agent answers ${answer.status} instead of ${status}` });
  return answer;
}

test("a machine is enrolled, is its role by either way, and is nobody when it was revoked", installed, async () => {
  const python = new URL("boto3/machine_role.py", import.meta.url).pathname;
  await mustRun(["python3", python], { environment: { ...server.awsEnvironment, PYTHONDONTWRITEBYTECODE: "1" } });
  const tokenFile = join(folder, "token");
  const [, machineId = ""] =
    /enrolled as (i-[0-9a-f]{17})\./.exec(await must("enroll", "crane-1", "--profile", "fleet", "--token-file", tokenFile)) ?? [];
  assert.equal(statSync(tokenFile).mode & 0o777, 0o600);
  assert.doesNotMatch(server.output(), new RegExp(readFileSync(tokenFile, "utf8").trim()));
  const listed = async (): Promise<Record<string, unknown>> => json<Record<string, unknown>>(await must("list"));
  const { machineId: listedId, lastUsedAt, credentialsExpireAt } = await listed();
  assert.deepEqual([listedId, lastUsedAt, credentialsExpireAt], [machineId, null, null]);

  const arn = `arn:aws:sts::000000000000:assumed-role/fleet/${machineId}`;
  const byContainer = await found(container(tokenFile));
  assert.deepEqual([byContainer.source, byContainer.arn, byContainer.login], ["container-role", arn, "given"]);
  const agent = await startAgent(tokenFile);
  const byAgent = await found(metadataAt(agent));
  assert.deepEqual([byAgent.source, byAgent.arn, byAgent.login], ["iam-role", arn, "given"]);

  const used = await listed();
  assert.equal(Date.parse(String(used["credentialsExpireAt"])) - Date.parse(String(used["lastUsedAt"])), 6 * 3_600_000);
  assert.equal(await must("revoke", "crane-1"), "The machine 'crane-1' and its credentials were revoked.\n");
  const refused = await untilAgentAnswers(agent, 401);
  assert.deepEqual([refused.status, ((await refused.json()) as { Code: string }).Code], [401, "UnauthorizedException"]);
  const ends = [
    // boto3 asks three times, a second apart.
    { environment: container(tokenFile), message: /401.*the token of an enrolled machine/s },
    { environment: byContainer.environment, message: /\(InvalidClientTokenId\) when calling the GetCallerIdentity operation/ },
    // To boto3 the agent is an instance without a role, so it finds no credentials at all.
    { environment: metadataAt(agent), message: /'NoneType' object has no attribute 'get_frozen_credentials'/ },
    {
      environment: { AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://${agent}/v1/credentials` },
      message: /401.*the token of an enrolled machine/s,
    },
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
    [["agent", "--server", "http://[2001:db8::1]", "--token-file", other], 2, /https/],
    [["agent", "--server", server.url, "--token-file", other, "--agent-listen", "[::]:1338"], 2, /loopback/],
    [["agent", "--server", server.url, "--token-file", other, "--agent-listen", "0.0.0.0:1338"], 2, /loopback/],
    [["agent", "--server", server.url, "--token-file", other, "--agent-listen", "127.0.0.1:70000"], 2, /loopback/],
  ];
  await Promise.all(
    mistakes.map(async ([words, status, message]) => {
      const result = await supercargo(...words);
      assert.equal(result.status, status, `${words.join(" ")}: ${result.stdout}${result.stderr}`);
      assert.match(result.stderr, message);
    }),
  );
});

test("an agent listens on IPv6, and asks a registry there", installed, async () => {
  const tokenFile = join(folder, "six");
  await must("enroll", "crane-6", "--profile", "fleet", "--token-file", tokenFile);
  const front = createServer((socket) => void socket.pipe(connect(server.port, "127.0.0.1")).pipe(socket));
  await new Promise<void>((resolve) => void front.listen(0, "::1", resolve));
  try {
    const agent = await startAgent(tokenFile, `http://[::1]:${(front.address() as AddressInfo).port}`, "[::1]");
    const arn = /^arn:aws:sts::000000000000:assumed-role\/fleet\/i-[0-9a-f]{17}$/;
    assert.match((await found(metadataAt(agent))).arn, arn);
    assert.match((await found({ AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://${agent}/v1/credentials` })).arn, arn);
  } finally {
    front.close();
  }
});

/** Runs the aws cli as root, or as a machine. */
async function aws(words: readonly string[], environment: Readonly<Record<string, string>> = server.awsEnvironment): Promise<string> {
  return mustRun(["aws", ...words], { environment });
}

/** Makes a provider known, and a role for its service account `build:runner`. */
async function trustProvider(host: string, role: string): Promise<string> {
  await aws(["iam", "create-open-id-connect-provider", "--url", `https://${host}`, "--client-id-list", "sts.amazonaws.com"]);
  const arn = `arn:aws:iam::000000000000:oidc-provider/${host}`;
  const trust = trustIn({ Federated: arn }, "sts:AssumeRoleWithWebIdentity", {
    StringEquals: { [`${host}:aud`]: "sts.amazonaws.com", [`${host}:sub`]: "system:serviceaccount:build:runner" },
  });
  await aws(["iam", "create-role", "--role-name", role, "--assume-role-policy-document", trust]);
  const policy = iamDocument({ Effect: "Allow", Action: "ecr:GetAuthorizationToken", Resource: "*" });
  await aws(["iam", "put-role-policy", "--role-name", role, "--policy-name", "pull", "--policy-document", policy]);
  return arn;
}

const claims = { aud: "sts.amazonaws.com", sub: "system:serviceaccount:build:runner" };
const nowSeconds = (): number => Math.floor(Date.now() / 1000);
const clients = installed.skip === undefined ? needs("aws") : installed;

test("a machine with a token of an identity provider has a role without being enrolled", clients, async () => {
  await trustProvider(issuer.host, "runner");
  const tokenFile = join(folder, "projected");
  writeFileSync(tokenFile, await issuer.sign(claims, nowSeconds()));
  const arn = "arn:aws:sts::000000000000:assumed-role/runner/system-serviceaccount-build-runner";
  const forms = ["/runner", "/arn:aws:iam::000000000000:role/runner"].map((role) => container(tokenFile, role));
  for (const environment of forms) {
    const { source, arn: who, login } = await found(environment);
    assert.deepEqual([source, who, login], ["container-role", arn, "given"]);
    const answer = await aws(["sts", "get-caller-identity", "--output", "json"], machineEnvironment(environment));
    assert.equal(json<{ Arn: string }>(answer).Arn, arn);
  }
  writeFileSync(tokenFile, await issuer.sign({ ...claims, sub: "system:serviceaccount:other:runner" }, nowSeconds()));
  const [environment = {}] = forms;
  assert.match((await asMachine(environment)).stderr, /403.*Not authorized to perform sts:AssumeRoleWithWebIdentity/s);
});

test("keys are uploaded for an issuer that cannot be reached", clients, async () => {
  const host = "kubernetes.default.svc.cluster.local";
  const providerArn = await trustProvider(host, "pods");
  const [key, other] = await Promise.all([makeIssuerKey("cluster"), makeIssuerKey("cluster")]);
  const [tokenFile, keysFile] = [join(folder, "pod"), join(folder, "jwks.json")];
  writeFileSync(tokenFile, await issuer.sign({ ...claims, iss: `https://${host}` }, nowSeconds(), { key }));
  const keys = (...words: string[]): Promise<ToolResult> =>
    runTool([...command, "oidc-keys", ...words], { environment: { SUPERCARGO_DATA: server.folder } });
  const isPod = container(tokenFile, "/pods");
  assert.equal((await keys("show", providerArn)).status, 1);
  writeFileSync(keysFile, JSON.stringify({ keys: [other.publicJwk] }));
  assert.equal((await keys("set", providerArn, "--jwks", keysFile)).status, 0);
  assert.match((await asMachine(isPod)).stderr, /400.*InvalidIdentityToken/s);
  writeFileSync(keysFile, JSON.stringify({ keys: [key.publicJwk] }));
  assert.deepEqual(json(await keys("set", providerArn, "--jwks", keysFile).then(({ stdout }) => stdout)), [key.publicJwk]);
  assert.equal((await found(isPod)).login, "given");
  assert.deepEqual(json((await keys("show", providerArn)).stdout), [key.publicJwk]);
  writeFileSync(keysFile, "{");
  for (const [words, status, message] of [
    [["set", providerArn, "--jwks", keysFile], 2, /JSON/],
    [["set", providerArn, "--jwks", join(folder, "none")], 2, /cannot be read/],
    [["set", providerArn], 2, /--jwks is needed/],
    [["set", "arn:aws:iam::000000000000:role/pods", "--jwks", keysFile], 2, /JSON/],
    [["remove", `${providerArn}/other`], 1, /not found/],
  ] as const) {
    const result = await keys(...words);
    assert.equal(result.status, status, `${words.join(" ")}: ${result.stderr}`);
    assert.match(result.stderr, message);
  }
  assert.equal((await keys("remove", providerArn)).status, 0);
  assert.equal((await keys("show", providerArn)).status, 1);
});
