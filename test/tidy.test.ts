/** House rules that a reader of the tree can check: who may import whom, what only some rooms may touch, names and sizes. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { test } from "node:test";

const root = new URL("..", import.meta.url).pathname;

/** Which rooms a room may import; the table of ARCHITECTURE.md. `"storage/driver.ts"` allows that one file. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  std: [],
  oci: ["std"],
  aws: ["std"],
  sealing: ["std", "oci"],
  storage: ["std", "oci"],
  metadata: ["std", "oci"],
  upstream: ["std", "oci", "aws"],
  registry: ["std", "oci", "metadata", "sealing", "lifecycle", "storage/driver.ts"],
  iam: ["std"],
  identity: ["std", "iam", "metadata", "sealing"],
  kms: ["std", "iam", "metadata", "sealing"],
  secrets: ["std", "iam", "metadata", "sealing"],
  access: ["std", "iam", "identity", "kms", "aws", "metadata", "sealing", "registry/context.ts"],
  jobs: ["std", "metadata", "registry"],
  lifecycle: ["std"],
  events: ["std", "metadata", "registry"],
  replication: ["std", "oci", "metadata", "registry", "access", "upstream", "storage/driver.ts", "jobs"],
  pullthrough: ["std", "oci", "metadata", "registry", "access", "upstream", "secrets", "identity", "jobs"],
  signing: ["std", "oci", "metadata", "registry", "kms", "jobs"],
  distribution: ["std", "oci", "registry", "access", "pullthrough", "storage/driver.ts"],
  api: [
    "std",
    "oci",
    "iam",
    "aws",
    "identity",
    "kms",
    "secrets",
    "registry",
    "access",
    "lifecycle",
    "pullthrough",
    "replication",
    "signing",
  ],
  server: ["*"],
  cli: ["*"],
};

/** Node modules that only some rooms may use. */
const nodeModules: Readonly<Record<string, readonly string[]>> = {
  "node:http": ["server", "upstream"],
  "node:https": ["server", "upstream"],
  "node:net": ["server", "upstream"],
  "node:dns/promises": ["upstream"],
  "node:sqlite": ["metadata"],
  "node:fs": ["storage", "metadata", "server", "cli"],
  "node:fs/promises": ["storage", "metadata", "server", "cli"],
  // `supercargo login` opens the person's browser. No server starts other programs.
  "node:child_process": ["cli"],
};

