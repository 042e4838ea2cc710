/** skopeo, podman, buildah and containerd's ctr: each makes its own round trip. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { CreateRepositoryCommand } from "@aws-sdk/client-ecr";
import { until } from "#std/testing/until.ts";
import { createEcrClient, registryPassword } from "../aws-client.ts";
import { makeImage } from "../fixtures/oci-content.ts";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { writeImageLayout } from "./image-layout.ts";
import { json, mustRun, needs, runTool } from "./tool.ts";

let server: ServerProcess;
let password: string;
const folder = mkdtempSync(join(tmpdir(), "supercargo-tools-"));
const layout = join(folder, "layout");

before(async () => {
  server = await startServerProcess();
  password = await registryPassword(createEcrClient(server.url));
  writeImageLayout(layout, makeImage({ seed: "tools" }));
});
after(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function createRepository(name: string): Promise<void> {
  await createEcrClient(server.url).send(new CreateRepositoryCommand({ repositoryName: name }));
}

test("skopeo: copy in, inspect, list tags, copy out, copy as schema 2, delete", needs("skopeo"), async () => {
  await createRepository("skopeo/app");
  const name = `docker://${server.host}/skopeo/app`;
  const credentials = `AWS:${password}`;
  await mustRun(["skopeo", "copy", "--dest-creds", credentials, "--dest-tls-verify=false", `oci:${layout}:v1`, `${name}:v1`]);
  const inspected = json<{ Digest: string; RepoTags: string[] }>(
    await mustRun(["skopeo", "inspect", "--creds", credentials, "--tls-verify=false", `${name}:v1`]),
  );
  assert.deepEqual(inspected.RepoTags, ["v1"]);
  const listed = json<{ Tags: string[] }>(await mustRun(["skopeo", "list-tags", "--creds", credentials, "--tls-verify=false", name]));
  assert.deepEqual(listed.Tags, ["v1"]);
  const out = join(folder, "out");
  await mustRun(["skopeo", "copy", "--src-creds", credentials, "--src-tls-verify=false", `${name}@${inspected.Digest}`, `dir:${out}`]);
  assert.ok(readFileSync(join(out, "manifest.json")).length > 0);
  await mustRun([
    "skopeo",
    "copy",
    "--format",
    "v2s2",
    "--dest-creds",
    credentials,
    "--dest-tls-verify=false",
    `oci:${layout}:v1`,
    `${name}:docker`,
  ]);
  await createRepository("skopeo/other");
  await mustRun([
    "skopeo",
    "copy",
    "--src-creds",
    credentials,
    "--src-tls-verify=false",
    "--dest-creds",
    credentials,
    "--dest-tls-verify=false",
    `${name}:v1`,
    `docker://${server.host}/skopeo/other:v1`,
  ]);
  await mustRun(["skopeo", "delete", "--creds", credentials, "--tls-verify=false", `${name}:docker`]);
  const left = json<{ Tags: string[] }>(await mustRun(["skopeo", "list-tags", "--creds", credentials, "--tls-verify=false", name]));
  assert.deepEqual(left.Tags, ["v1"]);
});

test("skopeo names the missing repository and the refused password in ECR's words", needs("skopeo"), async () => {
  const missing = await runTool([
    "skopeo",
    "copy",
    "--dest-creds",
    `AWS:${password}`,
    "--dest-tls-verify=false",
    `oci:${layout}:v1`,
    `docker://${server.host}/nowhere:v1`,
  ]);
  assert.match(missing.stderr, /name unknown: The repository with name 'nowhere' does not exist in the registry with id '000000000000'/);
  const refused = await runTool([
    "skopeo",
    "inspect",
    "--creds",
    "AWS:wrong",
    "--tls-verify=false",
    `docker://${server.host}/skopeo/app:v1`,
  ]);
  assert.match(refused.stderr, /unauthorized|401/i);
});

for (const tool of ["podman", "buildah"]) {
  test(`${tool}: log in, pull, push under another name`, needs(tool, "skopeo"), async () => {
    const repository = `tools/${tool}`;
    await createRepository(repository);
    await mustRun([
      "skopeo",
      "copy",
      "--dest-creds",
      `AWS:${password}`,
      "--dest-tls-verify=false",
      `oci:${layout}:v1`,
      `docker://${server.host}/${repository}:v1`,
    ]);
    const storage = join(folder, `${tool}-storage`);
    const auth = join(folder, `${tool}-auth.json`);
    const policy = join(folder, "policy.json");
    writeFileSync(policy, JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
    const options = ["--root", join(storage, "root"), "--runroot", join(storage, "run"), "--storage-driver", "vfs"];
    const run = (...words: string[]): Promise<string> =>
      mustRun([tool, ...options, ...words], { environment: { REGISTRY_AUTH_FILE: auth, XDG_RUNTIME_DIR: storage } });
    mkdirSync(storage, { recursive: true });
    await mustRun([tool, ...options, "login", "--tls-verify=false", "--authfile", auth, "-u", "AWS", "--password-stdin", server.host], {
      input: password,
      environment: { XDG_RUNTIME_DIR: storage },
    });
    await run("pull", "--signature-policy", policy, "--tls-verify=false", `${server.host}/${repository}:v1`);
    await run("tag", `${server.host}/${repository}:v1`, `${server.host}/${repository}:v2`);
    await run("push", "--signature-policy", policy, "--tls-verify=false", `${server.host}/${repository}:v2`);
    const listed = json<{ Tags: string[] }>(
      await mustRun(["skopeo", "list-tags", "--creds", `AWS:${password}`, "--tls-verify=false", `docker://${server.host}/${repository}`]),
    );
    assert.deepEqual(listed.Tags, ["v1", "v2"]);
  });
}

test("containerd: ctr pulls and pushes with a user and password", needs("containerd", "ctr", "skopeo"), async () => {
  await createRepository("tools/ctr");
  await mustRun([
    "skopeo",
    "copy",
    "--dest-creds",
    `AWS:${password}`,
    "--dest-tls-verify=false",
    `oci:${layout}:v1`,
    `docker://${server.host}/tools/ctr:v1`,
  ]);
  const home = join(folder, "containerd");
  mkdirSync(home);
  const config = join(home, "config.toml");
  writeFileSync(
    config,
    `version = 2\nroot = "${home}/root"\nstate = "${home}/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "${home}/c.sock"\n`,
  );
  const daemon = spawn("containerd", ["-c", config, "-l", "error"], { stdio: "ignore" });
  try {
    const ctr = (...words: string[]): Promise<string> => mustRun(["ctr", "-a", `${home}/c.sock`, ...words]);
    const answers = async (): Promise<boolean> => (await runTool(["ctr", "-a", `${home}/c.sock`, "version"])).status === 0;
    await until(answers, { withinMs: 60_000, everyMs: 100, otherwise: "containerd did not start" });
    const access = ["--plain-http", "--user", `AWS:${password}`];
    // The content is for no real platform; fetching needs no unpacking.
    await ctr("content", "fetch", ...access, "--all-platforms", `${server.host}/tools/ctr:v1`);
    await ctr("images", "tag", `${server.host}/tools/ctr:v1`, `${server.host}/tools/ctr:v2`);
    await ctr("images", "push", ...access, `${server.host}/tools/ctr:v2`);
    const listed = json<{ Tags: string[] }>(
      await mustRun(["skopeo", "list-tags", "--creds", `AWS:${password}`, "--tls-verify=false", `docker://${server.host}/tools/ctr`]),
    );
    assert.deepEqual(listed.Tags, ["v1", "v2"]);
  } finally {
    daemon.kill("SIGKILL");
    await runTool(["sh", "-c", `umount -R ${home}/* 2>/dev/null; true`]);
  }
});
