import type { Manifest } from "#metadata/manifests.ts";
import * as manifests from "#metadata/manifests.ts";
import type { Digest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import type { PageRequest } from "./repository.ts";
import { getRepository } from "./repository.ts";

/** A manifest whose subject is another one, as a descriptor of the referrers API. */
export interface Referrer {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** The effective one: the manifest's own, else its config's media type. */
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly status: manifests.ManifestStatus;
}

/** Which referrers, and where the page begins. */
export interface ReferrerPage extends PageRequest<string> {
  /** Only these effective types; absent or empty means all. */
  readonly artifactTypes?: readonly string[] | undefined;
  /** Absent: what can be pulled. */
  readonly status?: manifests.StatusFilter | undefined;
}

/** Rows read at once: annotations can be as long as a manifest may be, so a page is read in small steps. */
const stepRows = 32;
/** What a descriptor weighs in JSON beside its annotations, generously. */
const descriptorBytes = 512;

/**
 * One page of the live manifests whose subject is `subject`, in the order of their digests, whether the subject is there or not.
 * A page ends at `limit`, or earlier before it would weigh more than clients accept; `next` is the `after` of the next page.
 * Throws `repository-not-found`. OCI distribution specification, end-12.
 */
export async function listReferrers(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  subject: Digest,
  page: ReferrerPage,
): Promise<{ readonly referrers: readonly Referrer[]; readonly next?: string }> {
  const { repositoryId } = await getRepository(ctx, registry, name);
  const { metadata, limits } = ctx.core;
  const { artifactTypes = [], status = "ACTIVE", limit } = page;
  const referrers: Referrer[] = [];
  let weightBytes = 0;
  let after = page.after;
  for (;;) {
    const rows = await manifests.listReferrers(metadata, repositoryId, subject, {
      ...(artifactTypes.length > 0 && { artifactTypes }),
      status,
      ...(after !== undefined && { after }),
      limit: stepRows,
    });
    for (const row of rows) {
      weightBytes += weigh(row);
      const isFull = referrers.length >= limit || (referrers.length > 0 && weightBytes > limits.referrersPageBytes);
      if (isFull) return { referrers, ...(after !== undefined && { next: after }) };
      referrers.push(referrerOf(row));
      after = row.digest;
    }
    if (rows.length < stepRows) return { referrers };
  }
}

function weigh({ annotations }: Manifest): number {
  return descriptorBytes + (annotations === undefined ? 0 : Buffer.byteLength(JSON.stringify(annotations)));
}

function referrerOf({ digest, mediaType, sizeBytes, artifactType, annotations, status }: Manifest): Referrer {
  return {
    digest: digest as Digest,
    mediaType,
    sizeBytes,
    status,
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations !== undefined && { annotations }),
  };
}
