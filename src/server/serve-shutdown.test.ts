/** Ends and new beginnings of a real server process: running transfers finish, and what was begun goes on after a restart. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import type { ClientRequest, IncomingMessage } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CreateRepositoryCommand } from "@aws-sdk/client-ecr";
import { createEcrClient, registryPassword } from "../../test/aws-client.ts";
import { createOciClient, sha256 } from "../../test/oci-client.ts";
import { freePort, startServerProcess } from "../../test/server-process.ts";
import type { ServerProcess } from "../../test/server-process.ts";

/** Makes a repository and answers the Authorization header for it. */
async function login(server: ServerProcess, repositoryName: string): Promise<string> {
  const client = createEcrClient(server.url);
  await client.send(new CreateRepositoryCommand({ repositoryName }));
  return `Basic ${Buffer.from(`AWS:${await registryPassword(client)}`).toString("base64")}`;
}

/** Opens an upload and answers its URL. */
async function openUpload(server: ServerProcess, authorization: string, repository: string): Promise<URL> {
  const opened = await fetch(`${server.url}/v2/${repository}/blobs/uploads/`, { method: "POST", headers: { authorization } });
  assert.equal(opened.status, 202);
  return new URL(opened.headers.get("location") ?? "", server.url);
}

async function answerOf(call: ClientRequest): Promise<IncomingMessage> {
  const [answer] = (await once(call, "response")) as [IncomingMessage];
  return answer;
}

async function isRefused(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  return new Promise((resolve) => {
    socket.once("connect", () => (socket.destroy(), resolve(false))).once("error", () => resolve(true));
  });
}

test("SIGTERM: a running upload and a running download finish, new connections are refused, the process ends with 0", async () => {
  const server = await startServerProcess();
  try {
    const authorization = await login(server, "slow");
    const oci = createOciClient(server.url, Buffer.from(authorization.slice(6), "base64").toString().slice(4));
    const stored = randomBytes(40_000_000);
    const { digest: storedDigest } = await oci.pushBlob("slow", stored);

    const bytes = randomBytes(3_000_000);
    const target = await openUpload(server, authorization, "slow");
    target.searchParams.set("digest", sha256(bytes));
    const upload = request(target, { method: "PUT", agent: false, headers: { authorization, "content-length": bytes.length } });
    upload.write(bytes.subarray(0, 1_000_000));
    const download = request(new URL(`/v2/slow/blobs/${storedDigest}`, server.url), { agent: false, headers: { authorization } });
    download.end();
    const downloading = await answerOf(download);
    const chunks: Buffer[] = [];
    downloading.once("data", (chunk: Buffer) => {
      chunks.push(chunk);
      downloading.pause();
    });
    await once(downloading, "data");
    // A connection that asks nothing must not hold anybody up.
    const fresh = connect(server.port, "127.0.0.1");
    await once(fresh, "connect");

    const exited = once(server.child, "exit");
    server.child.kill("SIGTERM");
    for (let waited = 0; !(await isRefused(server.port)); waited += 10) {
      assert.ok(waited < 2_000, "still accepting");
      await sleep(10);
    }
    assert.equal(server.child.exitCode, null, "it waits for both");
    upload.end(bytes.subarray(1_000_000));
    const uploaded = await answerOf(upload);
    uploaded.resume();
    assert.equal(uploaded.statusCode, 201);
    assert.equal(server.child.exitCode, null, "it waits for the download");
    downloading.on("data", (chunk: Buffer) => chunks.push(chunk)).resume();
    await once(downloading, "end");
    assert.ok(Buffer.concat(chunks).equals(stored));
    assert.deepEqual(await exited, [0, null]);
  } finally {
    await server.close();
  }
});

test("what does not end in time is cut off, and a second signal after a while ends it at once", async () => {
  for (const [environment, isAskedTwice, code] of [
    [{ SUPERCARGO_SHUTDOWN_SECONDS: "1" }, false, 0],
    [{ SUPERCARGO_SHUTDOWN_SECONDS: "600" }, true, 1],
  ] as const) {
    const server = await startServerProcess({ environment });
    const authorization = await login(server, "stuck");
    const target = await openUpload(server, authorization, "stuck");
    const upload = request(target, { method: "PATCH", agent: false, headers: { authorization, "content-length": 10 } });
    upload.on("error", () => undefined).write("half");
    await sleep(100);
    const exited = once(server.child, "exit");
    // Two in a row are one: on a terminal npm and the system both send one for a single Ctrl-C.
    server.child.kill("SIGINT");
    await sleep(50);
    server.child.kill("SIGINT");
    await sleep(300);
    assert.equal(server.child.exitCode, null);
    if (isAskedTwice) {
      await sleep(900);
      server.child.kill("SIGINT");
    }
    assert.deepEqual(await exited, [code, null]);
    await server.close();
  }
});

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  test(`an upload goes on after the server was ended by ${signal} between its chunks`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "supercargo-restart-"));
    const port = await freePort();
    let server = await startServerProcess({ folder, port });
    try {
      const authorization = await login(server, "chunks");
      const [first, second] = [randomBytes(300_000), randomBytes(200_000)];
      const digest = sha256(Buffer.concat([first, second]));
      const target = await openUpload(server, authorization, "chunks");
      const send = async (method: string, url: URL, body?: Buffer<ArrayBuffer>): Promise<Response> => {
        const answer = await fetch(url, { method, headers: { authorization }, ...(body !== undefined && { body }) });
        await answer.arrayBuffer();
        return answer;
      };
      let answer = await send("PATCH", target, first);
      assert.equal(answer.status, 202);

      await server.kill(signal);
      server = await startServerProcess({ folder, port });

      answer = await send("GET", new URL(answer.headers.get("location") ?? "", server.url));
      assert.deepEqual([answer.status, answer.headers.get("range")], [204, "0-299999"]);
      answer = await send("PATCH", new URL(answer.headers.get("location") ?? "", server.url), second);
      assert.deepEqual([answer.status, answer.headers.get("range")], [202, "0-499999"]);
      const last = new URL(answer.headers.get("location") ?? "", server.url);
      last.searchParams.set("digest", digest);
      answer = await send("PUT", last);
      assert.deepEqual([answer.status, answer.headers.get("docker-content-digest")], [201, digest]);
      const blob = await fetch(`${server.url}/v2/chunks/blobs/${digest}`, { headers: { authorization } });
      assert.equal(sha256(Buffer.from(await blob.arrayBuffer())), digest);
    } finally {
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
