/** A real Docker Engine: log in, build on a real Debian root file system, push, pull, run; and the texts that people see when it fails. */
import assert from "node:assert/strict";
import { copyFileSync, linkSync, mkdirSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { debianRootTar, startDockerEngine } from "./docker-engine.ts";
import type { DockerEngine } from "./docker-engine.ts";
import { json, mustRun, needs } from "./tool.ts";

const installed = needs("dockerd", "docker", "debootstrap", "aws");
let server: ServerProcess;
let engine: DockerEngine;

before(async () => {
  if (installed.skip !== undefined) return;
  server = await startServerProcess();
  engine = await startDockerEngine();
});
after(async () => {
  await engine?.close();
  await server?.close();
});

function aws(...words: string[]): Promise<string> {
  return mustRun(["aws", ...words, "--output", "json"], { environment: server.awsEnvironment });
}

/** Makes an image from a folder with a Dockerfile. */
async function build(name: string, dockerfile: string, files: Readonly<Record<string, Buffer | string>> = {}): Promise<void> {
  const folder = join(engine.folder, `build-${name.replaceAll(/[^a-z0-9]/g, "-")}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "Dockerfile"), dockerfile);
  for (const [file, content] of Object.entries(files)) {
    if (typeof content === "string") {
      try {
        linkSync(content, join(folder, file));
      } catch {
        copyFileSync(content, join(folder, file));
      }
    } else writeFileSync(join(folder, file), content);
  }
  await engine.docker(["build", "-q", "-t", name, folder]);
}

test("a wrong password is refused at login", installed, async () => {
  const result = await engine.tryDocker(["login", "--username", "AWS", "--password-stdin", server.host], "wrong");
  assert.notEqual(result.status, 0);
  assert.match(result.stderr, /401 Unauthorized|unauthorized/i);
});

test("pushing without a login says what docker says for ECR", installed, async () => {
  await build("scratch-probe", "FROM scratch\nCOPY file /file\n", { file: Buffer.from("probe") });
  await engine.docker(["tag", "scratch-probe", `${server.host}/probe:1`]);
  const result = await engine.tryDocker(["push", `${server.host}/probe:1`]);
  assert.match(result.stderr + result.stdout, /no basic auth credentials/);
});

test("login with the password of aws ecr get-login-password", installed, async () => {
  const password = await mustRun(["aws", "ecr", "get-login-password"], { environment: server.awsEnvironment });
  assert.match(await engine.docker(["login", "--username", "AWS", "--password-stdin", server.host], password), /Login Succeeded/);
});

test("an unknown repository gives ECR's text", installed, async () => {
  const result = await engine.tryDocker(["push", `${server.host}/probe:1`]);
  assert.notEqual(result.status, 0);
  assert.match(
    result.stderr + result.stdout,
    /name unknown: The repository with name 'probe' does not exist in the registry with id '000000000000'/,
  );
});

test("build on Debian, push, remove, pull, run", installed, async () => {
  await build("debian-base", 'FROM scratch\nADD rootfs.tar /\nCMD ["/bin/sh"]\n', { "rootfs.tar": await debianRootTar() });
  await build(
    "greeter",
    'FROM debian-base\nRUN echo \'hello from a container\' > /greeting\nCMD ["cat", "/greeting", "/etc/debian_version"]\n',
  );
  await aws("ecr", "create-repository", "--repository-name", "greeter");
  const name = `${server.host}/greeter:v1`;
  await engine.docker(["tag", "greeter", name]);
  await engine.docker(["push", name]);
  const described = json<{ imageDetails: { imageDigest: string; imageTags: string[]; imageManifestMediaType: string }[] }>(
    await aws("ecr", "describe-images", "--repository-name", "greeter"),
  );
  assert.deepEqual(described.imageDetails[0]?.imageTags, ["v1"]);
  await engine.docker(["rmi", "-f", name, "greeter", "debian-base"]);
  await engine.docker(["pull", name]);
  assert.match(await engine.docker(["run", "--rm", "--network=none", name]), /^hello from a container\n12\./);
  const byDigest = `${server.host}/greeter@${described.imageDetails[0]?.imageDigest}`;
  await engine.docker(["pull", byDigest]);
});

test("an immutable tag gives ECR's text, and pushing the same image again succeeds", installed, async () => {
  await aws("ecr", "create-repository", "--repository-name", "fixed", "--image-tag-mutability", "IMMUTABLE");
  const name = `${server.host}/fixed:v1`;
  await build(name, "FROM scratch\nCOPY file /file\n", { file: Buffer.from("one") });
  await engine.docker(["push", name]);
  await engine.docker(["push", name]);
  await build(name, "FROM scratch\nCOPY file /file\n", { file: Buffer.from("two") });
  const result = await engine.tryDocker(["push", name]);
  assert.notEqual(result.status, 0);
  assert.match(
    result.stderr + result.stdout,
    /tag invalid: The image tag 'v1' already exists in the 'fixed' repository and cannot be overwritten because the tag is immutable\./,
  );
});

test("a missing tag gives ECR's text on pull", installed, async () => {
  const result = await engine.tryDocker(["pull", `${server.host}/fixed:missing`]);
  assert.match(
    result.stderr,
    /manifest for .*fixed:missing not found: manifest unknown: Requested image not found|Requested image not found/,
  );
});

test("a layer of 1 GB goes up and comes back the same", installed, async () => {
  const chunk = randomBytes(16 * 1_048_576);
  await aws("ecr", "create-repository", "--repository-name", "large");
  const name = `${server.host}/large:v1`;
  await build(name, "FROM scratch\nCOPY file /file\n", {
    file: Buffer.concat(Array.from({ length: 64 }, (_, index) => Buffer.concat([Buffer.from(String(index)), randomized(chunk, index)]))),
  });
  const id = (await engine.docker(["inspect", "--format", "{{.Id}}", name])).trim();
  await engine.docker(["push", name]);
  await engine.docker(["rmi", "-f", name]);
  await engine.docker(["pull", name]);
  assert.equal((await engine.docker(["inspect", "--format", "{{.Id}}", name])).trim(), id);
  await engine.docker(["rmi", "-f", name]);
});

/** Cheap bytes that do not compress into their neighbours: a rotation of one random chunk. */
function randomized(chunk: Buffer, index: number): Buffer {
  const at = (index * 7919 * 64) % chunk.length;
  return Buffer.concat([chunk.subarray(at), chunk.subarray(0, at)]);
}

test("a multi-platform index is pushed and resolved by platform", installed, async () => {
  await aws("ecr", "create-repository", "--repository-name", "multi");
  for (const platform of ["amd64", "arm64"]) {
    const name = `${server.host}/multi:${platform}`;
    await build(name, "FROM scratch\nCOPY file /file\n", { file: Buffer.from(platform) });
    await engine.docker(["push", name]);
  }
  const index = `${server.host}/multi:all`;
  await engine.docker(["manifest", "create", "--insecure", index, `${server.host}/multi:amd64`, `${server.host}/multi:arm64`]);
  await engine.docker(["manifest", "annotate", "--arch", "arm64", index, `${server.host}/multi:arm64`]);
  await engine.docker(["manifest", "push", "--insecure", index]);
  const inspected = json<{ manifests: { platform: { architecture: string } }[] }>(
    await engine.docker(["manifest", "inspect", "--insecure", index]),
  );
  assert.deepEqual(inspected.manifests.map(({ platform }) => platform.architecture).toSorted(), ["amd64", "arm64"]);
  await engine.docker(["pull", index]);
  assert.equal((await engine.docker(["inspect", "--format", "{{.Architecture}}", index])).trim(), "amd64");
});
