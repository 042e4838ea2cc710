/** Terraform with the aws provider makes identities, a key, a secret and a repository, finds nothing to change afterwards, and takes all away again. */
import assert from "node:assert/strict";
import { cpSync, globSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { mustRun, needs, runTool } from "./tool.ts";

/** Where the provider was put beforehand, for machines that do not reach its registry. */
const [mirror] = [
  ...globSync("/{opt,usr/share,usr/local/share}/*/registry.terraform.io/hashicorp/aws"),
  ...globSync("/{usr/share,usr/local/share}/terraform/{plugins,providers}/registry.terraform.io/hashicorp/aws"),
];
const pluginFolder = mirror?.slice(0, mirror.indexOf("/registry.terraform.io"));
let server: ServerProcess;
let folder: string;
before(async () => {
  server = await startServerProcess();
  folder = mkdtempSync(join(tmpdir(), "supercargo-terraform-"));
  cpSync(new URL("terraform/identity.tf", import.meta.url).pathname, join(folder, "main.tf"));
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

test("apply, plan nothing, destroy", { timeout: 600_000, ...needs("terraform") }, async (context) => {
  const initialised = await terraform(
    "init",
    "-no-color",
    "-input=false",
    ...(pluginFolder === undefined ? [] : [`-plugin-dir=${pluginFolder}`]),
  );
  if (initialised.status !== 0 && pluginFolder === undefined) return context.skip("not reachable: terraform's aws provider");
  assert.equal(initialised.status, 0, initialised.stdout + initialised.stderr);
  const applied = await terraform("apply", "-no-color", "-auto-approve", "-input=false");
  assert.equal(applied.status, 0, applied.stdout + applied.stderr);
  // 0: nothing to change, 1: an error, 2: there is something to change.
  const planned = await terraform("plan", "-no-color", "-detailed-exitcode", "-input=false");
  assert.equal(planned.status, 0, planned.stdout + planned.stderr);
  const destroyed = await terraform("destroy", "-no-color", "-auto-approve", "-input=false");
  assert.equal(destroyed.status, 0, destroyed.stdout + destroyed.stderr);
  for (const listing of [
    ["iam", "list-users"],
    ["iam", "list-roles"],
    ["iam", "list-groups"],
    ["iam", "list-open-id-connect-providers"],
    ["ecr", "describe-repositories"],
  ]) {
    if (needs("aws").skip !== undefined) break;
    const text = await mustRun(["aws", ...listing, "--output", "json"], { environment: server.awsEnvironment });
    assert.deepEqual(Object.values(JSON.parse(text) as object), [[]], listing.join(" "));
  }
});
