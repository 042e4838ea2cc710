/** Writes an image as an OCI image layout, for tools that read `oci:` folders. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { descriptorOf } from "../fixtures/oci-content.ts";
import type { Content, ManifestContent } from "../fixtures/oci-content.ts";

/** Makes `<folder>` an OCI layout that holds the image under the name `v1`. */
export function writeImageLayout(folder: string, image: ManifestContent): void {
  mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
  const write = ({ digest, bytes }: Content): void => writeFileSync(join(folder, "blobs/sha256", digest.slice("sha256:".length)), bytes);
  for (const content of [image, image.config, ...image.layers]) write(content);
  writeFileSync(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  const manifest = { ...descriptorOf(image), annotations: { "org.opencontainers.image.ref.name": "v1" } };
  writeFileSync(join(folder, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [manifest] }));
}
