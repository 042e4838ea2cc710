/** Ten thousand upload sessions that nobody goes on with cost rows on the disk, not memory, and each of them can still be ended. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CreateRepositoryCommand } from "@aws-sdk/client-ecr";
import { createEcrClient, registryPassword } from "../aws-client.ts";
import { createOciClient, sha256 } from "../oci-client.ts";
import { startServerProcess } from "../server-process.ts";

const sessions = 10_000;
const parallel = 32;
/** Some tens of bytes a session, and what a heap does by itself. */
const growthLimitBytes = 60_000_000;

test("ten thousand open upload sessions do not grow memory much", { timeout: 300_000 }, async (context) => {
  // Not what is measured here: the speed of a disk that syncs twenty thousand times.
  const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "supercargo-open-"));
  const server = await startServerProcess({ folder });
  const agent = new Agent({ keepAlive: true, maxSockets: parallel });
  try {
    const client = createEcrClient(server.url);
    await client.send(new CreateRepositoryCommand({ repositoryName: "open" }));
    const password = await registryPassword(client);
    const authorization = `Basic ${Buffer.from(`AWS:${password}`).toString("base64")}`;
    const ask = (method: string, path: string, body = ""): Promise<{ status: number; location: string }> =>
      new Promise((resolve, reject) => {
        const headers = { authorization, "content-length": body.length };
        const sent = request(new URL(path, server.url), { method, agent, headers }, (answer) => {
          answer.resume().once("end", () => resolve({ status: answer.statusCode ?? 0, location: String(answer.headers.location) }));
        });
        sent.once("error", reject).end(body);
      });
    const open = async (): Promise<string> => {
      const { status, location } = await ask("POST", "/v2/open/blobs/uploads/");
      assert.equal(status, 202);
      assert.equal((await ask("PATCH", location, "idle")).status, 202);
      return location;
    };
    const openMany = async (count: number): Promise<string[]> => {
      const paths: string[] = [];
      const worker = async (): Promise<void> => {
        while (paths.length < count) paths.push(await open());
      };
      await Promise.all(Array.from({ length: parallel }, worker));
      return paths;
    };
    const residentBytes = (): number =>
      Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.child.pid}/status`, "utf8"))?.[1]) * 1024;
    await openMany(1_000);
    const before = residentBytes();
    const paths = await openMany(sessions);
    const grown = residentBytes() - before;
    context.diagnostic(`${paths.length} sessions: ${Math.round(grown / 1e6)} MB more than ${Math.round(before / 1e6)} MB`);
    assert.ok(grown < growthLimitBytes, `${grown} bytes`);
    const digest = sha256(Buffer.from("idle"));
    for (const path of [paths[0], paths[sessions / 2], paths.at(-1)])
      assert.equal((await ask("PUT", `${path}?digest=${digest}`)).status, 201);
    await createOciClient(server.url, password).pushImage("open", "v1", [Buffer.from("a layer")]);
  } finally {
    agent.destroy();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
