/**
 * Who may push and pull, as people find out: users, roles and repository policies are made with the aws cli, images move with a real Docker
 * Engine, and a refusal is what docker prints.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startFakeIssuer } from "../fake-issuer.ts";
import type { FakeIssuer } from "../fake-issuer.ts";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { startDockerEngine } from "./docker-engine.ts";
import type { DockerEngine } from "./docker-engine.ts";
import { json, mustRun, needs, runTool } from "./tool.ts";
import type { ToolResult } from "./tool.ts";

/** Variables that say to the aws cli who calls. */
type Identity = Readonly<Record<string, string>>;

const installed = needs("dockerd", "docker", "aws");
const accountId = "000000000000";
const otherAccountId = "111122223333";
const repositoryArn = `arn:aws:ecr:us-east-1:${accountId}:repository/app`;
const pushActions = ["ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"];
const pullActions = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;
let server: ServerProcess;
let engine: DockerEngine;
let issuer: FakeIssuer;
let root: Identity;
/** `localhost:<port>/app` */
let app: string;

before(async () => {
  if (installed.skip !== undefined) return;
  issuer = await startFakeIssuer();
  const started = await Promise.all([startServerProcess({ environment: { SUPERCARGO_TRUSTED_HOSTS: issuer.host } }), startDockerEngine()]);
  [server, engine] = started;
  const { AWS_ACCESS_KEY_ID = "", AWS_SECRET_ACCESS_KEY = "" } = server.awsEnvironment;
  root = { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY };
  app = `${server.host}/app`;
  await aws(root, "ecr", "create-repository", "--repository-name", "app");
  await login(root);
  await build(`${app}:seed`);
  await engine.docker(["push", `${app}:seed`]);
});
after(async () => {
  await engine?.close();
  await server?.close();
  await issuer?.close();
});

function tryAws(identity: Identity, ...words: string[]): Promise<ToolResult> {
  const { AWS_ACCESS_KEY_ID: _id, AWS_SECRET_ACCESS_KEY: _secret, ...environment } = server.awsEnvironment;
  return runTool(["aws", ...words, "--output", "json"], { environment: { ...environment, ...identity } });
}

async function aws(identity: Identity, ...words: string[]): Promise<string> {
  const { status, stdout, stderr } = await tryAws(identity, ...words);
  assert.equal(status, 0, `aws ${words.join(" ")}: ${stderr}`);
  return stdout;
}

