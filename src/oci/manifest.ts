/**
 * Manifests: the four kinds of JSON document that a registry stores, tags and serves (OCI image specification 1.1, manifest.md and
 * image-index.md; Docker image manifest version 2, schema 2). The bytes are the truth and are stored as they came; what is read here is
 * what the registry needs to know about them. Where two readers could see two different documents, the manifest is refused.
 */
import { parseJson } from "#std/json.ts";
import type { Json } from "#std/json.ts";
import { parsed, problem } from "#std/parsed.ts";
import type { Parsed } from "#std/parsed.ts";
import { digestAlgorithm, digestOf, parseDigest } from "./digest.ts";
import type { Digest } from "./digest.ts";
import { bareMediaType, isIndexMediaType, isManifestMediaType, isSchema1MediaType, mediaTypes } from "./media-type.ts";
import type { ManifestMediaType } from "./media-type.ts";

/** Points at content: what it is, its digest and its size (OCI image specification, descriptor.md). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** A JSON object as it was written. */
  readonly platform?: Json;
}

/** What the registry needs to know about a manifest. */
export interface ParsedManifest {
  readonly mediaType: ManifestMediaType;
  readonly kind: "image" | "index";
  /** Of kind image only, where it is always there. */
  readonly config?: Descriptor;
  /** Of kind image, in order; empty for an index. */
  readonly layers: readonly Descriptor[];
  /** Of kind index, in order; empty for an image. */
  readonly children: readonly Descriptor[];
  /** The manifest that this one refers to. OCI types only: Docker's have no such member, so theirs is ignored. */
  readonly subject?: Descriptor;
  /** The effective one: the manifest's own, else the media type of an image's config, else absent. */
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Config and layers as the manifest states them, a safe integer; 0 for an index. */
  readonly contentSizeBytes: number;
}

/** The largest manifest accepted, as in ECR: 4 MiB. */
export const manifestLimitBytes = 4_194_304;

/** Layers of an image, or children of an index. Far more than real ones have; each becomes a row. */
const descriptorLimit = 10_000;
const mediaTypeLimit = 255;

type JsonObject = { readonly [key: string]: Json };

/** Remembers the first problem, so that reading can go on without a branch after each member. */
interface Reader {
  problem: string | undefined;
}

/**
 * Parses a manifest of at most 4 MiB. `declaredMediaType` is the `Content-Type` of the request (parameters are ignored) or what an API
 * call states. It and the body's own `mediaType` must agree, and one of them must be there; Docker's types need the body's.
 * Refused: what {@link parseJson} refuses; anything but schema version 2; an image with `manifests`, an index with `config` or
 * `layers`; member names that case-insensitive readers (Go's) would take for the ones used here; sizes that are no safe integers;
 * digests of unknown algorithms; inline `data` that is not what the descriptor says; more than 10,000 layers or children.
 * Accepted and left alone: unknown members, and unknown media types of config, layers and children. `null` counts as absent.
 */
export function parseManifest(bytes: Uint8Array, declaredMediaType: string | undefined): Parsed<ParsedManifest> {
  if (bytes.byteLength > manifestLimitBytes) return problem(`a manifest has at most ${manifestLimitBytes} bytes`);
  const json = parseJson(bytes);
  if (!json.ok) return json;
  const body = json.value;
  if (!isObject(body)) return problem("a manifest is a JSON object");
  const mediaType = readManifestType(body, declaredMediaType);
  if (!mediaType.ok) return mediaType;
  const reader: Reader = { problem: undefined };
  const manifest = readBody(reader, body, mediaType.value);
  return reader.problem === undefined ? parsed(manifest) : problem(reader.problem);
}

