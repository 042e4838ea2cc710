/** The job that follows an index: its children are fetched, so that the copy is whole when the upstream is gone. */
import { parseDigest } from "#oci/digest.ts";
import { parseManifest } from "#oci/manifest.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";
import type { RegistryCore } from "#registry/context.ts";
import { RegistryError } from "#registry/errors.ts";
import { readRules, selectRule } from "#registry/pull-through-rule.ts";
import type { PullThroughPayload } from "./job.ts";
import type { Pull, Puller } from "./pull.ts";
import { serviceContext } from "./service-identity.ts";
import { findManifest } from "./stored-content.ts";

/** Upstreams that do not have a child (sparse indexes are common) or do not give it are not asked again by the job. */
const settledRefusals = new Set(["manifest-not-found", "blob-not-found", "upstream-denied"]);

/**
 * Fetches the children of an index that the repository does not hold yet, one after the other. Idempotent. Throws when some are to be tried
 * again later; what the upstream does not have is left out, and a repository or rule that is gone ends it.
 */
export async function fetchIndexChildren(
  { core, puller }: { readonly core: RegistryCore; readonly puller: Puller },
  payload: PullThroughPayload,
  signal: AbortSignal,
): Promise<void> {
  const registry = { accountId: payload.accountId, region: payload.region };
  const name = parseRepositoryName(payload.name);
  const digest = parseDigest(payload.index);
  if (!name.ok || !digest.ok) return;
  const context = serviceContext(core, registry.accountId, "pull-through");
  const rule = selectRule(await readRules(core, registry), name.value);
  const index = await findManifest(context, registry, name.value, { kind: "digest", digest: digest.value });
  const parsed = index === undefined ? undefined : parseManifest(index.bytes, index.mediaType);
  if (rule === undefined || parsed?.ok !== true) return;
  // Whoever pulled the index was allowed to; this is the rest of that pull.
  const pull: Pull = { context, registry, name: name.value, rule, may: async (action) => action === "ecr:BatchImportUpstreamImage" };
  let problem: unknown;
  for (const child of parsed.value.children) {
    signal.throwIfAborted();
    try {
      await puller.getManifest(pull, { kind: "digest", digest: child.digest }, { stored: true });
    } catch (error) {
      if (!(error instanceof RegistryError && settledRefusals.has(error.refusal.kind))) problem = error;
    }
  }
  if (problem !== undefined) throw problem;
}
