/** The aws cli gets its keys from `supercargo login` by a line of its config file, as people set it up. */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, test } from "node:test";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { signInClient, startSignInProvider } from "../sign-in-provider.ts";
import type { SignInProvider } from "../sign-in-provider.ts";
import { makeSignInRole } from "../sign-in-role.ts";
import { json, mustRun, needs, runTool } from "./tool.ts";

const installed = process.platform === "linux" ? needs("aws") : { skip: "the browser of this test is xdg-open" };
const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;
let folder: string;
let provider: SignInProvider;
let server: ServerProcess;
let environment: Readonly<Record<string, string>>;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "supercargo-login-process-"));
  provider = await startSignInProvider();
  server = await startServerProcess({ environment: { SUPERCARGO_TRUSTED_HOSTS: provider.issuer.host } });
  const roleArn = await makeSignInRole(server, provider);
  const browser = join(folder, "xdg-open");
  writeFileSync(browser, `#!${process.execPath}\nfetch(process.argv[2]);\n`);
  chmodSync(browser, 0o755);
  const login = `${process.execPath} ${main} login --server ${server.url} --issuer ${provider.issuer.url} --client-id ${signInClient}`;
  const config = join(folder, "config");
  writeFileSync(
    config,
    `[profile registry]\nregion = us-east-1\nendpoint_url = ${server.url}\ncredential_process = ${login} --role-arn ${roleArn} --session-name jim\n`,
  );
  const { AWS_ACCESS_KEY_ID: _id, AWS_SECRET_ACCESS_KEY: _secret, AWS_ENDPOINT_URL: _endpoint, ...plain } = server.awsEnvironment;
  environment = {
    ...plain,
    AWS_CONFIG_FILE: config,
    AWS_PROFILE: "registry",
    HOME: folder,
    XDG_CACHE_HOME: join(folder, "cache"),
    PATH: `${folder}${delimiter}${process.env["PATH"] ?? ""}`,
  };
});
after(async () => {
  await Promise.all([server.close(), provider.close()]);
  rmSync(folder, { recursive: true });
});

test("the aws cli signs in once, and works as the role until the keys end", installed, async () => {
  const aws = (...words: string[]): Promise<string> => mustRun(["aws", ...words, "--output", "json"], { environment });
  const identity = json<{ Arn: string }>(await aws("sts", "get-caller-identity"));
  assert.equal(identity.Arn, "arn:aws:sts::000000000000:assumed-role/crew/jim");
  await aws("ecr", "create-repository", "--repository-name", "hold");
  assert.match(await aws("ecr", "get-login-password"), /^\S+\n$/);
  assert.equal(provider.givenTokens(), 1);
});

test("a refusal reaches whoever runs the aws cli", installed, async () => {
  provider.wrong.redirect = { error: "access_denied", code: undefined };
  const result = await runTool(["aws", "sts", "get-caller-identity"], {
    environment: { ...environment, XDG_CACHE_HOME: join(folder, "fresh") },
  });
  assert.notEqual(result.status, 0);
  assert.match(result.stderr, /the provider did not sign you in: access_denied/);
});
