/** The aws cli makes users, roles, keys and secrets, in commands as people paste them into a shell. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { needs, runTool } from "./tool.ts";
import type { ToolResult } from "./tool.ts";

const installed = needs("aws", "base64");
type Environment = Readonly<Record<string, string>>;
let server: ServerProcess;
let folder: string;
before(async () => {
  server = await startServerProcess();
  folder = mkdtempSync(join(tmpdir(), "supercargo-aws-identity-"));
});
after(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

function run(line: string, as: Environment): Promise<ToolResult> {
  return runTool(["sh", "-ec", line], { cwd: folder, environment: { ...server.awsEnvironment, AWS_DEFAULT_OUTPUT: "text", ...as } });
}

/** Runs a command line of a shell and answers what it printed. */
async function shell(line: string, as: Environment = {}): Promise<string> {
  const { status, stdout, stderr } = await run(line, as);
  assert.equal(status, 0, `${line}\n${stderr}`);
  return stdout.trim();
}

/** Runs a command line that must fail and answers what it said. */
async function refused(line: string, as: Environment = {}): Promise<string> {
  const { status, stderr } = await run(line, as);
  assert.notEqual(status, 0, line);
  return stderr.trim();
}

/** The environment of whoever the three (or two) words of a `--output text` are the credentials of. */
function credentials(words: string): Environment {
  const [id = "", secret = "", token] = words.split("\t");
  return { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, ...(token !== undefined && { AWS_SESSION_TOKEN: token }) };
}

function file(name: string, content: object): void {
  writeFileSync(join(folder, name), JSON.stringify(content, null, 2));
}

const newKey = (user: string): string => `aws iam create-access-key --user-name ${user} --query 'AccessKey.[AccessKeyId,SecretAccessKey]'`;
let alice: Environment;

test("a user with a key and PowerUserAccess works, but not on users", installed, async () => {
  assert.match(await shell("aws iam create-user --user-name alice --tags Key=team,Value=sea --query User.UserId"), /^AIDA[A-Z2-7]{17}$/);
  await shell("aws iam wait user-exists --user-name alice");
  alice = credentials(await shell(newKey("alice")));
  await shell("aws iam attach-user-policy --user-name alice --policy-arn arn:aws:iam::aws:policy/PowerUserAccess");
  assert.equal(await shell("aws sts get-caller-identity --query Arn", alice), "arn:aws:iam::000000000000:user/alice");
  await shell("aws ecr create-repository --repository-name web", alice);
  assert.match(
    await refused("aws iam create-user --user-name mallory", alice),
    /\(AccessDenied\) when calling the CreateUser operation: User: arn:aws:iam::000000000000:user\/alice is not authorized to perform: iam:CreateUser on resource: user mallory because no identity-based policy allows the iam:CreateUser action$/,
  );
  const simulate = `aws iam simulate-principal-policy --policy-source-arn arn:aws:iam::000000000000:user/alice \\
    --action-names ecr:PutImage iam:CreateUser --query 'EvaluationResults[].[EvalActionName,EvalDecision]'`;
  assert.equal(await shell(simulate), "ecr:PutImage\tallowed\niam:CreateUser\timplicitDeny");
  assert.match(await refused("aws iam delete-user --user-name alice"), /\(DeleteConflict\)/);
});

test("a role is assumed with a session policy, and by a profile", installed, async () => {
  const principal = { AWS: "arn:aws:iam::000000000000:root" };
  file("trust.json", { Version: "2012-10-17", Statement: [{ Effect: "Allow", Principal: principal, Action: "sts:AssumeRole" }] });
  await shell("aws iam create-role --role-name deployer --assume-role-policy-document file://trust.json");
  await shell("aws iam attach-role-policy --role-name deployer --policy-arn arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryFullAccess");
  const session = credentials(
    await shell(
      `aws sts assume-role --role-arn arn:aws:iam::000000000000:role/deployer --role-session-name laptop --duration-seconds 900 \\
        --policy '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:Describe*","Resource":"*"}]}' \\
        --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]'`,
      alice,
    ),
  );
  assert.equal(await shell("aws ecr describe-repositories --query 'repositories[].repositoryName'", session), "web");
  assert.match(
    await refused("aws ecr delete-repository --repository-name web", session),
    /assumed-role\/deployer\/laptop is not authorized to perform: ecr:DeleteRepository .* because no session policy allows/,
  );
  writeFileSync(
    join(folder, "config"),
    `[profile deployer]\nrole_arn = arn:aws:iam::000000000000:role/deployer\nrole_session_name = ci\ncredential_source = Environment\n`,
  );
  // The cli keeps sessions of profiles below the home folder, and would find those of an earlier run.
  const home = { HOME: folder, PYTHONUSERBASE: join(homedir(), ".local") };
  const profile = { ...alice, ...home, AWS_CONFIG_FILE: join(folder, "config") };
  assert.equal(
    await shell("aws --profile deployer sts get-caller-identity --query Arn", profile),
    "arn:aws:sts::000000000000:assumed-role/deployer/ci",
  );
});