/** What brings time and chance in by the back door. */
const ambient = /\b(?:Date\.now\(|new Date\(\)|Math\.random\(|randomUUID\(|randomBytes\()/;

const bannedNames = /(?:^|[-/])(?:utils?|helpers?|common|misc|types|repo)(?:[-./]|$)/;
const sources = globSync("src/**/*.ts", { cwd: root }).filter((file) => !file.includes("/model/"));
const own = sources.filter((file) => !file.endsWith(".test.ts"));

function read(file: string): string {
  return readFileSync(`${root}${file}`, "utf8");
}

function roomOf(file: string): string {
  return file.split("/")[1] ?? "";
}

/** Static, side-effect and dynamic imports, with whether they are of types only. */
function importsOf(text: string): { from: string; typeOnly: boolean }[] {
  const found: { from: string; typeOnly: boolean }[] = [];
  for (const match of text.matchAll(/^(?:import|export)\s+(type\s+)?[^;"']*?from\s+"([^"]+)"/gm))
    found.push({ from: match[2] ?? "", typeOnly: match[1] !== undefined });
  for (const match of text.matchAll(/(?:^import\s+|\bimport\(\s*)"([^"]+)"/gm)) found.push({ from: match[1] ?? "", typeOnly: false });
  return found;
}

test("there are sources to judge", () => assert.ok(own.length > 50, `${own.length} files`));

test("a room imports only what the table allows", () => {
  const breaches: string[] = [];
  for (const file of own) {
    const room = roomOf(file);
    const allowed = mayImport[room];
    if (allowed === undefined) {
      breaches.push(`${file}: the room '${room}' is not in the table`);
      continue;
    }
    for (const { from } of importsOf(read(file))) {
      const target = /^#([^/]+)\/(.+)$/.exec(from);
      if (target === null || target[1] === room || allowed.includes("*")) continue;
      if (!allowed.includes(target[1] ?? "") && !allowed.includes(`${target[1]}/${target[2]}`)) breaches.push(`${file} imports ${from}`);
    }
    for (const { from } of importsOf(read(file)))
      if (from.startsWith("../") && from.split("/").filter((part) => part === "..").length > file.split("/").length - 3)
        breaches.push(`${file} leaves its room by ${from}`);
  }
  assert.deepEqual(breaches, []);
});

test("Node's doors to the outside are used only where they belong", () => {
  const breaches: string[] = [];
  for (const file of own) {
    for (const { from, typeOnly } of importsOf(read(file))) {
      const rooms = nodeModules[from];
      if (rooms !== undefined && !typeOnly && !rooms.includes(roomOf(file)) && !file.includes("/testing/"))
        breaches.push(`${file} imports ${from}`);
    }
  }
  assert.deepEqual(breaches, []);
});

test("time and randomness come in through ctx", () => {
  const breaches = own.filter((file) => roomOf(file) !== "std" && ambient.test(read(file).replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, "")));
  assert.deepEqual(breaches, []);
});

test("only the server and the command line read the environment", () => {
  const breaches = own.filter((file) => !["server", "cli"].includes(roomOf(file)) && read(file).includes("process.env"));
  assert.deepEqual(breaches, []);
});

test("no file is longer than 400 lines", () => {
  const long = globSync("{src,test,tools,bench}/**/*.ts", { cwd: root })
    .filter((file) => !file.includes("/model/"))
    .map((file) => ({ file, lines: read(file).split("\n").length - 1 }))
    .filter(({ lines }) => lines > 400);
  assert.deepEqual(long, []);
});

test("names say what is inside", () => {
  const files = globSync("{src,test,tools,bench}/**/*", { cwd: root });
  assert.deepEqual(
    files.filter((file) => bannedNames.test(file)),
    [],
  );
  assert.deepEqual(
    own.filter((file) => basename(file) === "index.ts"),
    [],
  );
});

test("a test sits beside the file that it names", () => {
  const lonely = sources
    .filter((file) => file.endsWith(".test.ts"))
    .filter((file) => {
      const stem = basename(file, ".test.ts");
      const siblings = globSync(`${dirname(file)}/*.ts`, { cwd: root }).map((sibling) => basename(sibling, ".ts"));
      return !siblings.some(
        (sibling) => !sibling.endsWith(".test") && (stem === sibling || stem.startsWith(`${sibling}-`) || sibling.startsWith(`${stem}-`)),
      );
    });
  assert.deepEqual(lonely, []);
});

test("the words image and layer stay in the rooms that speak AWS", () => {
  const breaches: string[] = [];
  for (const file of own) {
    if (["api", "cli"].includes(roomOf(file)) || file === "src/distribution/errors.ts") continue;
    for (const match of read(file).matchAll(/^export (?:async )?(?:function|const|interface|type|class) (\w*)/gm)) {
      if (/image|layer(?!s$)/i.test(match[1] ?? "")) breaches.push(`${file}: ${match[1]}`);
    }
  }
  assert.deepEqual(breaches, []);
});

test("every export says what it promises", () => {
  const silent: string[] = [];
  for (const file of own) {
    const lines = read(file).split("\n");
    lines.forEach((line, index) => {
      const name = /^export (?:async )?(?:function\*?|class|const|interface|type) (\w+)/.exec(line)?.[1];
      if (name === undefined) return;
      const before = lines[index - 1]?.trim() ?? "";
      const isOverload = before.startsWith("export function");
      if (!before.endsWith("*/") && !isOverload) silent.push(`${file}: ${name}`);
    });
  }
  assert.deepEqual(silent, []);
});