/** Makes an image of one file, which is different in each. */
async function build(name: string): Promise<void> {
  const folder = join(engine.folder, `build-${name.replaceAll(/[^a-z0-9]/g, "-")}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "Dockerfile"), "FROM scratch\nCOPY file /file\n");
  writeFileSync(join(folder, "file"), name);
  await engine.docker(["build", "-q", "-t", name, folder]);
}

/** `aws ecr get-login-password | docker login` */
async function login(identity: Identity): Promise<void> {
  const password = await aws(identity, "ecr", "get-login-password");
  assert.match(await engine.docker(["login", "--username", "AWS", "--password-stdin", server.host], password.trim()), /Login Succeeded/);
}

/** What docker prints when it is refused. */
async function refused(...words: string[]): Promise<string> {
  const { status, stdout, stderr } = await engine.tryDocker(words);
  assert.notEqual(status, 0, `docker ${words.join(" ")} succeeded`);
  return stdout + stderr;
}

/** A pull that cannot be answered from what the engine has already. */
async function pull(name: string): Promise<void> {
  await engine.tryDocker(["rmi", "-f", name]);
  assert.match(await engine.docker(["pull", name]), /Downloaded newer image/);
}

/** Makes a user with nothing but these managed policies, and answers its key. */
async function makeUser(name: string, policies: readonly string[], by: Identity = root): Promise<Identity> {
  await aws(by, "iam", "create-user", "--user-name", name);
  for (const policy of policies)
    await aws(by, "iam", "attach-user-policy", "--user-name", name, "--policy-arn", `arn:aws:iam::aws:policy/${policy}`);
  const { AccessKey } = json<{ AccessKey: { AccessKeyId: string; SecretAccessKey: string } }>(
    await aws(by, "iam", "create-access-key", "--user-name", name),
  );
  return { AWS_ACCESS_KEY_ID: AccessKey.AccessKeyId, AWS_SECRET_ACCESS_KEY: AccessKey.SecretAccessKey };
}

function document(...statements: readonly object[]): string {
  return JSON.stringify({ Version: "2012-10-17", Statement: statements });
}

function denial(user: string, action: string, ending: string): RegExp {
  const text = `User: arn:aws:iam::${user} is not authorized to perform: ${action} on resource: ${repositoryArn} because ${ending}`;
  return new RegExp(text.replaceAll(/[.*/]/g, String.raw`\$&`));
}

const noIdentityPolicy = (action: string): string => `no identity-based policy allows the ${action} action`;

test("a power user pushes and pulls, and makes no repository", installed, async () => {
  const identity = await makeUser("power", ["AmazonEC2ContainerRegistryPowerUser"]);
  await login(identity);
  await build(`${app}:power`);
  await engine.docker(["push", `${app}:power`]);
  await pull(`${app}:power`);
  const { status, stderr } = await tryAws(identity, "ecr", "create-repository", "--repository-name", "mine");
  assert.notEqual(status, 0);
  const resource = `arn:aws:ecr:us-east-1:${accountId}:repository/mine`;
  const sentence = `User: arn:aws:iam::${accountId}:user/power is not authorized to perform: ecr:CreateRepository on resource: ${resource} because ${noIdentityPolicy("ecr:CreateRepository")}`;
  assert.match(stderr, /\(AccessDeniedException\) when calling the CreateRepository operation/);
  assert.ok(stderr.includes(sentence), stderr);
});

for (const [name, policy] of [
  ["reader", "AmazonEC2ContainerRegistryReadOnly"],
  ["puller", "AmazonEC2ContainerRegistryPullOnly"],
] as const) {
  test(`a user with ${policy} pulls, and docker says why it does not push`, installed, async () => {
    await login(await makeUser(name, [policy]));
    await pull(`${app}:seed`);
    await build(`${app}:${name}`);
    const said = await refused("push", `${app}:${name}`);
    assert.match(said, /denied: /);
    assert.match(said, denial(`${accountId}:user/${name}`, "ecr:InitiateLayerUpload", noIdentityPolicy("ecr:InitiateLayerUpload")));
    // Also where no layer has to be uploaded: a new tag for what is there.
    await engine.docker(["tag", `${app}:seed`, `${app}:again`]);
    assert.match(
      await refused("push", `${app}:again`),
      denial(`${accountId}:user/${name}`, "ecr:PutImage", noIdentityPolicy("ecr:PutImage")),
    );
    await login(root);
    const listed = await aws(root, "ecr", "list-images", "--repository-name", "app", "--query", "imageIds[].imageTag");
    assert.deepEqual(
      json<string[]>(listed).filter((tag) => tag === name || tag === "again"),
      [],
    );
  });
}

test("another account pulls when both sides say so, and not before", installed, async () => {
  const made = await mustRun([process.execPath, main, "account", "create", "--id", otherAccountId, "--data", server.folder]);
  const file = /written to (.+)$/m.exec(made)?.[1] ?? assert.fail(made);
  const otherRoot = Object.fromEntries(
    [...readFileSync(file, "utf8").matchAll(/^export (\w+)='(.+)'$/gm)].map(([, name = "", value = ""]) => [name, value]),
  );
  const guest = await makeUser("guest", ["AmazonEC2ContainerRegistryReadOnly"], otherRoot);
  const bare = await makeUser("bare", [], otherRoot);
  await aws(
    otherRoot,
    "iam",
    "put-user-policy",
    "--user-name",
    "bare",
    "--policy-name",
    "login",
    "--policy-document",
    document({
      Effect: "Allow",
      Action: "ecr:GetAuthorizationToken",
      Resource: "*",
    }),
  );
  const noResourcePolicy = "no resource-based policy allows the ecr:BatchGetImage action";
  await login(guest);
  assert.match(await refused("pull", `${app}:seed`), denial(`${otherAccountId}:user/guest`, "ecr:BatchGetImage", noResourcePolicy));

  const policy = document({ Effect: "Allow", Principal: { AWS: `arn:aws:iam::${otherAccountId}:root` }, Action: pullActions });
  await aws(root, "ecr", "set-repository-policy", "--repository-name", "app", "--policy-text", policy);
  await pull(`${app}:seed`);
  await build(`${app}:guest`);
  assert.match(await refused("push", `${app}:guest`), /denied: User: arn:aws:iam::111122223333:user\/guest is not authorized/);

  // The repository trusts the account, but the account has not allowed this user.
  await login(bare);
  assert.match(
    await refused("pull", `${app}:seed`),
    denial(`${otherAccountId}:user/bare`, "ecr:BatchGetImage", noIdentityPolicy("ecr:BatchGetImage")),
  );

  await login(guest);
  await aws(root, "ecr", "delete-repository-policy", "--repository-name", "app");
  assert.match(await refused("pull", `${app}:seed`), denial(`${otherAccountId}:user/guest`, "ecr:BatchGetImage", noResourcePolicy));
});

test("a workflow pushes with the token of its identity provider, and only the right one", installed, async () => {
  const provider = json<{ OpenIDConnectProviderArn: string }>(
    await aws(root, "iam", "create-open-id-connect-provider", "--url", `https://${issuer.host}`, "--client-id-list", "sts.amazonaws.com"),
  ).OpenIDConnectProviderArn;
  const trust = document({
    Effect: "Allow",
    Principal: { Federated: provider },
    Action: "sts:AssumeRoleWithWebIdentity",
    Condition: {
      StringEquals: { [`${issuer.host}:aud`]: "sts.amazonaws.com" },
      StringLike: { [`${issuer.host}:sub`]: "repo:org/app:ref:refs/heads/*" },
    },
  });
  await aws(root, "iam", "create-role", "--role-name", "deploy", "--assume-role-policy-document", trust);
  const rights = document(
    { Effect: "Allow", Action: "ecr:GetAuthorizationToken", Resource: "*" },
    { Effect: "Allow", Action: ["ecr:BatchCheckLayerAvailability", ...pushActions, ...pullActions], Resource: repositoryArn },
  );
  await aws(root, "iam", "put-role-policy", "--role-name", "deploy", "--policy-name", "push", "--policy-document", rights);
  const workflow = async (subject: string): Promise<Identity> => {
    // The aws cli keeps the credentials of a role below its home, whatever token they came from.
    const home = mkdtempSync(join(engine.folder, "home-"));
    const file = join(home, "web-identity-token");
    const claims = { sub: subject, aud: "sts.amazonaws.com", repository: "org/app" };
    writeFileSync(file, await issuer.sign(claims, Math.floor(Date.now() / 1000)));
    const role = `arn:aws:iam::${accountId}:role/deploy`;
    return { HOME: home, AWS_WEB_IDENTITY_TOKEN_FILE: file, AWS_ROLE_ARN: role, AWS_ROLE_SESSION_NAME: "GitHubActions" };
  };
  const identity = await workflow("repo:org/app:ref:refs/heads/main");
  const { Arn } = json<{ Arn: string }>(await aws(identity, "sts", "get-caller-identity"));
  assert.equal(Arn, `arn:aws:sts::${accountId}:assumed-role/deploy/GitHubActions`);
  await login(identity);
  await build(`${app}:workflow`);
  await engine.docker(["push", `${app}:workflow`]);
  await pull(`${app}:workflow`);
  await aws(root, "ecr", "create-repository", "--repository-name", "elsewhere");
  await engine.docker(["tag", `${app}:workflow`, `${server.host}/elsewhere:1`]);
  const elsewhere = `arn:aws:ecr:us-east-1:${accountId}:repository/elsewhere because ${noIdentityPolicy("ecr:InitiateLayerUpload")}`;
  assert.ok((await refused("push", `${server.host}/elsewhere:1`)).includes(elsewhere));

  const stranger = await tryAws(await workflow("repo:evil/app:ref:refs/heads/main"), "ecr", "get-login-password");
  assert.notEqual(stranger.status, 0);
  assert.match(stranger.stderr, /AccessDenied.*Not authorized to perform sts:AssumeRoleWithWebIdentity/);
});
