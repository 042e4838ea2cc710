/** Signing in by a real process at a real server, with a provider and a browser that are scripted. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { runTool } from "../../test/clients/tool.ts";
import type { ToolResult } from "../../test/clients/tool.ts";
import { startServerProcess } from "../../test/server-process.ts";
import type { ServerProcess } from "../../test/server-process.ts";
import { signInClient, startSignInProvider } from "../../test/sign-in-provider.ts";
import type { SignInProvider } from "../../test/sign-in-provider.ts";
import { makeSignInRole } from "../../test/sign-in-role.ts";
import { UsageError } from "./commands.ts";
import { login } from "./login.ts";
import type { LoginFlags } from "./login.ts";
import type { ProcessCredentials } from "./login-session.ts";

const main = new URL("main.ts", import.meta.url).pathname;
let folder: string;
let provider: SignInProvider;
let server: ServerProcess;
let roleArn: string;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "supercargo-login-"));
  provider = await startSignInProvider();
  server = await startServerProcess({ environment: { SUPERCARGO_TRUSTED_HOSTS: provider.issuer.host } });
  roleArn = await makeSignInRole(server, provider);
});
afterEach(() => {
  for (const name of ["redirect", "claims", "token"] as const) delete provider.wrong[name];
});
after(async () => {
  await Promise.all([server.close(), provider.close()]);
  rmSync(folder, { recursive: true });
});

function words(...more: string[]): string[] {
  const asked = ["--server", server.url, "--issuer", provider.issuer.url, "--client-id", signInClient, "--role-arn", roleArn];
  return ["login", ...asked, "--session-name", "jim.hawkins", ...more];
}

/** Runs the command; whoever sits before it opens each address that it names in a browser. */
function run(...more: string[]): Promise<ToolResult> {
  const environment = { PATH: process.env["PATH"] ?? "", HOME: folder, XDG_CACHE_HOME: join(folder, "cache") };
  const child = spawn(process.execPath, [main, ...words("--no-browser", ...more)], { env: environment, timeout: 30_000 });
  let stdout = "";
  let stderr = "";
  let opened = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
    const url = /^(http\S+)\n/m.exec(stderr)?.[1] ?? "";
    if (url !== opened) fetch(url).catch(() => undefined);
    opened = url;
  });
  return new Promise((resolve) => child.once("close", (code) => resolve({ status: code ?? -1, stdout, stderr })));
}

async function arnOf(keys: ProcessCredentials): Promise<string | undefined> {
  const credentials = { accessKeyId: keys.AccessKeyId, secretAccessKey: keys.SecretAccessKey, sessionToken: keys.SessionToken };
  const sts = new STSClient({ endpoint: server.url, region: "us-east-1", credentials, maxAttempts: 1 });
  try {
    return (await sts.send(new GetCallerIdentityCommand({}))).Arn;
  } finally {
    sts.destroy();
  }
}

