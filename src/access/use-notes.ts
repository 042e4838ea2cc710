/** When long-term keys and roles were last used, for GetAccessKeyLastUsed and GetRole. Written beside the requests, and rarely: it decides nothing. */
import type { SignatureClaim } from "#aws/sigv4.ts";
import { noteKeyUse } from "#metadata/access-keys.ts";
import type { Database } from "#metadata/database.ts";
import { noteRoleUse } from "#metadata/roles.ts";
import type { Clock } from "#std/clock.ts";
import type { Log } from "#std/log.ts";
import { LRUCache } from "lru-cache";
import type { Principal } from "./principal.ts";

/** What the notes need. */
interface UseNotesDeps {
  readonly metadata: Database;
  readonly clock: Clock;
  readonly log: Log;
}

const maxKeys = 5000;
/** A use within this time of the last note is not worth another write. */
const quietMs = 60_000;

/** Makes what takes notes. It returns at once; a note that fails is told to the log alone. */
export function createUseNotes({ metadata, clock, log }: UseNotesDeps): (claim: SignatureClaim, principal: Principal) => void {
  const noted = new LRUCache<string, number>({ max: maxKeys });
  return (claim, principal) => {
    const { accessKeyId, service, region } = claim;
    const { session, identityId } = principal;
    const isRole = session?.kind === "role" && identityId !== undefined;
    if (session !== undefined && !isRole) return;
    const subject = isRole ? `role ${identityId}` : accessKeyId;
    const now = clock.now();
    const last = noted.get(subject);
    if (last !== undefined && now - last < quietMs) return;
    noted.set(subject, now);
    const note = isRole ? noteRoleUse(metadata, { identityId, region, now }) : noteKeyUse(metadata, { accessKeyId, service, region, now });
    note.catch((error: unknown) => {
      log.warn({ subject, error: String(error) }, "the last use of an access key or role could not be noted");
    });
  };
}
