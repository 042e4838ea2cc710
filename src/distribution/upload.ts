/**
 * Upload sessions on the wire: POST opens one (or stores a blob at once, or mounts one), PATCH appends, PUT closes, GET tells
 * how far it is, DELETE gives up. OCI distribution specification, "Pushing blobs".
 */
import { setTimeout } from "node:timers/promises";
import { authorize } from "#access/authorize.ts";
import { originOf } from "#access/request-origin.ts";
import { parseDigest } from "#oci/digest.ts";
import type { Digest, DigestAlgorithm } from "#oci/digest.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { mountBlob } from "#registry/blob.ts";
import { refuse } from "#registry/errors.ts";
import { appendUpload, cancelUpload, completeUpload, getUpload, startUpload, uploadWhole } from "#registry/upload.ts";
import type { UploadState } from "#registry/upload.ts";
import type { IncomingBytes } from "#registry/upload-bytes.ts";
import { parseContentRange } from "#std/byte-range.ts";
import { send } from "./answer.ts";
import { announcedLength, hasBody, receiveBody } from "./body.ts";
import type { RepositoryCall } from "./call.ts";
import { creatingOnPush } from "./create-on-push.ts";
import { OciFault } from "./errors.ts";
import { storedHeaders, uploadHeaders } from "./location.ts";
import { actions } from "./action.ts";

/**
 * A mount that names no source is searched for this long before it fails, whatever there is to find: otherwise the microseconds that a hidden
 * repository takes more than one that is not there would say, over some thousand requests, that somebody has the blob.
 */
const searchMs = 25;

/** POST `/v2/<name>/blobs/uploads/` (end-4a, 4b, 4c, 11). */
export async function postUpload(call: RepositoryCall): Promise<void> {
  const { query } = call;
  const mount = query.get("mount");
  if (mount !== null && (await mountInto(call, readDigest(mount)))) return;
  const digest = mount === null ? query.get("digest") : null;
  if (digest !== null) return storeWhole(call, readDigest(digest));
  const algorithm = readAlgorithm(query.get("digest-algorithm"));
  const upload = await creatingOnPush(call, () =>
    startUpload(call.context, call.registry, call.name, algorithm === undefined ? {} : { algorithm }),
  );
  sendUpload(call, 202, upload);
}

/** PATCH `/v2/<name>/blobs/uploads/<id>` (end-5). */
export async function patchUpload(call: RepositoryCall): Promise<void> {
  const uploadId = readUploadId(call);
  const incoming = await readIncoming(call, uploadId);
  sendUpload(call, 202, await appendUpload(call.context, call.registry, call.name, uploadId, incoming));
}

/** PUT `/v2/<name>/blobs/uploads/<id>?digest=` (end-6), with or without the last bytes. */
export async function putUpload(call: RepositoryCall): Promise<void> {
  const { context, registry, name, query, exchange } = call;
  const uploadId = readUploadId(call);
  const digests = new Set(query.getAll("digest"));
  const [text] = digests;
  if (text === undefined || digests.size > 1) throw new OciFault(400, "DIGEST_INVALID", "Exactly one digest must be given in the query");
  const digest = readDigest(text);
  const incoming = hasBody(exchange.request) ? await readIncoming(call, uploadId) : undefined;
  const blob = await completeUpload(context, registry, name, uploadId, { digest, ...(incoming !== undefined && { incoming }) });
  send(exchange, 201, storedHeaders("blobs", name, blob.digest));
}

/** GET and HEAD `/v2/<name>/blobs/uploads/<id>` (end-13). */
export async function getUploadStatus(call: RepositoryCall): Promise<void> {
  sendUpload(call, 204, await getUpload(call.context, call.registry, call.name, readUploadId(call)));
}

/** DELETE `/v2/<name>/blobs/uploads/<id>` (end-14). */
export async function deleteUpload(call: RepositoryCall): Promise<void> {
  await cancelUpload(call.context, call.registry, call.name, readUploadId(call));
  send(call.exchange, 204, []);
}

/** Single POST (end-4b). */
async function storeWhole(call: RepositoryCall, digest: Digest): Promise<void> {
  const { context, registry, name, exchange } = call;
  const incoming = { chunks: receiveBody(exchange), announcedBytes: announcedLength(exchange.request) };
  const blob = await creatingOnPush(call, () => uploadWhole(context, registry, name, { digest, incoming }));
  send(exchange, 201, storedHeaders("blobs", name, blob.digest));
}

/**
 * Mount (end-11): 201 and true, or false whatever the reason was. The caller must be allowed to pull from the source;
 * a source that cannot be named is a source that is not there.
 */
async function mountInto(call: RepositoryCall, digest: Digest): Promise<boolean> {
  const { context, registry, name, query } = call;
  const fromText = query.get("from");
  const from = fromText === null ? undefined : parseRepositoryName(fromText);
  if (from?.ok === false) return false;
  const soonest = from === undefined ? setTimeout(searchMs) : undefined;
  const mount = { digest, from: from?.value, mayRead: (source: RepositoryName) => mayPull(call, source) };
  const blob = await creatingOnPush(call, () => mountBlob(context, registry, name, mount));
  if (blob === undefined) {
    await soonest;
    return false;
  }
  send(call.exchange, 201, storedHeaders("blobs", name, blob.digest));
  return true;
}

async function mayPull(call: RepositoryCall, source: RepositoryName): Promise<boolean> {
  const { access, principal, registry, exchange } = call;
  const resource = call.addressing.repositoryArn(registry, source);
  const ask = { action: actions.getBlob, resource, region: registry.region, origin: originOf(exchange), readsAnew: true };
  return (await authorize(access, principal, ask)).allowed;
}

/** The request's bytes and where they say they belong. Throws 416 for a range that cannot be read, with the place to go on from. */
async function readIncoming(call: RepositoryCall, uploadId: string): Promise<IncomingBytes> {
  const { request } = call.exchange;
  const chunks = receiveBody(call.exchange);
  const announcedBytes = announcedLength(request);
  const header = request.headers["content-range"];
  if (header === undefined) return { chunks, announcedBytes };
  const range = parseContentRange(header);
  if (!range.ok) {
    const upload = await getUpload(call.context, call.registry, call.name, uploadId);
    throw new OciFault(416, "RANGE_INVALID", range.problem, uploadHeaders(call.name, upload));
  }
  const { first, last } = range.value;
  const rangeBytes = last - first + 1;
  if (announcedBytes !== undefined && announcedBytes !== rangeBytes) {
    refuse("upload-size", { announcedBytes: rangeBytes, receivedBytes: announcedBytes });
  }
  return { chunks, announcedBytes: rangeBytes, firstByte: first };
}

function readDigest(text: string): Digest {
  const digest = parseDigest(text);
  return digest.ok ? digest.value : refuse("digest-invalid", { digest: text, problem: digest.problem });
}

function readAlgorithm(text: string | null): DigestAlgorithm | undefined {
  if (text === null || text === "sha256" || text === "sha512") return text ?? undefined;
  throw new OciFault(400, "DIGEST_INVALID", "The digest algorithm is not supported; use sha256 or sha512");
}

/** Ids are made here and look like this; nothing else reaches the database. */
function readUploadId(call: RepositoryCall): string {
  const uploadId = call.path.item;
  if (/^[a-z0-9-]{1,64}$/.test(uploadId)) return uploadId;
  return refuse("upload-not-found", { registryId: call.registry.accountId, repositoryName: call.name, uploadId });
}

function sendUpload(call: RepositoryCall, status: number, upload: UploadState): void {
  send(call.exchange, status, uploadHeaders(call.name, upload));
}
