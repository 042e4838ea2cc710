import assert from "node:assert/strict";
import { test } from "node:test";
import { Readable } from "node:stream";
import type { Digest } from "#oci/digest.ts";
import type { RegistryClient, RegistryRequest } from "./registry-client.ts";
import { pushBlob } from "./registry-push.ts";
import { UpstreamError } from "./upstream-error.ts";

const digest = `sha256:${"a".repeat(64)}` as Digest;
const content = "0123456789";

/** A peer that answers by script; `lose` breaks the link during a request. */
function peerOf(options: {
  readonly mounts?: boolean;
  readonly loses?: readonly number[];
  readonly forgets?: boolean;
  readonly refuses?: number;
  readonly location?: string;
}) {
  const asked: string[] = [];
  let stored: string | undefined;
  let patches = 0;
  let isBlob = false;
  const answer = (status: number, headers: Record<string, string> = {}) => ({ status, headers, body: Readable.from([]) });
  const request = async ({ method, path, body, headers = {} }: RegistryRequest) => {
    asked.push(`${method} ${path}`);
    assert.equal(headers["host"], "registry.example");
    if (options.refuses !== undefined) return answer(options.refuses);
    if (method === "POST") {
      if (options.mounts === true) return answer(201);
      stored = "";
      return answer(202, { location: options.location ?? "https://elsewhere.example/v2/web/blobs/uploads/1?state=x" });
    }
    if (stored === undefined) return answer(404);
    if (method === "GET") return answer(204, { range: `0-${Math.max(0, stored.length - 1)}` });
    if (method === "PUT") {
      isBlob = stored === content;
      return answer(isBlob ? 201 : 400);
    }
    const piece = (await (body as Readable).toArray()).join("");
    patches += 1;
    if (options.forgets === true && patches === 2) {
      stored = undefined;
      return answer(404);
    }
    if (options.loses?.includes(patches) === true) throw new UpstreamError({ outcome: "unavailable", problem: "the link broke" });
    const [first, last] = (headers["content-range"] ?? "").split("-").map(Number);
    if (first !== stored.length) return answer(416);
    assert.equal(piece.length, (last ?? 0) - (first ?? 0) + 1);
    stored += piece;
    return answer(202);
  };
  return { asked, isStored: () => isBlob, patches: () => patches, client: { request } as unknown as RegistryClient };
}

async function push(peer: ReturnType<typeof peerOf>, location?: string): Promise<{ readonly kept: string | undefined }> {
  let kept = location;
  const sessions = {
    find: async () => kept,
    keep: async (place: string) => void (kept = place),
    forget: async () => void (kept = undefined),
  };
  const { signal } = new AbortController();
  const open = async ({ first, last }: { first: number; last: number }) => Readable.from([content.slice(first, last + 1)]);
  await pushBlob(
    { client: peer.client, host: "registry.example", repository: "web", now: () => 0, sessions, signal, chunkBytes: 4 },
    { digest, sizeBytes: content.length, open },
  );
  return { kept };
}

test("a blob goes in pieces, by the path of the location and never to its host", async () => {
  const peer = peerOf({});
  assert.deepEqual(await push(peer), { kept: undefined });
  assert.ok(peer.isStored());
  assert.deepEqual(peer.asked, [
    `POST /v2/web/blobs/uploads/?mount=${digest}`,
    ...Array.from({ length: 3 }, () => "PATCH /v2/web/blobs/uploads/1?state=x"),
    `PUT /v2/web/blobs/uploads/1?state=x&digest=${digest}`,
  ]);
});

test("no location leads to another host, however it is written", async () => {
  for (const location of [
    "//inside.example/v2/",
    "https://peer//inside.example/v2/",
    "/%2F/inside",
    "/\\inside.example/",
    "/..//inside.example/",
  ]) {
    const peer = peerOf({ location });
    await push(peer).catch((error: unknown) => assert.ok(error instanceof UpstreamError && error.failure.outcome === "invalid", location));
    const hosts = peer.asked.map((line) => new URL(line.slice(line.indexOf(" ") + 1), "https://registry.example").host);
    assert.deepEqual([...new Set(hosts)], ["registry.example"], location);
  }
});

test("what is mounted is not sent", async () => {
  const peer = peerOf({ mounts: true });
  await push(peer);
  assert.equal(peer.asked.length, 1);
});

test("after a broken link it goes on where the session stands", async () => {
  const peer = peerOf({ loses: [2] });
  await push(peer);
  assert.ok(peer.isStored());
  assert.equal(peer.patches(), 4, "one piece twice");
  assert.equal(peer.asked.filter((line) => line.startsWith("POST")).length, 1);
});

test("a session that is gone is begun anew, also one of an earlier run", async () => {
  const peer = peerOf({ forgets: true });
  await push(peer, "/v2/web/blobs/uploads/0");
  assert.ok(peer.isStored());
  assert.equal(peer.asked.filter((line) => line.startsWith("POST")).length, 2);
});

test("a refusal is told as what it is, and not tried again", async () => {
  const peer = peerOf({ refuses: 403 });
  await assert.rejects(push(peer), (error: unknown) => error instanceof UpstreamError && error.failure.outcome === "denied");
  assert.equal(peer.asked.length, 1);
});
