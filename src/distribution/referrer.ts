import { parseDigest } from "#oci/digest.ts";
import { mediaTypes } from "#oci/media-type.ts";
import { refuse } from "#registry/errors.ts";
import { send } from "./answer.ts";
import type { RepositoryCall } from "./call.ts";
import { OciFault } from "./errors.ts";
import { pullReferrers } from "./pull-through.ts";
import { nextPageHeaders, readPageQuery } from "./page.ts";

const mostArtifactTypes = 50;

/**
 * GET `/v2/<name>/referrers/<digest>` (end-12): the manifests whose subject has this digest, as an index. The subject need not exist.
 * Several `artifactType` parameters mean any of them. Clients compare the content type as a string and refuse more than 4 MiB.
 */
export async function getReferrers(call: RepositoryCall): Promise<void> {
  const { context, name, query, exchange } = call;
  const subject = parseDigest(call.path.item);
  if (!subject.ok) refuse("digest-invalid", { digest: call.path.item, problem: subject.problem });
  const artifactTypes = [...new Set(query.getAll("artifactType"))];
  if (artifactTypes.length > mostArtifactTypes) {
    throw new OciFault(400, "UNSUPPORTED", `At most ${mostArtifactTypes} artifact types can be given in one request`);
  }
  const { limit, after: position } = readPageQuery(query, context.core.limits.referrersPage);
  const after = position === undefined ? undefined : parseDigest(position);
  if (after?.ok === false) refuse("page-token-invalid", {});
  const isFiltered = artifactTypes.length > 0;
  const { referrers, next } = await pullReferrers(call, subject.value, {
    ...(isFiltered && { artifactTypes }),
    after: after?.value,
    limit,
  });
  const manifests = referrers.map(({ mediaType, digest, sizeBytes, artifactType, annotations }) => ({
    mediaType,
    digest,
    size: sizeBytes,
    artifactType,
    annotations,
  }));
  const headers = ["Content-Type", mediaTypes.ociIndex];
  if (isFiltered) headers.push("OCI-Filters-Applied", "artifactType");
  if (next !== undefined && limit > 0) {
    const filters = artifactTypes.map((type) => ["artifactType", type] as const);
    headers.push(...nextPageHeaders(`/v2/${name}/referrers/${subject.value}`, [["last", next], ["n", String(limit)], ...filters]));
  }
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
  send(exchange, 200, headers, JSON.stringify(index));
}
