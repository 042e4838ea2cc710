/**
 * What a client accepts as a manifest. There is one stored form, so `Accept` can only be met or not. Clients list every type they can
 * read, some in wild order and on several lines; scripts send nothing or a wildcard and get what is there.
 */
import { mediaTypes } from "#oci/media-type.ts";

/** What a client that cannot read it is told; the words for OCI types are those of the reference registry, which clients show. */
const excluded: Readonly<Record<string, string>> = {
  [mediaTypes.ociManifest]: "OCI manifest found, but accept header does not support OCI manifests",
  [mediaTypes.ociIndex]: "OCI index found, but accept header does not support OCI indexes",
  [mediaTypes.dockerManifest]: "Docker manifest found, but accept header does not support Docker manifests",
  [mediaTypes.dockerManifestList]: "Docker manifest list found, but accept header does not support Docker manifest lists",
};

/** Does an Accept header (its lines joined by commas) take this media type? Absent or empty takes everything. */
export function isAcceptable(accept: string | undefined, mediaType: string): boolean {
  if (accept === undefined || accept.trim() === "") return true;
  return accept.split(",").some((entry) => {
    const [range = "", ...parameters] = entry.split(";");
    const given = range.trim().toLowerCase();
    // application/json: what every manifest also is; old scripts ask for it.
    const matches = given === mediaType || given === "*/*" || given === "application/*" || given === "application/json";
    return matches && !parameters.some((parameter) => /^\s*q\s*=\s*0(?:\.0*)?\s*$/i.test(parameter));
  });
}

/** The message of the 404 for a manifest whose type the client excludes. */
export function excludedText(mediaType: string): string {
  return excluded[mediaType] ?? `Manifest of type ${mediaType} found, but accept header does not support it`;
}
