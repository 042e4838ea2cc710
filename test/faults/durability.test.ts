/** A system-call trace of a real push proves the order: data sync, rename, folder sync, commit, and only then 201. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CreateRepositoryCommand } from "@aws-sdk/client-ecr";
import { until } from "#std/testing/until.ts";
import { createEcrClient, registryPassword } from "../aws-client.ts";
import { needs } from "../clients/tool.ts";
import { createOciClient } from "../oci-client.ts";
import { startServerProcess } from "../server-process.ts";

/** One finished system call, at the line where it ended (where it began, for calls whose effect on others begins there). */
interface Call {
  readonly name: string;
  readonly text: string;
}

/** Joins `unfinished` and `resumed` halves, so that each call stands where it returned. */
function finishedCalls(trace: string): Call[] {
  const open = new Map<string, string>();
  const calls: Call[] = [];
  for (const line of trace.split("\n")) {
    const match = /^(\d+)\s+(.*)$/.exec(line);
    if (match === null) continue;
    const [, thread = "", rest = ""] = match;
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest);
    if (resumed !== null) {
      calls.push({ name: resumed[1] ?? "", text: `${open.get(thread) ?? ""}${resumed[2]}` });
      open.delete(thread);
    } else if (rest.endsWith("<unfinished ...>")) open.set(thread, rest.slice(0, -"<unfinished ...>".length));
    else calls.push({ name: /^\w+/.exec(rest)?.[0] ?? "", text: rest });
  }
  return calls;
}

test("a blob's bytes are durable before its fact, and the fact before 201", { timeout: 120_000, ...needs("strace") }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "supercargo-trace-"));
  const traceFile = join(folder, "trace");
  const wrapper = [
    "strace",
    // The server stays our child and strace watches from the side, so that signals reach the server.
    "-D",
    "-f",
    "-qq",
    "-y",
    "-s",
    "200",
    "-e",
    "trace=fdatasync,fsync,rename,renameat,renameat2,write,writev,sendmsg,sendto,pwrite64",
    "-e",
    "signal=none",
    "-o",
    traceFile,
  ];
  const server = await startServerProcess({ folder: join(folder, "data"), wrapper });
  try {
    const client = createEcrClient(server.url);
    await client.send(new CreateRepositoryCommand({ repositoryName: "traced" }));
    const oci = createOciClient(server.url, await registryPassword(client));
    const before = finishedCalls(readFileSync(traceFile, "utf8")).length;
    const { digest } = await oci.pushBlob("traced", randomBytes(300_000));
    let calls: Call[] = [];
    // The client may have the answer before strace has written the call that sent it.
    const isTold = (): boolean => {
      calls = finishedCalls(readFileSync(traceFile, "utf8")).slice(before);
      return calls.some(({ text }) => text.includes("HTTP/1.1 201"));
    };
    await until(isTold, { otherwise: "the answer 201 is not in the trace" });
    const hex = digest.slice("sha256:".length);
    const at = (what: string, matches: (call: Call) => boolean, after: number): number => {
      const index = calls.findIndex((call, position) => position > after && matches(call));
      assert.ok(index !== -1, `${what} is missing after call ${after} in:\n${calls.map(({ text }) => text.slice(0, 160)).join("\n")}`);
      return index;
    };
    const dataSync = at("the data sync of the segment", ({ name, text }) => name === "fdatasync" && text.includes("/segments/"), -1);
    const renamed = at(
      "the rename to the stored copy",
      ({ name, text }) => name.startsWith("rename") && text.includes("/segments/") && text.includes(hex),
      dataSync,
    );
    const folderSync = at(
      "the sync of the folder",
      ({ name, text }) => name === "fsync" && new RegExp(`/blobs/sha256/${hex.slice(0, 2)}>`).test(text),
      renamed,
    );
    const commit = at(
      "the commit",
      ({ name, text }) => (name === "fdatasync" || name === "fsync") && text.includes(".sqlite-wal>"),
      folderSync,
    );
    at("the answer 201", ({ text }) => text.includes("HTTP/1.1 201"), commit);
    const early = calls.slice(0, commit).filter(({ text }) => text.includes("HTTP/1.1 201"));
    assert.deepEqual(early, [], "201 was sent before the commit");
  } finally {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
