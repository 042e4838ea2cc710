/**
 * Terraform with the aws provider makes identities, a key, secrets and a repository, finds nothing to change afterwards, changes what can be
 * changed in place, finds nothing again, and takes all away.
 */
import assert from "node:assert/strict";
import { cpSync, globSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { json, mustRun, needs, runTool } from "./tool.ts";

/** Where the provider was put beforehand, for machines that do not reach its registry. */
const [mirror] = [
  ...globSync("/{opt,usr/share,usr/local/share}/*/registry.terraform.io/hashicorp/aws"),
  ...globSync("/{usr/share,usr/local/share}/terraform/{plugins,providers}/registry.terraform.io/hashicorp/aws"),
];
const pluginFolder = mirror?.slice(0, mirror.indexOf("/registry.terraform.io"));
const identities = "arn:aws:iam::000000000000:";
let server: ServerProcess;
let folder: string;
before(async () => {
  server = await startServerProcess();
  folder = mkdtempSync(join(tmpdir(), "supercargo-terraform-"));
  cpSync(new URL("terraform", import.meta.url).pathname, folder, { recursive: true });
});
after(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

function terraform(...words: string[]): ReturnType<typeof runTool> {
  return runTool(["terraform", ...words], {
    cwd: folder,
    timeoutMs: 300_000,
    environment: { ...server.awsEnvironment, AWS_EC2_METADATA_DISABLED: "true", TF_IN_AUTOMATION: "1", CHECKPOINT_DISABLE: "1" },
  });
}

/** Applies with a value of the variable that tags and labels hang on, and answers what was done; then nothing is left to change. */
async function apply(team: string): Promise<string> {
  const given = ["-no-color", "-input=false", `-var=team=${team}`];
  const applied = await terraform("apply", "-auto-approve", ...given);
  assert.equal(applied.status, 0, applied.stdout + applied.stderr);
  // 0: nothing to change, 1: an error, 2: there is something to change.
  const planned = await terraform("plan", "-detailed-exitcode", ...given);
  assert.equal(planned.status, 0, planned.stdout + planned.stderr);
  return applied.stdout;
}

/** What another client sees. */
async function aws<Answer>(...words: string[]): Promise<Answer> {
  return json<Answer>(await mustRun(["aws", ...words, "--output", "json"], { environment: server.awsEnvironment }));
}

/** The tags of what can be tagged, and the labels of the secret's versions. */
async function checkChanged(team: string, labels: readonly string[]): Promise<void> {
  const provider = `${identities}oidc-provider/token.actions.githubusercontent.com`;
  for (const words of [
    ["iam", "list-policy-tags", "--policy-arn", `${identities}policy/team/push`],
    ["iam", "list-open-id-connect-provider-tags", "--open-id-connect-provider-arn", provider],
    ["iam", "list-instance-profile-tags", "--instance-profile-name", "node"],
  ]) {
    const { Tags } = await aws<{ Tags: readonly { Key: string; Value: string }[] }>(...words);
    const expected = [`${team}=yes`, `team=${team}`].toSorted();
    assert.deepEqual(Tags.map(({ Key, Value }) => `${Key}=${Value}`).toSorted(), expected, words.join(" "));
  }
  const secret = await aws<{ VersionIdsToStages: Record<string, string[]> }>(
    "secretsmanager",
    "describe-secret",
    "--secret-id",
    "ecr-pullthroughcache/hub",
  );
  assert.deepEqual(
    Object.values(secret.VersionIdsToStages)
      .map((stages) => stages.toSorted().join(" "))
      .toSorted(),
    labels,
  );
}

test("apply, plan nothing, change in place, plan nothing, destroy", { timeout: 600_000, ...needs("terraform") }, async (context) => {
  const initialised = await terraform(
    "init",
    "-no-color",
    "-input=false",
    ...(pluginFolder === undefined ? [] : [`-plugin-dir=${pluginFolder}`]),
  );
  if (initialised.status !== 0 && pluginFolder === undefined) return context.skip("not reachable: terraform's aws provider");
  assert.equal(initialised.status, 0, initialised.stdout + initialised.stderr);
  const hasAws = needs("aws").skip === undefined;
  assert.match(await apply("sea"), /Apply complete! Resources: \d+ added, 0 changed, 0 destroyed\./);
  if (hasAws) await checkChanged("sea", ["AWSCURRENT blue", "candidate"]);
  assert.match(await apply("shore"), /Apply complete! Resources: 0 added, \d+ changed, 0 destroyed\./);
  if (hasAws) await checkChanged("shore", ["AWSCURRENT candidate green", "AWSPREVIOUS"]);
  const destroyed = await terraform("destroy", "-no-color", "-auto-approve", "-input=false");
  assert.equal(destroyed.status, 0, destroyed.stdout + destroyed.stderr);
  for (const listing of [
    ["iam", "list-users"],
    ["iam", "list-roles"],
    ["iam", "list-groups"],
    ["iam", "list-open-id-connect-providers"],
    ["iam", "list-account-aliases"],
    ["secretsmanager", "list-secrets", "--include-planned-deletion"],
    ["ecr", "describe-repositories"],
  ]) {
    if (hasAws) assert.deepEqual(Object.values(await aws<object>(...listing)), [[]], listing.join(" "));
  }
});
