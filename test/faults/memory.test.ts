/** Peak resident memory (VmHWM) stays under 200 MB while eight layers go up at once and come down at once, and does not grow with their size. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { request } from "node:http";
import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { CreateRepositoryCommand } from "@aws-sdk/client-ecr";
import { createEcrClient, registryPassword } from "../aws-client.ts";
import { createOciClient } from "../oci-client.ts";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";

const limitBytes = 200_000_000;
const parallel = 8;
const gigabyte = 1_073_741_824;
const block = Buffer.alloc(1_048_576, "supercargo");

/** The bytes of layer `number`: a marked block, repeated. */
function blockOf(number: number): Buffer {
  const own = Buffer.from(block);
  own.writeUInt32BE(number, 0);
  return own;
}

function digestOfLayer(number: number, sizeBytes: number): string {
  const hash = createHash("sha256");
  const own = blockOf(number);
  for (let sent = 0; sent < sizeBytes; sent += own.length) hash.update(own);
  return `sha256:${hash.digest("hex")}`;
}

/** One streamed PUT of a whole layer. */
async function putLayer(server: ServerProcess, authorization: string, number: number, sizeBytes: number, digest: string): Promise<void> {
  const opened = await fetch(`${server.url}/v2/memory/blobs/uploads/`, { method: "POST", headers: { authorization } });
  const location = new URL(opened.headers.get("location") ?? "", server.url);
  location.searchParams.set("digest", digest);
  const own = blockOf(number);
  await new Promise<void>((resolve, reject) => {
    const put = request(location, { method: "PUT", headers: { authorization, "content-length": sizeBytes } }, (answer) => {
      answer.resume();
      answer.once("end", () => (answer.statusCode === 201 ? resolve() : reject(new Error(`PUT answered ${answer.statusCode}`))));
    });
    put.once("error", reject);
    let sent = 0;
    const more = (): void => {
      while (sent < sizeBytes) {
        sent += own.length;
        if (!put.write(own)) return void put.once("drain", more);
      }
      put.end();
    };
    more();
  });
}

async function getLayer(server: ServerProcess, authorization: string, digest: string): Promise<number> {
  const answer = await fetch(`${server.url}/v2/memory/blobs/${digest}`, { headers: { authorization } });
  let received = 0;
  for await (const chunk of answer.body ?? []) received += chunk.length;
  return received;
}

async function measure(sizeBytes: number): Promise<{ push: number; pull: number }> {
  const server = await startServerProcess();
  try {
    const client = createEcrClient(server.url);
    await client.send(new CreateRepositoryCommand({ repositoryName: "memory" }));
    const password = await registryPassword(client);
    const authorization = `Basic ${Buffer.from(`AWS:${password}`).toString("base64")}`;
    const numbers = Array.from({ length: parallel }, (_, index) => index);
    const digests = numbers.map((number) => digestOfLayer(number, sizeBytes));
    await Promise.all(numbers.map((number) => putLayer(server, authorization, number, sizeBytes, digests[number] ?? "")));
    const push = server.peakMemoryBytes();
    const sizes = await Promise.all(digests.map((digest) => getLayer(server, authorization, digest)));
    assert.deepEqual(
      sizes,
      numbers.map(() => sizeBytes),
    );
    const pull = server.peakMemoryBytes();
    // A blob that came back with the right length is also the right one.
    const oci = createOciClient(server.url, password);
    const span = await oci.request("GET", `/v2/memory/blobs/${digests[3]}`, { headers: { range: "bytes=0-1048575" } });
    assert.ok(Buffer.from(await span.arrayBuffer()).equals(blockOf(3)));
    return { push, pull };
  } finally {
    await server.close();
  }
}

for (const sizeBytes of [gigabyte, 4 * gigabyte]) {
  const free = statfsSync(tmpdir());
  const roomBytes = free.bavail * free.bsize;
  const neededBytes = parallel * sizeBytes + 2 * gigabyte;
  const skip = roomBytes < neededBytes ? { skip: `needs ${neededBytes} bytes of disk, ${roomBytes} are free` } : {};
  test(`eight layers of ${sizeBytes / gigabyte} GB at once stay under 200 MB`, { timeout: 1_200_000, ...skip }, async (context) => {
    const { push, pull } = await measure(sizeBytes);
    context.diagnostic(
      `${sizeBytes / gigabyte} GB a layer: peak ${Math.round(push / 1e6)} MB pushing, ${Math.round(pull / 1e6)} MB after pulling`,
    );
    process.stdout.write(
      `memory: ${sizeBytes / gigabyte} GB a layer: peak ${Math.round(push / 1e6)} MB after pushing, ${Math.round(pull / 1e6)} MB after pulling\n`,
    );
    assert.ok(push < limitBytes, `pushing peaked at ${push} bytes`);
    assert.ok(pull < limitBytes, `pulling peaked at ${pull} bytes`);
  });
}
