/** The command line as a real process: what it prints, and how it ends. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { runTool } from "../../test/clients/tool.ts";
import type { ToolResult } from "../../test/clients/tool.ts";

const main = new URL("main.ts", import.meta.url).pathname;
let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "supercargo-program-"));
  writeFileSync(join(folder, "taken"), "mine");
});
after(() => rmSync(folder, { recursive: true }));

function run(...words: string[]): Promise<ToolResult> {
  return runTool([process.execPath, main, ...words], { cwd: folder, timeoutMs: 30_000 });
}

const digest = `sha256:${"0".repeat(64)}`;
const refused: readonly (readonly [words: readonly string[], says: RegExp])[] = [
  [["nonsense"], /unknown command 'nonsense'/],
  [["gc", "--nonsense"], /unknown option '--nonsense'/],
  [["gc", "extra"], /too many arguments/],
  [["gc", "--grace"], /argument missing/],
  [["gc", "--grace", "soon"], /--grace takes a whole number of seconds/],
  [["gc", "--grace", "-1"], /./],
  [["gc", "--undo-days", "x"], /SUPERCARGO_UNDO_DAYS \(from the flag --undo-days\): 'x' is not usable/],
  [["gc"], /there is no registry in \.\/data; SUPERCARGO_DATA or --data says where it is/],
  [["fsck"], /there is no registry/],
  [["root", "reset"], /there is no registry/],
  [["restore"], /missing required argument 'repository'/],
  [["restore", "UPPER"], /'UPPER' is not the name of a repository: /],
  [["restore", "hello", "--tag", "-bad"], /'-bad' is not a tag: |argument missing/],
  [["restore", "hello", "--digest", "sha256:1"], /'sha256:1' is not a digest: /],
  [["restore", "hello", "--tag", "1", "--digest", digest], /--tag and --digest cannot be given together/],
  [["restore", "hello", "--account", "12"], /expected 12 digits/],
  [["purge", "hello"], /purge needs --tag or --digest/],
  [["purge", "hello", "--tag", "1"], /there is no registry/],
  [["key", "make"], /missing required argument 'file'/],
  [["key", "make", "taken"], /taken exists already and is left alone/],
  [["key", "make", "no/such/folder"], /no\/such\/folder cannot be written: ENOENT/],
  [["serve", "--config", "none.yaml"], /settings file none\.yaml cannot be read/],
];
describe("bad arguments give one clear line and exit code 2", { concurrency: 2 }, () => {
  for (const [words, says] of refused) {
    test(words.join(" "), async () => {
      const result = await run(...words);
      assert.deepEqual([result.status, result.stdout], [2, ""]);
      assert.match(result.stderr, /^supercargo: [^\n]+\n$/);
      assert.match(result.stderr, says);
    });
  }
});

test("nothing was made by what was refused", () => {
  assert.equal(existsSync(join(folder, "data")), false);
});

describe("asking for help", { concurrency: 2 }, () => {
  test("without a command the commands are listed, as an error", async () => {
    const result = await run();
    assert.deepEqual([result.status, result.stdout], [2, ""]);
    for (const command of ["serve", "gc", "fsck", "restore", "purge", "root", "key"])
      assert.match(result.stderr, new RegExp(`^ {2}${command} `, "m"));
  });
  test("--help of a command shows what it acts on, and still takes what the server takes", async () => {
    const result = await run("gc", "--help");
    assert.equal(result.status, 0);
    assert.match(result.stdout, /--data <value>.*--grace <seconds>.*other settings of 'serve' are accepted/s);
    assert.ok(!result.stdout.includes("--listen"));
    assert.match((await run("gc", "--listen", "127.0.0.1:1", "--dev")).stderr, /there is no registry/);
  });
  test("--version", async () => {
    const result = await run("--version");
    assert.equal(result.status, 0);
    assert.match(result.stdout, /^\d+\.\d+\.\d+\n$/);
  });
});

test("key make writes a key that only its owner can read", async () => {
  const result = await run("key", "make", "new.key");
  assert.deepEqual([result.status, result.stdout], [0, "wrote new.key\n"]);
  assert.equal(statSync(join(folder, "new.key")).mode & 0o777, 0o600);
});
