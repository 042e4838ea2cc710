/** Pulls of names that a pull-through cache rule covers: where the repository does not have it, the upstream's is sent on as it comes. */
import type { ServerResponse } from "node:http";
import { authorize } from "#access/authorize.ts";
import { givenTagKeys } from "#access/condition-keys.ts";
import { originOf } from "#access/request-origin.ts";
import type { Digest } from "#oci/digest.ts";
import type { Reference } from "#oci/reference.ts";
import type { BlobFetch } from "#pullthrough/blob-fetch.ts";
import type { Pull, PulledManifest } from "#pullthrough/pull.ts";
import { getBlob } from "#registry/blob.ts";
import type { ReadableBlob } from "#registry/blob.ts";
import { findManifestFacts, getManifest } from "#registry/manifest.ts";
import type { ManifestFacts } from "#registry/manifest.ts";
import { listReferrers } from "#registry/referrer.ts";
import type { Referrer, ReferrerPage } from "#registry/referrer.ts";
import { beginAnswer } from "./answer.ts";
import type { RepositoryCall } from "./call.ts";

/** The manifest, wherever it comes from. Throws as the registry room's, and for what an upstream does not give. */
export async function pullManifest(call: RepositoryCall, reference: Reference): Promise<PulledManifest> {
  const pull = await pullOf(call);
  if (pull === undefined) return getManifest(call.context, call.registry, call.name, reference);
  return (await call.pullThrough.puller()).getManifest(pull, reference);
}

/** Like {@link pullManifest}, without the bytes where they are not at hand. */
export async function pullManifestFacts(call: RepositoryCall, reference: Reference): Promise<ManifestFacts> {
  const pull = await pullOf(call);
  if (pull === undefined) return findManifestFacts(call.context, call.registry, call.name, reference);
  return (await call.pullThrough.puller()).getManifest(pull, reference);
}

/** The blob in the repository, or on its way there. Throws as the registry room's, and for what an upstream does not give. */
export async function pullBlob(
  call: RepositoryCall,
  digest: Digest,
): Promise<{ readonly blob: ReadableBlob } | { readonly fetch: BlobFetch }> {
  const pull = await pullOf(call);
  if (pull === undefined) return { blob: await getBlob(call.context, call.registry, call.name, digest) };
  return (await call.pullThrough.puller()).getBlob(pull, digest);
}

/** Sends a blob while it is stored. The last bytes come when it has proved to be what its digest says; else the answer breaks off. */
export async function sendFetch(call: RepositoryCall, fetch: BlobFetch, headers: readonly string[]): Promise<void> {
  const { exchange } = call;
  const { response } = exchange;
  const { sizeBytes } = await fetch.started;
  beginAnswer(exchange, 200, [...headers, ...(sizeBytes === undefined ? [] : ["Content-Length", String(sizeBytes)])]);
  const gone = new AbortController();
  const leave = (): void => gone.abort();
  response.once("close", leave);
  try {
    for await (const chunk of fetch.follow()) {
      if (response.destroyed) return;
      // A client that reads slowly is waited for here, and nobody else waits for it. Then the chunk is not needed any more.
      await written(response, chunk, gone.signal);
    }
    response.end();
  } catch (error) {
    response.destroy();
    if (!gone.signal.aborted) throw error;
  } finally {
    response.off("close", leave);
  }
}

/** Resolves when the bytes have left for the client; rejects when it is gone. */
function written(response: ServerResponse, chunk: Uint8Array, gone: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(gone.reason as Error);
    gone.addEventListener("abort", leave, { once: true });
    response.write(chunk, (error) => {
      gone.removeEventListener("abort", leave);
      if (error == null) resolve();
      else reject(error);
    });
    if (gone.aborted) leave();
  });
}

/** One page of referrers: the repository's, and under a rule also those that the upstream names. */
export async function pullReferrers(
  call: RepositoryCall,
  subject: Digest,
  page: ReferrerPage,
): Promise<{ readonly referrers: readonly Referrer[]; readonly next?: string }> {
  const pull = await pullOf(call);
  if (pull === undefined) return listReferrers(call.context, call.registry, call.name, subject, page);
  return (await call.pullThrough.puller()).listReferrers(pull, subject, page);
}

/** Undefined for nearly every name: one that no rule covers. */
async function pullOf(call: RepositoryCall): Promise<Pull | undefined> {
  const { pullThrough, context, registry, name, access, principal, exchange, addressing } = call;
  const found = pullThrough.ruleFor(registry, name);
  const rule = found instanceof Promise ? await found : found;
  if (rule === undefined) return undefined;
  const resource = addressing.repositoryArn(registry, name);
  const may: Pull["may"] = async (action, resourceTags = {}) => {
    const asked = { action, resource, region: registry.region, origin: originOf(exchange), keys: givenTagKeys(resourceTags) };
    const decision = await authorize(access, principal, asked);
    exchange.decided({ action, resource, allowed: decision.allowed, statements: decision.statements });
    return decision.allowed;
  };
  return { context, registry, name, rule, may };
}
