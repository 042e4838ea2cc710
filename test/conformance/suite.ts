/**
 * The cases of OCI's own conformance suite for registries (distribution-spec, `conformance/`), made again here because that suite is a
 * program of its own. Case names are the suite's. Strict where the suite lets a registry skip: everything optional is expected.
 */
import assert from "node:assert/strict";
import type { DigestAlgorithm } from "#oci/digest.ts";
import { digestOf } from "#oci/digest.ts";
import type { Limits } from "#registry/limits.ts";
import type { Content } from "../fixtures/oci-content.ts";
import { startRegistryServer } from "../registry-server.ts";
import type { Answer, RegistryServer } from "../registry-server.ts";

/** The two repositories that the suite is given. */
export const repo1 = "conformance/repo1";
export const repo2 = "conformance/repo2";

/** Starts a registry with the suite's two repositories. */
export async function startSuite(limits: Partial<Limits> = {}): Promise<RegistryServer> {
  const server = await startRegistryServer({ limits });
  for (const name of [repo1, repo2]) await server.createRepository(name);
  return server;
}

/** Bytes with their digest under one algorithm. */
export function blobOf(bytes: Buffer, algorithm: DigestAlgorithm): Content {
  return { bytes, digest: digestOf(algorithm, bytes), mediaType: "application/octet-stream" };
}

/** Opens an upload and answers its Location. */
export async function openUpload(server: RegistryServer, name = repo1, query = ""): Promise<string> {
  const answer = await server.request("POST", `/v2/${name}/blobs/uploads/${query}`);
  assert.equal(answer.status, 202, answer.message);
  return locationOf(answer);
}

/** The Location that an answer must have. */
export function locationOf(answer: Answer): string {
  const location = answer.headers["location"];
  assert.ok(location !== undefined, `no Location in a ${answer.status}`);
  return location;
}

/** A Location with the digest added as Go's clients do it: parsed, changed, encoded again. */
export function withDigest(location: string, digest: string): string {
  const url = new URL(location, "http://registry");
  url.searchParams.set("digest", digest);
  return `${url.pathname}${url.search}`;
}

/** Stores a blob by POST and PUT. */
export async function pushBlob(server: RegistryServer, content: Content, name = repo1): Promise<void> {
  const answer = await server.request("PUT", withDigest(await openUpload(server, name), content.digest), { body: content.bytes });
  assert.equal(answer.status, 201, answer.message);
}

/** What the suite asks after each push: the Location serves the bytes, HEAD and GET agree, DELETE works and is seen at once. */
export async function checkPushedBlob(server: RegistryServer, pushed: Answer, content: Content): Promise<void> {
  assert.equal(pushed.status, 201, pushed.message);
  assert.equal(pushed.headers["docker-content-digest"], content.digest);
  const there = await server.request("GET", locationOf(pushed));
  assert.deepEqual([there.status, there.body.equals(content.bytes)], [200, true]);
  await checkBlob(server, content);
  const path = `/v2/${repo1}/blobs/${content.digest}`;
  assert.equal((await server.request("DELETE", path)).status, 202);
  assert.equal((await server.request("HEAD", path)).status, 404);
}

/** HEAD and GET of a blob that must be there. */
export async function checkBlob(server: RegistryServer, content: Content): Promise<void> {
  const path = `/v2/${repo1}/blobs/${content.digest}`;
  const head = await server.request("HEAD", path);
  const get = await server.request("GET", path);
  for (const answer of [head, get]) {
    assert.equal(answer.status, 200, answer.message);
    assert.equal(answer.headers["content-length"], String(content.bytes.byteLength));
    assert.equal(answer.headers["docker-content-digest"], content.digest);
  }
  assert.equal(head.body.byteLength, 0);
  assert.ok(get.body.equals(content.bytes));
}

/** Sends a chunk with its Content-Range. */
export function sendChunk(
  server: RegistryServer,
  method: "PATCH" | "PUT",
  target: string,
  content: Content,
  first: number,
  end: number,
): Promise<Answer> {
  const body = content.bytes.subarray(first, end);
  return server.request(method, target, {
    body,
    headers: { "Content-Range": `${first}-${end - 1}`, "Content-Type": "application/octet-stream" },
  });
}