/** Finds out which of the four types a document is, and that it does not pass for another one as well. */
function readManifestType(body: JsonObject, declaredMediaType: string | undefined): Parsed<ManifestMediaType> {
  const declared = bareMediaType(declaredMediaType ?? "");
  const stated = body["mediaType"] ?? undefined;
  if (stated !== undefined && typeof stated !== "string") return problem("mediaType must be a text");
  if (body["schemaVersion"] === 1 || isSchema1MediaType(declared) || isSchema1MediaType(stated ?? ""))
    return problem("manifests of Docker schema 1 are not supported: push again with a current client");
  if (body["schemaVersion"] !== 2) return problem("schemaVersion must be 2");
  if (declared !== "" && stated !== undefined && stated !== declared)
    return problem(`the manifest states the media type ${shown(stated)}, but ${shown(declared)} was declared`);
  const mediaType = stated ?? declared;
  if (mediaType === "") return problem("the media type is neither declared nor stated in the manifest");
  if (!isManifestMediaType(mediaType)) return problem(`${shown(mediaType)} is not a media type of manifests`);
  if (isDocker(mediaType) && stated === undefined) return problem("a Docker manifest must state its mediaType");
  return parsed(mediaType);
}

function readBody(reader: Reader, body: JsonObject, mediaType: ManifestMediaType): ParsedManifest {
  const isIndex = isIndexMediaType(mediaType);
  refuseLookalikes(reader, body, manifestMembers, "");
  for (const foreign of isIndex ? ["config", "layers", "fsLayers"] : ["manifests", "fsLayers"])
    if ((body[foreign] ?? null) !== null) note(reader, foreign, `has no place in a manifest of type ${mediaType}`);
  const config = isIndex ? undefined : readDescriptor(reader, body["config"], "config");
  const layers = isIndex ? [] : readDescriptors(reader, body, "layers");
  const children = isIndex ? readDescriptors(reader, body, "manifests") : [];
  const hasSubject = !isDocker(mediaType) && (body["subject"] ?? null) !== null;
  const subject = hasSubject ? readDescriptor(reader, body["subject"], "subject") : undefined;
  const artifactType = readArtifactType(reader, body, "") ?? config?.mediaType;
  const annotations = readAnnotations(reader, body, "");
  const contentSizeBytes = layers.reduce((sum, layer) => sum + layer.sizeBytes, config?.sizeBytes ?? 0);
  if (!Number.isSafeInteger(contentSizeBytes)) note(reader, "layers", "have sizes that add up to more than can be counted");
  return {
    mediaType,
    kind: isIndex ? "index" : "image",
    ...(config !== undefined && { config }),
    layers,
    children,
    ...(subject !== undefined && { subject }),
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations !== undefined && { annotations }),
    contentSizeBytes,
  };
}

/** Reads a list that must be there. Go's encoder writes an empty one as null. */
function readDescriptors(reader: Reader, body: JsonObject, name: string): readonly Descriptor[] {
  const list = body[name] === null ? [] : body[name];
  if (!Array.isArray(list)) {
    note(reader, name, "must be a list of descriptors");
    return [];
  }
  if (list.length > descriptorLimit) {
    note(reader, name, `must not have more than ${descriptorLimit} entries`);
    return [];
  }
  return list.map((item, index) => readDescriptor(reader, item, `${name}[${index}]`));
}

/** Stands for a descriptor that could not be read; it never leaves this file, because the problem does. */
const unreadable: Descriptor = { mediaType: "", digest: "" as Digest, sizeBytes: 0 };

function readDescriptor(reader: Reader, value: Json | undefined, path: string): Descriptor {
  if (!isObject(value)) {
    note(reader, path, "must be a descriptor");
    return unreadable;
  }
  refuseLookalikes(reader, value, descriptorMembers, `${path}.`);
  const digest = parseDigest(typeof value["digest"] === "string" ? value["digest"] : "");
  if (!digest.ok) {
    note(reader, `${path}.digest`, `is not usable: ${digest.problem}`);
    return unreadable;
  }
  const sizeBytes = value["size"];
  if (typeof sizeBytes !== "number" || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
    note(reader, `${path}.size`, "must be a whole number of bytes, at most 9007199254740991");
    return unreadable;
  }
  const mediaType = readMediaType(reader, value["mediaType"], `${path}.mediaType`);
  const artifactType = readArtifactType(reader, value, `${path}.`);
  const annotations = readAnnotations(reader, value, `${path}.`);
  const platform = value["platform"] ?? undefined;
  if (platform !== undefined && !isObject(platform)) note(reader, `${path}.platform`, "must be an object");
  checkData(reader, value["data"] ?? undefined, digest.value, sizeBytes, `${path}.data`);
  return {
    mediaType,
    digest: digest.value,
    // JSON has a negative zero; sizes have not.
    sizeBytes: sizeBytes + 0,
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations !== undefined && { annotations }),
    ...(platform !== undefined && { platform }),
  };
}

