/** Media types that mean something to a registry. All others are carried without being understood. */

/** The media types that the registry itself names. */
export const mediaTypes = {
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociIndex: "application/vnd.oci.image.index.v1+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerManifestList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerSchema1: "application/vnd.docker.distribution.manifest.v1+json",
  dockerSchema1Signed: "application/vnd.docker.distribution.manifest.v1+prettyjws",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  ociEmpty: "application/vnd.oci.empty.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar",
  ociLayerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  ociLayerZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar",
  dockerLayerGzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  dockerLayerZstd: "application/vnd.docker.image.rootfs.diff.tar.zstd",
  octetStream: "application/octet-stream",
} as const;

/** The media types under which a manifest can be stored. */
export type ManifestMediaType =
  | typeof mediaTypes.ociManifest
  | typeof mediaTypes.ociIndex
  | typeof mediaTypes.dockerManifest
  | typeof mediaTypes.dockerManifestList;

/** Is this one of the four types of manifest? Exact text: give it a bare media type. */
export function isManifestMediaType(text: string): text is ManifestMediaType {
  return (
    text === mediaTypes.ociManifest ||
    text === mediaTypes.ociIndex ||
    text === mediaTypes.dockerManifest ||
    text === mediaTypes.dockerManifestList
  );
}

/** Does this type of manifest list other manifests (an OCI index, a Docker manifest list)? */
export function isIndexMediaType(mediaType: ManifestMediaType): boolean {
  return mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerManifestList;
}

/** The type and subtype of a `Content-Type` value, in lower case and without parameters; they are case-insensitive (RFC 9110 section 8.3.1). */
export function bareMediaType(contentType: string): string {
  const semicolon = contentType.indexOf(";");
  return (semicolon === -1 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase();
}

/** Is this a Docker schema 1 manifest, which no living client makes? */
export function isSchema1MediaType(text: string): boolean {
  return text === mediaTypes.dockerSchema1 || text === mediaTypes.dockerSchema1Signed;
}

/**
 * May a blob of this media type be missing from the registry (OCI's non-distributable layers, Docker's foreign ones)? Exact case: a
 * type written otherwise counts as distributable, so that its blob must be there.
 */
export function isNonDistributable(mediaType: string): boolean {
  return (
    mediaType.startsWith("application/vnd.oci.image.layer.nondistributable.") ||
    mediaType.startsWith("application/vnd.docker.image.rootfs.foreign.")
  );
}
