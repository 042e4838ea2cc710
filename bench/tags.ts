/** Many tags in one repository: through the API on ours; on docker-registry as the link files that its API would have written, since a hundred thousand pushes would take minutes. */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { send } from "./load.ts";
import { pushManifest, pushSmallBlob } from "./content.ts";
import type { Peer } from "./peers.ts";

const tagsPerManifest = 500;

/** Tag number `index`, in byte order. */
export function tagName(index: number): string {
  return `tag-${String(index).padStart(6, "0")}`;
}

/** Fills `target` with `count` tags and returns the digest of an additional manifest with one tag, to be deleted. */
export async function fillTags(peer: Peer, target: string, count: number): Promise<string> {
  const bytes = Buffer.from("{}");
  const config = { digest: await pushSmallBlob(peer, bytes, target), sizeBytes: bytes.length };
  if (peer.name === "docker-registry") {
    const digest = await pushManifest(peer, config, "all", ["seed"], target);
    for (let index = 0; index < count; index++) writeTagLink(peer, target, tagName(index), digest);
  } else {
    for (let first = 0; first < count; first += tagsPerManifest)
      await pushManyTags(peer, config, target, first, Math.min(tagsPerManifest, count - first));
  }
  return pushManifest(peer, config, "to be deleted", ["victim"], target);
}

async function pushManyTags(
  peer: Peer,
  config: { digest: string; sizeBytes: number },
  target: string,
  first: number,
  count: number,
): Promise<void> {
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: config.digest, size: config.sizeBytes },
    layers: [],
    annotations: { first: String(first) },
  });
  const digest = `sha256:${createHash("sha256").update(body).digest("hex")}`;
  for (let offset = 0; offset < count; offset += 100) {
    const query = Array.from({ length: Math.min(100, count - offset) }, (_, index) => `tag=${tagName(first + offset + index)}`).join("&");
    const answer = await send(peer, "PUT", `/v2/${target}/manifests/${digest}?${query}`, body, {
      "content-type": "application/vnd.oci.image.manifest.v1+json",
    });
    if (answer.status !== 201) throw new Error(`${peer.name}: PUT with tags answered ${answer.status} ${answer.body.toString()}`);
  }
}

/** The file layout of distribution 2.8: `_manifests/tags/<tag>/{current/link,index/sha256/<hex>/link}`. */
function writeTagLink(peer: Peer, target: string, tag: string, digest: string): void {
  const folder = join(peer.folder, "data/docker/registry/v2/repositories", target, "_manifests/tags", tag);
  const index = join(folder, "index/sha256", digest.slice("sha256:".length));
  mkdirSync(join(folder, "current"), { recursive: true });
  mkdirSync(index, { recursive: true });
  writeFileSync(join(folder, "current/link"), digest);
  writeFileSync(join(index, "link"), digest);
}
