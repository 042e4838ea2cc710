/** Manifests on the wire: exact bytes in, exact bytes out. OCI distribution specification, "Pulling manifests" and "Pushing manifests". */
import { lastingArn } from "#access/principal.ts";
import { askPusher } from "#access/ask-pusher.ts";
import { originOf } from "#access/request-origin.ts";
import { bareMediaType } from "#oci/media-type.ts";
import { parseReference } from "#oci/reference.ts";
import type { Reference } from "#oci/reference.ts";
import { parseTag } from "#oci/tag.ts";
import type { Tag } from "#oci/tag.ts";
import { refuse } from "#registry/errors.ts";
import { deleteManifest, deleteTag, putManifest } from "#registry/manifest.ts";
import { excludedText, isAcceptable } from "./accept.ts";
import { send, sendHead } from "./answer.ts";
import { announcedLength, BodyTooLarge, readWholeBody } from "./body.ts";
import type { RepositoryCall } from "./call.ts";
import { entityTag, isKnownToClient, namespaceHeaders } from "./conditional.ts";
import { creatingOnPush } from "./create-on-push.ts";
import { OciFault } from "./errors.ts";
import { storedHeaders } from "./location.ts";
import { pullManifest, pullManifestFacts } from "./pull-through.ts";

/** The specification wants ten at least; more than this is no push. */
const mostTagParameters = 100;
/** 4 MiB in this time is 280 kbit/s. */
const manifestTimeoutMs = 120_000;

/** GET `/v2/<name>/manifests/<reference>` (end-3): the bytes as they were pushed. */
export async function readManifest(call: RepositoryCall): Promise<void> {
  const { exchange } = call;
  const reference = readReference(call.path.item);
  const manifest = await pullManifest(call, reference);
  requireAcceptable(call, reference, manifest.mediaType);
  // A client that knows the bytes already is about to run them; one that asks by HEAD only looks.
  const { registry, principal } = call;
  const manifestId = manifest.manifestId ?? manifest.stored;
  call.context.core.pulls.note({ registry, manifestId, principalArn: lastingArn(principal) });
  if (isKnownToClient(exchange.request.headers, manifest.digest)) send(exchange, 304, manifestHeaders(call, manifest));
  else send(exchange, 200, manifestHeaders(call, manifest), manifest.bytes);
}

/** HEAD `/v2/<name>/manifests/<reference>` (end-3). */
export async function headManifest(call: RepositoryCall): Promise<void> {
  const { exchange } = call;
  const reference = readReference(call.path.item);
  const manifest = await pullManifestFacts(call, reference);
  requireAcceptable(call, reference, manifest.mediaType);
  if (isKnownToClient(exchange.request.headers, manifest.digest)) send(exchange, 304, manifestHeaders(call, manifest));
  else sendHead(exchange, manifestHeaders(call, manifest), manifest.sizeBytes);
}

/** PUT `/v2/<name>/manifests/<reference>` (end-7a), by digest also with `tag=` parameters (end-7b). */
export async function writeManifest(call: RepositoryCall): Promise<void> {
  const { context, registry, name, exchange } = call;
  const reference = readReference(call.path.item);
  const digest = reference.kind === "digest" ? reference.digest : undefined;
  // With a tag in the path, `tag` is a parameter that nobody defined; not naming it in OCI-Tag says that it had no effect.
  const extraTags = digest === undefined ? [] : readTagParameters(call.query);
  const tags = reference.kind === "tag" ? [reference.tag] : extraTags;
  const contentType = exchange.request.headers["content-type"];
  const mediaType = contentType === undefined ? undefined : bareMediaType(contentType);
  const ask = askPusher({ ...call, region: registry.region, origin: originOf(exchange) });
  const stored = await withManifestBody(call, (bytes) =>
    creatingOnPush(call, () => putManifest(context, registry, name, { bytes, mediaType, digest, tags, plane: "oci", askPusher: ask })),
  );
  const subject = stored.subject === undefined ? [] : ["OCI-Subject", stored.subject];
  const accepted = extraTags.flatMap((tag) => ["OCI-Tag", tag]);
  send(exchange, 201, [...storedHeaders("manifests", name, stored.digest), ...subject, ...accepted]);
}

/** DELETE `/v2/<name>/manifests/<reference>` (end-9): by tag only the tag goes. */
export async function removeManifest(call: RepositoryCall): Promise<void> {
  const { context, registry, name } = call;
  const reference = readReference(call.path.item);
  if (reference.kind === "tag") await deleteTag(context, registry, name, reference.tag);
  else await deleteManifest(context, registry, name, reference.digest);
  send(call.exchange, 202, []);
}

/** Reads the body and holds its share of the memory for manifests until it is stored. */
async function withManifestBody<T>(call: RepositoryCall, use: (bytes: Buffer) => Promise<T>): Promise<T> {
  const { exchange, context, budget } = call;
  const limitBytes = context.core.limits.manifestBytes;
  const announced = announcedLength(exchange.request) ?? limitBytes;
  if (announced > limitBytes) refuse("manifest-too-large", { limitBytes });
  const gone = new AbortController();
  const leave = (): void => gone.abort();
  exchange.response.once("close", leave);
  const release = await budget.acquire(announced, gone.signal);
  try {
    return await use(await readWholeBody(exchange, { limitBytes, timeoutMs: manifestTimeoutMs }));
  } catch (error) {
    return error instanceof BodyTooLarge ? refuse("manifest-too-large", { limitBytes }) : Promise.reject(error);
  } finally {
    release();
    exchange.response.off("close", leave);
  }
}

/**
 * A tag is resolved for a client that can read the answer; a digest was chosen by someone who knows what it names, and content
 * under a digest is never converted or withheld.
 */
function requireAcceptable(call: RepositoryCall, reference: Reference, mediaType: string): void {
  if (reference.kind === "digest" || isAcceptable(call.exchange.request.headers.accept, mediaType)) return;
  throw new OciFault(404, "MANIFEST_UNKNOWN", excludedText(mediaType));
}

function manifestHeaders(call: RepositoryCall, manifest: { readonly mediaType: string; readonly digest: string }): string[] {
  const { mediaType, digest } = manifest;
  const headers = [
    "Content-Type",
    mediaType,
    "Docker-Content-Digest",
    digest,
    "ETag",
    entityTag(digest),
    "X-Content-Type-Options",
    "nosniff",
  ];
  headers.push(...namespaceHeaders(call.query));
  return headers;
}

function readReference(text: string): Reference {
  const reference = parseReference(text);
  if (reference.ok) return reference.value;
  return text.includes(":") ? refuse("digest-invalid", { digest: text, problem: reference.problem }) : refuse("tag-invalid", { tag: text });
}

function readTagParameters(query: URLSearchParams): readonly Tag[] {
  const texts = new Set(query.getAll("tag"));
  if (texts.size > mostTagParameters)
    throw new OciFault(414, "TAG_INVALID", `At most ${mostTagParameters} tags can be given in one request`);
  return [...texts].map((text) => {
    const tag = parseTag(text);
    return tag.ok ? tag.value : refuse("tag-invalid", { tag: text });
  });
}
