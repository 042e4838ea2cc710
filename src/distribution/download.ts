/**
 * Downloads without credentials: `/download/<ticket>`, the URL that GetDownloadUrlForLayer hands out. The ticket names who asked; whether
 * that principal is still active, may still pull and still finds the blob is decided again at each use.
 */
import { principalStillActive } from "#access/access.ts";
import type { Principal } from "#access/principal.ts";
import type { Digest } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { openDownloadTicket } from "#registry/blob.ts";
import type { RegistryRef } from "#registry/context.ts";
import { sendBlob } from "./blob.ts";
import type { DistributionDeps, RepositoryCall } from "./call.ts";
import { downloadTicketFault } from "./errors.ts";

/** What a good ticket stands for. */
export interface TicketHolder {
  readonly principal: Principal;
  readonly registry: RegistryRef;
  readonly name: RepositoryName;
  readonly digest: Digest;
}

/** Opens a ticket. Throws the same 403 for one that is forged, expired, or whose principal is gone. */
export async function findTicketHolder(deps: DistributionDeps, ticket: string): Promise<TicketHolder> {
  const opened = openDownloadTicket(deps.core, ticket);
  if (opened === undefined) throw downloadTicketFault();
  const principal = await principalStillActive(deps.access, opened.actor);
  if (principal === undefined) throw downloadTicketFault();
  return { principal, registry: opened.registry, name: opened.name, digest: opened.digest };
}

/** GET and HEAD `/download/<ticket>`; the pipeline has put the ticket's repository and digest into the call. */
export async function readDownload(call: RepositoryCall): Promise<void> {
  // The pipeline took the digest from the ticket, which only seals parsed ones.
  await sendBlob(call, call.path.item as Digest);
}
