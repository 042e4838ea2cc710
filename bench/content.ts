/** What is pushed to every peer before it is measured. */
import { createHash, randomBytes } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import { send } from "./load.ts";
import { repository } from "./peers.ts";
import type { Peer } from "./peers.ts";

/** A file of incompressible bytes and its digest. */
export interface BenchFile {
  readonly file: string;
  readonly digest: string;
  readonly sizeBytes: number;
}

/** Writes a file of random megabytes. */
export function makeFile(file: string, megabytes: number): BenchFile {
  const hash = createHash("sha256");
  const descriptor = openSync(file, "w");
  for (let index = 0; index < megabytes; index++) {
    const chunk = randomBytes(1_000_000);
    hash.update(chunk);
    writeSync(descriptor, chunk);
  }
  closeSync(descriptor);
  return { file, digest: `sha256:${hash.digest("hex")}`, sizeBytes: megabytes * 1_000_000 };
}

/** Pushes one small blob. */
export async function pushSmallBlob(peer: Peer, bytes: Buffer, target = repository): Promise<string> {
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  const opened = await send(peer, "POST", `/v2/${target}/blobs/uploads/`);
  const location = new URL(opened.location, peer.url);
  location.searchParams.set("digest", digest);
  const closed = await send(peer, "PUT", location.pathname + location.search, bytes, { "content-type": "application/octet-stream" });
  if (closed.status !== 201) throw new Error(`${peer.name}: blob PUT answered ${closed.status} ${closed.body.toString()}`);
  return digest;
}

/** Pushes a manifest of a given config under tags; returns its digest. */
export async function pushManifest(
  peer: Peer,
  config: { digest: string; sizeBytes: number },
  note: string,
  tags: readonly string[],
  target = repository,
): Promise<string> {
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: config.digest, size: config.sizeBytes },
    layers: [],
    annotations: { note },
  });
  for (const tag of tags) {
    const answer = await send(peer, "PUT", `/v2/${target}/manifests/${tag}`, body, {
      "content-type": "application/vnd.oci.image.manifest.v1+json",
    });
    if (answer.status !== 201) throw new Error(`${peer.name}: manifest PUT answered ${answer.status} ${answer.body.toString()}`);
  }
  return `sha256:${createHash("sha256").update(body).digest("hex")}`;
}
