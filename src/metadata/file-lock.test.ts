import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { test } from "node:test";
import { takeFileLock } from "./file-lock.ts";

test("one holder at a time, in this process and between processes, and none after a kill -9", async () => {
  const folder = mkdtempSync(join(tmpdir(), "supercargo-lock-"));
  let holder: ChildProcessByStdio<null, Readable, null> | undefined;
  try {
    const file = join(folder, "lock");
    const first = takeFileLock(file);
    assert.ok(first !== undefined);
    assert.deepEqual([statSync(file).mode & 0o777, statSync(file).size], [0o600, 0]);
    // Twice, because a careless second try gives up the first one's lock.
    assert.deepEqual([takeFileLock(file), takeFileLock(file)], [undefined, undefined]);
    first.release();

    // Nobody keeps what is returned, and what can be collected is.
    const program = `const { takeFileLock } = await import(${JSON.stringify(new URL("file-lock.ts", import.meta.url).href)});
      const isHeld = takeFileLock(${JSON.stringify(file)}) !== undefined;
      for (let turn = 0; turn < 5; turn++) { globalThis.gc(); await new Promise((resolve) => setTimeout(resolve, 10)); }
      console.log(isHeld ? "held" : "busy"); setInterval(() => {}, 1000);`;
    holder = spawn(process.execPath, ["--expose-gc", "--input-type=module", "--eval", program], { stdio: ["ignore", "pipe", "inherit"] });
    const [said] = (await once(holder.stdout, "data")) as [Buffer];
    assert.equal(said.toString().trim(), "held");
    assert.equal(takeFileLock(file), undefined);
    holder.kill("SIGKILL");
    await once(holder, "exit");
    const again = takeFileLock(file);
    assert.ok(again !== undefined);
    again.release();
  } finally {
    holder?.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
});