test("a sign-in prints the keys and nothing else, and the next command needs no browser", async () => {
  const first = await run("--duration", "900");
  assert.equal(first.status, 0, first.stderr);
  const keys = JSON.parse(first.stdout) as ProcessCredentials;
  assert.deepEqual(Object.keys(keys), ["Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"]);
  assert.equal(keys.Version, 1);
  assert.equal(await arnOf(keys), "arn:aws:sts::000000000000:assumed-role/crew/jim.hawkins");
  const left = Date.parse(keys.Expiration) - Date.now();
  assert.ok(left > 800_000 && left <= 900_000, `ends in ${left} ms`);
  for (const secret of [keys.SecretAccessKey, keys.SessionToken]) assert.ok(!first.stderr.includes(secret));

  const kept = readdirSync(join(folder, "cache", "supercargo"));
  const file = join(folder, "cache", "supercargo", kept.find((name) => name.endsWith(".json")) ?? "");
  assert.match(file, /\/login-[0-9a-f]{32}\.json$/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const given = provider.givenTokens();
  const again = await run();
  assert.deepEqual([again.status, again.stdout, again.stderr, provider.givenTokens()], [0, first.stdout, "", given]);
  const other = await run("--session-name", "silver");
  assert.equal(await arnOf(JSON.parse(other.stdout) as ProcessCredentials), "arn:aws:sts::000000000000:assumed-role/crew/silver");
});

test("two commands at once open one window", async () => {
  const given = provider.givenTokens();
  const file = join(folder, "shared.json");
  const [one, two] = await Promise.all([run("--cache-file", file), run("--cache-file", file)]);
  assert.deepEqual([one.status, two.status], [0, 0], one.stderr + two.stderr);
  assert.equal(one.stdout, two.stdout);
  assert.equal(provider.givenTokens(), given + 1);
});

test("who does not get in is told why, and nothing is printed or kept", async () => {
  const file = join(folder, "none.json");
  provider.wrong.redirect = { error: "access_denied", error_description: "You may not come aboard", code: undefined };
  const no = await run("--cache-file", file);
  assert.deepEqual([no.status, no.stdout], [1, ""]);
  assert.match(no.stderr, /^supercargo: the provider did not sign you in: access_denied: You may not come aboard$/m);
  delete provider.wrong.redirect;
  provider.wrong.claims = { sub: "stowaway" };
  const denied = await run("--cache-file", file);
  assert.deepEqual([denied.status, denied.stdout], [1, ""]);
  assert.match(
    denied.stderr,
    /^supercargo: the server gives no keys for arn:\S+:role\/crew: AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity$/m,
  );
  const elsewhere = await run("--cache-file", file, "--server", provider.issuer.url);
  assert.equal(elsewhere.status, 1);
  assert.match(elsewhere.stderr, /^supercargo: http:\/\/127\.0\.0\.1:\d+ answers 404, and not as a registry does$/m);
  assert.equal(existsSync(file), false);
});

test("keys that cannot be kept are printed all the same", async () => {
  const { status, stdout, stderr } = await run("--cache-file", join(main, "no-folder", "keys.json"));
  assert.equal(status, 0, stderr);
  assert.match(stderr, /^supercargo: the keys cannot be kept for the next command: /m);
  assert.ok(await arnOf(JSON.parse(stdout) as ProcessCredentials));
});

test("the desktop's command opens the address", { skip: process.platform !== "linux" }, async () => {
  const opened = join(folder, "opened");
  const command = join(folder, "xdg-open");
  writeFileSync(
    command,
    `#!${process.execPath}\nrequire("node:fs").writeFileSync(${JSON.stringify(opened)}, process.argv[2]);\nfetch(process.argv[2]);\n`,
  );
  chmodSync(command, 0o755);
  const result = await runTool([process.execPath, main, ...words("--cache-file", join(folder, "opened.json"))], {
    environment: { PATH: `${folder}${delimiter}${process.env["PATH"] ?? ""}` },
    timeoutMs: 30_000,
  });
  assert.equal(result.status, 0, result.stderr);
  assert.ok(await arnOf(JSON.parse(result.stdout) as ProcessCredentials));
  assert.ok(result.stderr.includes(`\n${readFileSync(opened, "utf8")}\n`));
});

const good: LoginFlags = { server: "https://a.example", issuer: "https://b.example", clientId: "c", roleArn: "", browser: false };
const mistakes: readonly (readonly [flags: Partial<LoginFlags>, says: RegExp])[] = [
  [{ server: "http://registry.example" }, /--server takes https:/],
  [{ server: "https://registry.example/v2" }, /without a path/],
  [{ issuer: "http://idp.example" }, /--issuer takes https:/],
  [{ issuer: "http://127.0.0.1.example" }, /--issuer takes https:/],
  [{ issuer: "https://user:word@idp.example" }, /--issuer takes an address without user/],
  [{ issuer: "https://idp.example?tenant=1" }, /--issuer takes an address without user/],
  [{ issuer: "idp.example" }, /--issuer takes https:/],
  [{ issuer: "file:///etc/passwd" }, /--issuer takes https:/],
  [{ clientId: "" }, /--client-id takes/],
  [{ roleArn: "arn:aws:iam::000000000000:user/jim" }, /--role-arn takes the ARN of a role/],
  [{ sessionName: "jim hawkins" }, /--session-name takes/],
  [{ sessionName: "j" }, /--session-name takes/],
  [{ duration: "899" }, /--duration takes/],
  [{ duration: "43201" }, /--duration takes/],
  [{ duration: "1h" }, /--duration takes/],
  [{ cacheFile: "" }, /--cache-file takes/],
];
for (const [flags, says] of mistakes) {
  test(`refused: ${JSON.stringify(flags)}`, async () => {
    await assert.rejects(login({ ...good, roleArn, ...flags }), (error) => error instanceof UsageError && says.test(error.message));
  });
}

test("what cannot be meant so is said in one line, with exit code 2", async () => {
  const { status, stdout, stderr } = await run("--duration", "1h");
  assert.deepEqual([status, stdout], [2, ""]);
  assert.match(stderr, /^supercargo: --duration takes [^\n]+\n$/);
  const missing = await runTool([process.execPath, main, "login", "--server", server.url]);
  assert.deepEqual([missing.status, missing.stdout], [2, ""]);
  assert.match(missing.stderr, /^supercargo: required option '--issuer <url>' not specified\n$/);
});
