/** The aws cli moves labels of secrets, reads several, draws passwords, judges policies, and tags what IAM keeps. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { needs, runTool } from "./tool.ts";

const installed = needs("aws");
const account = "arn:aws:iam::000000000000:";
let server: ServerProcess;
before(async () => {
  server = await startServerProcess();
});
after(() => server.close());

/** Runs a command line of a shell; what it printed, or why it was refused. */
async function shell(line: string): Promise<string> {
  const environment = { ...server.awsEnvironment, AWS_DEFAULT_OUTPUT: "text" };
  const { status, stdout, stderr } = await runTool(["sh", "-ec", line], { environment });
  return status === 0 ? stdout.trim() : (/\((\w+)\) when calling/.exec(stderr)?.[1] ?? stderr);
}

const sm = "aws secretsmanager";
const policyOf = (principal: string): string =>
  `'{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":${principal},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}'`;

test("labels of a secret, several secrets, passwords, policies", installed, async () => {
  const [one, two] = ["1".repeat(32), "2".repeat(32)];
  await shell(`${sm} create-secret --name app/a --secret-string one --client-request-token ${one}`);
  await shell(`${sm} put-secret-value --secret-id app/a --secret-string two --client-request-token ${two}`);
  await shell(`${sm} create-secret --name app/b --secret-string other`);
  const move = `${sm} update-secret-version-stage --secret-id app/a --version-stage AWSCURRENT --move-to-version-id ${one}`;
  assert.equal(await shell(move), "InvalidParameterException");
  assert.match(await shell(`${move} --remove-from-version-id ${two} --query Name`), /^app\/a$/);
  assert.equal(await shell(`${sm} get-secret-value --secret-id app/a --query SecretString`), "one");

  const values = "--query 'SecretValues[].SecretString'";
  assert.equal(await shell(`${sm} batch-get-secret-value --secret-id-list app/b app/a ${values}`), "other\tone");
  assert.equal(await shell(`${sm} batch-get-secret-value --filters Key=name,Values=app/ ${values}`), "one\tother");
  const errors = "--query 'Errors[].[SecretId,ErrorCode]'";
  assert.equal(await shell(`${sm} batch-get-secret-value --secret-id-list app/c ${errors}`), "app/c\tResourceNotFoundException");

  assert.match(
    await shell(`${sm} get-random-password --password-length 50 --exclude-punctuation --query RandomPassword`),
    /^[A-Za-z0-9]{50}$/,
  );
  assert.equal(await shell(`${sm} get-random-password --password-length 2`), "InvalidParameterException");
  const judge = async (principal: string) =>
    shell(`${sm} validate-resource-policy --secret-id app/a --resource-policy ${policyOf(principal)} --query PolicyValidationPassed`);
  assert.deepEqual([await judge(`{"AWS":"${account}root"}`), await judge('"*"')], ["True", "False"]);
});

test("tags of providers and instance profiles, and the keys that policies ask for", installed, async () => {
  await shell("aws iam create-instance-profile --instance-profile-name node");
  await shell("aws iam create-open-id-connect-provider --url https://issuer.example");
  const provider = `--open-id-connect-provider-arn ${account}oidc-provider/issuer.example`;
  for (const [noun, named] of [
    ["instance-profile", "--instance-profile-name node"],
    ["open-id-connect-provider", provider],
  ] as const) {
    await shell(`aws iam tag-${noun} ${named} --tags Key=a,Value=1 Key=b,Value=2 Key=c,Value=3`);
    await shell(`aws iam untag-${noun} ${named} --tag-keys b`);
    assert.equal(await shell(`aws iam list-${noun}-tags ${named} --query 'Tags[].[Key,Value]'`), "a\t1\nc\t3", noun);
    const pages = await shell(`aws iam list-${noun}-tags ${named} --page-size 1 --query 'Tags[].Key'`);
    assert.deepEqual(pages.split(/\s+/), ["a", "c"], noun);
  }
  const asking = `'{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}]}'`;
  assert.equal(
    await shell(`aws iam get-context-keys-for-custom-policy --policy-input-list ${asking} --query ContextKeyNames`),
    "aws:SecureTransport",
  );
  await shell("aws iam create-user --user-name ann");
  await shell(`aws iam put-user-policy --user-name ann --policy-name own --policy-document ${asking}`);
  const keys = "aws iam get-context-keys-for-principal-policy --query ContextKeyNames --policy-source-arn";
  assert.equal(await shell(`${keys} ${account}user/ann`), "aws:SecureTransport");
  assert.equal(await shell(`${keys} ${account}user/bob`), "NoSuchEntity");
});