test("GitHub's identity provider, and a role for one of its workflows", installed, async () => {
  const provider = "arn:aws:iam::000000000000:oidc-provider/token.actions.githubusercontent.com";
  const create = `aws iam create-open-id-connect-provider --url https://token.actions.githubusercontent.com \\
    --client-id-list sts.amazonaws.com --thumbprint-list 6938fd4d98bab03faadb97b34396831e3780aea1 --query OpenIDConnectProviderArn`;
  assert.equal(await shell(create), provider);
  assert.match(
    await refused(create),
    /\(EntityAlreadyExists\).*Provider with url https:\/\/token\.actions\.githubusercontent\.com already exists/,
  );
  const statement = {
    Effect: "Allow",
    Principal: { Federated: provider },
    Action: "sts:AssumeRoleWithWebIdentity",
    Condition: {
      StringEquals: { "token.actions.githubusercontent.com:aud": "sts.amazonaws.com" },
      StringLike: { "token.actions.githubusercontent.com:sub": "repo:octo-org/octo-repo:*" },
    },
  };
  file("github.json", { Version: "2012-10-17", Statement: [statement] });
  await shell("aws iam create-role --role-name github --assume-role-policy-document file://github.json");
  assert.match(
    await refused(
      "aws sts assume-role-with-web-identity --role-arn arn:aws:iam::000000000000:role/github --role-session-name run --web-identity-token e30.e30.e30",
    ),
    /\(InvalidIdentityToken\)/,
  );
});

test("a repository policy lets in a user who has no policy", installed, async () => {
  await shell("aws iam create-user --user-name bob");
  const bob = credentials(await shell(newKey("bob")));
  const list = "aws ecr list-images --repository-name web --query 'length(imageIds)'";
  assert.match(await refused(list, bob), /\(AccessDeniedException\).*because no identity-based policy allows the ecr:ListImages action/);
  const principal = { AWS: "arn:aws:iam::000000000000:user/bob" };
  file("policy.json", {
    Version: "2012-10-17",
    Statement: [{ Sid: "Bob", Effect: "Allow", Principal: principal, Action: "ecr:ListImages" }],
  });
  await shell("aws ecr set-repository-policy --repository-name web --policy-text file://policy.json", alice);
  assert.equal(await shell(list, bob), "0");
  assert.deepEqual(
    JSON.parse(await shell("aws ecr get-repository-policy --repository-name web --query policyText")),
    JSON.parse(readFileSync(join(folder, "policy.json"), "utf8")),
  );
  await shell("aws ecr delete-repository-policy --repository-name web");
  assert.match(await refused(list, bob), /\(AccessDeniedException\)/);
});

test("a file is encrypted and decrypted, and a secret read", installed, async () => {
  const key = await shell("aws kms create-key --description files --query KeyMetadata.KeyId");
  await shell(`aws kms create-alias --alias-name alias/files --target-key-id ${key}`);
  const plain = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
  writeFileSync(join(folder, "plain"), plain);
  await shell(
    "aws kms encrypt --key-id alias/files --plaintext fileb://plain --encryption-context file=plain --query CiphertextBlob | base64 -d > sealed",
    alice,
  );
  await shell(
    "aws kms decrypt --ciphertext-blob fileb://sealed --encryption-context file=plain --query Plaintext | base64 -d > opened",
    alice,
  );
  assert.deepEqual(readFileSync(join(folder, "opened")), plain);
  assert.match(await refused("aws kms decrypt --ciphertext-blob fileb://sealed"), /\(InvalidCiphertextException\)/);
  await shell(`aws secretsmanager create-secret --name app/db --secret-string '{"user":"app","password":"wind & tide"}'`, alice);
  assert.equal(
    await shell("aws secretsmanager get-secret-value --secret-id app/db --query SecretString"),
    '{"user":"app","password":"wind & tide"}',
  );
});

test("a denial is explained to who may have it explained", installed, async () => {
  await shell("aws iam create-user --user-name carol");
  const carol = credentials(await shell(newKey("carol")));
  const message = await shell(
    `aws ecr delete-repository --repository-name never --debug 2>&1 | grep -o "authorization-message': '[^']*" | head -n 1 | cut -d "'" -f 3`,
    carol,
  );
  const decode = `aws sts decode-authorization-message --encoded-message ${message} --query DecodedMessage`;
  const decoded = JSON.parse(await shell(decode)) as { context: { action: string; principal: { name: string } }; missing: object };
  assert.deepEqual([decoded.context.action, decoded.context.principal.name], ["ecr:DeleteRepository", "carol"]);
  assert.deepEqual(decoded.missing, { items: [{ value: "identity" }] });
  assert.match(await refused(decode, carol), /\(AccessDenied\).*sts:DecodeAuthorizationMessage/);
  assert.match(await refused("aws sts decode-authorization-message --encoded-message none"), /\(InvalidAuthorizationMessageException\)/);
});

test("a region that is not served is refused with those that are", installed, async () => {
  const elsewhere = { AWS_REGION: "mars-1", AWS_DEFAULT_REGION: "mars-1" };
  const sentence = "Credential should be scoped to a valid Region, not 'mars-1'. This server answers for 'us-east-1'.";
  for (const [line, code] of [
    ["aws ecr describe-repositories", "InvalidSignatureException"],
    ["aws sts get-caller-identity", "SignatureDoesNotMatch"],
  ] as const) {
    const text = await refused(line, elsewhere);
    assert.ok(text.includes(`(${code})`) && text.includes(sentence), text);
  }
});
