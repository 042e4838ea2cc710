/**
 * Where things are, as response headers say it. Locations are always relative paths: they hold behind every proxy, port
 * and name. Names, digests, tags and upload ids consist of characters that need no escaping in a path.
 */

/** The last byte an upload holds, in the form `0-<last>`. No byte yet is also `0-0`: clients insist on a range that parses. */
function uploadRange(receivedBytes: number): string {
  return `0-${Math.max(0, receivedBytes - 1)}`;
}

/** What every answer about an upload session carries, as a flat header list. */
export function uploadHeaders(name: string, upload: { readonly uploadId: string; readonly receivedBytes: number }): string[] {
  return [
    "Location",
    `/v2/${name}/blobs/uploads/${upload.uploadId}`,
    "Range",
    uploadRange(upload.receivedBytes),
    "Docker-Upload-UUID",
    upload.uploadId,
  ];
}

/** What the answer to a finished push carries. */
export function storedHeaders(kind: "blobs" | "manifests", name: string, digest: string): string[] {
  return ["Location", `/v2/${name}/${kind}/${digest}`, "Docker-Content-Digest", digest];
}
