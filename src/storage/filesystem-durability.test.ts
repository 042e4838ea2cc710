/**
 * What the kernel is asked for, and in which order: nothing else can tell a durable write from a lucky one. Runs a small program under
 * strace and reads the trace.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = await realpath(await mkdtemp(join(tmpdir(), "supercargo-trace-")));
after(() => rm(root, { recursive: true, force: true }));

const hex = "ab".repeat(32);

/** Each step tells on standard output when it has resolved: what an answer 2xx would be. */
const program = `
import { createFilesystemDriver } from ${JSON.stringify(new URL("filesystem.ts", import.meta.url).href)};
import { systemRandom } from ${JSON.stringify(new URL("../std/random.ts", import.meta.url).href)};
import { writeSync } from "node:fs";
const driver = await createFilesystemDriver({ folder: process.argv[1], random: systemRandom });
const done = (step) => writeSync(1, "done:" + step);
const digest = "sha256:${hex}";
async function segment(key) {
  const writer = await driver.openSegment(key);
  await writer.write(Buffer.alloc(1000));
  await writer.finish();
  done("segment " + key);
}
await segment("one/0");
const one = await driver.commit(["one/0"], { digest, incarnation: "one", sizeBytes: 1000 });
done("commit one");
await driver.commit(["one/0"], { digest, incarnation: "one", sizeBytes: 1000 });
done("commit again");
await segment("two/0");
await segment("two/1");
await driver.commit(["two/0", "two/1"], { digest, incarnation: "two", sizeBytes: 2000 });
done("commit two");
await driver.delete(one);
done("delete one");
`;

/** One system call that succeeded: its text, and the lines of the trace on which it began and ended. */
interface Call {
  readonly text: string;
  readonly begins: number;
  readonly ends: number;
}

/** Joins the calls that strace reports in two lines because another thread came between. */
function readTrace(trace: string): readonly Call[] {
  const calls: Call[] = [];
  const unfinished = new Map<string, { readonly text: string; readonly begins: number }>();
  for (const [line, raw] of trace.split("\n").entries()) {
    const [, thread = "", text = ""] = /^(\d+)\s+(.*)$/.exec(raw) ?? [];
    const begun = /^(.*) <unfinished \.\.\.>$/.exec(text)?.[1];
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text)?.[1];
    if (begun !== undefined) unfinished.set(thread, { text: begun, begins: line });
    else if (resumed !== undefined) {
      const start = unfinished.get(thread);
      calls.push({ text: `${start?.text ?? ""}${resumed}`, begins: start?.begins ?? line, ends: line });
    } else calls.push({ text, begins: line, ends: line });
  }
  return calls.filter((call) => /\) += [0-9]/.test(call.text));
}

async function trace(): Promise<{ readonly calls: readonly Call[] } | { readonly skip: string }> {
  const file = join(root, "trace");
  const folder = join(root, "storage");
  await mkdir(folder);
  const filter = "trace=write,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat";
  try {
    await run("strace", ["-f", "-o", join(root, "probe"), "true"]);
  } catch (error) {
    return { skip: `strace is not installed or may not trace here: ${(error as Error).message.split("\n")[0]}` };
  }
  const program_ = ["--input-type=module", "-e", program, folder];
  await run("strace", ["-f", "-y", "-s", "64", "-e", filter, "-o", file, process.execPath, ...program_]);
  return { calls: readTrace(await readFile(file, "utf8")) };
}

const traced = await trace();
const calls = "calls" in traced ? traced.calls : [];
const skip = "skip" in traced ? traced.skip : false;
const storage = join(root, "storage");
const copies = join(storage, "blobs", "sha256", "ab");

/** Finds each call after the one before has ended: `what` is part of the call's name and arguments. */
function expectOrder(...expected: readonly string[]): void {
  let after = -1;
  for (const what of expected) {
    const [name = "", ...parts] = what.split(" ");
    const found = calls.find(
      (call) => call.begins > after && call.text.startsWith(`${name}(`) && parts.every((part) => call.text.includes(part)),
    );
    assert.ok(found !== undefined, `no ${what} after line ${after + 1} of the trace:\n${calls.map((call) => call.text).join("\n")}`);
    after = found.ends;
  }
}

test("a segment's data and name, and the name of its folder, are synced before it is finished", { skip }, () => {
  expectOrder(
    `mkdir ${storage}/segments/one"`,
    `fdatasync ${storage}/segments/one/0>`,
    `fsync ${storage}/segments/one>`,
    "write done:segment",
  );
  expectOrder(`fdatasync ${storage}/segments/one/0>`, `fsync ${storage}/segments>`, "write done:segment");
});

test("one segment becomes a copy by rename, and the folder is synced before the commit is done", { skip }, () => {
  expectOrder(
    `fdatasync ${storage}/segments/one/0>`,
    `rename ${storage}/segments/one/0" ${copies}/${hex}.one"`,
    `fsync ${copies}>`,
    "write done:commit",
  );
});

test("a new folder of copies is durable before a copy moves into it", { skip }, () => {
  for (const folder of [`${storage}/blobs/sha256`, `${storage}/blobs`]) {
    expectOrder(`mkdir ${folder}`, `fsync ${folder}>`, `rename ${copies}/${hex}.one"`);
  }
});

test("a commit that finds its copy syncs the name that an earlier one may have left unsynced", { skip }, () => {
  expectOrder("write done:commit", `fsync ${copies}>`, "write again");
});

test("several segments are joined, synced, renamed and synced, and only then removed", { skip }, () => {
  expectOrder(
    "write two/1",
    `fdatasync ${storage}/segments/two/joined-`,
    `rename ${storage}/segments/two/joined- ${copies}/${hex}.two"`,
    `fsync ${copies}>`,
    `unlink ${storage}/segments/two/0"`,
    `unlink ${storage}/segments/two/1"`,
    "write done:commit",
  );
  const removed = calls.findIndex((call) => call.text.startsWith(`unlink("${storage}/segments/two/`));
  const renamed = calls.findIndex((call) => call.text.startsWith("rename(") && call.text.includes(`${hex}.two"`));
  assert.ok(renamed !== -1 && removed > renamed);
});

test("a deleted copy cannot come back", { skip }, () => {
  expectOrder(`unlink ${copies}/${hex}.one"`, `fsync ${copies}>`, "write done:delete");
});