/** Any media type, known or not, that can be sent back in a header. */
function readMediaType(reader: Reader, value: Json | undefined, path: string): string {
  if (typeof value === "string" && value.length <= mediaTypeLimit && /^[!-~][ -~]*$/.test(value)) return value;
  note(reader, path, `must be a media type of at most ${mediaTypeLimit} printable ASCII characters`);
  return "";
}

/** Absent, null and empty are the same: Go's encoder leaves an empty one out. */
function readArtifactType(reader: Reader, object: JsonObject, path: string): string | undefined {
  const value = object["artifactType"] ?? "";
  return value === "" ? undefined : readMediaType(reader, value, `${path}artifactType`);
}

function readAnnotations(reader: Reader, object: JsonObject, path: string): Readonly<Record<string, string>> | undefined {
  const value = object["annotations"] ?? undefined;
  if (value === undefined) return undefined;
  if (isObject(value) && Object.values(value).every((text) => typeof text === "string")) return value as Record<string, string>;
  note(reader, `${path}annotations`, "must be an object whose values are texts");
  return undefined;
}

/** Inline content must be the content that the descriptor names: clients use it without asking the registry for the blob. */
function checkData(reader: Reader, value: Json | undefined, digest: Digest, sizeBytes: number, path: string): void {
  if (value === undefined) return;
  // The length is compared first, so that no more is decoded than the descriptor admits.
  if (typeof value !== "string" || value.length !== 4 * Math.ceil(sizeBytes / 3)) {
    note(reader, path, `must be the base64 form of ${sizeBytes} bytes`);
    return;
  }
  const bytes = Buffer.from(value, "base64");
  if (bytes.byteLength !== sizeBytes || bytes.toString("base64") !== value)
    note(reader, path, `must be the base64 form of ${sizeBytes} bytes`);
  else if (digestOf(digestAlgorithm(digest), bytes) !== digest) note(reader, path, "does not have the descriptor's digest");
}

const manifestMembers = memberNames(
  "schemaVersion",
  "mediaType",
  "artifactType",
  "config",
  "layers",
  "manifests",
  "subject",
  "annotations",
  "fsLayers",
);
const descriptorMembers = memberNames("mediaType", "digest", "size", "data", "annotations", "artifactType", "platform", "urls");

/** Names by their folded form. */
function memberNames(...names: string[]): ReadonlyMap<string, string> {
  return new Map(names.map((name) => [foldCase(name), name]));
}

/** As Go's JSON decoder folds: through upper case because of the long s (U+017F), to lower case because of the Kelvin sign (U+212A). */
function foldCase(name: string): string {
  return name.toUpperCase().toLowerCase();
}

/**
 * Refuses `Layers` beside or instead of `layers`. Go's decoder, which most clients use, takes both for the same member, so such a
 * manifest would name one set of blobs to the registry and another to those who pull it.
 */
function refuseLookalikes(reader: Reader, object: JsonObject, names: ReadonlyMap<string, string>, path: string): void {
  const longest = "schemaVersion".length;
  for (const key of Object.keys(object)) {
    if (key.length > longest) continue;
    const name = names.get(foldCase(key));
    if (name !== undefined && name !== key) note(reader, `${path}${key}`, `is spelled '${name}'`);
  }
}

function note(reader: Reader, path: string, text: string): void {
  reader.problem ??= `${path} ${text}`;
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isDocker(mediaType: ManifestMediaType): boolean {
  return mediaType === mediaTypes.dockerManifest || mediaType === mediaTypes.dockerManifestList;
}

/** A text from outside, cut to what a message can carry. */
function shown(text: string): string {
  return JSON.stringify(text.slice(0, mediaTypeLimit));
}
