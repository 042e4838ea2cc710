/**
 * The kms room: keys that never leave it, what is encrypted under them, and who may use them beside their policies (grants). It is told who
 * asks and that they may; it decides no request (that is `access/`) and knows no protocol (that is `api/`).
 *
 * Invariants: a material is in the clear only while one call uses it; a key that is disabled, waits for its deletion or is deleted encrypts
 * and decrypts nothing; what cannot be opened is refused, never guessed.
 */
import type { Database } from "#metadata/database.ts";
import type { KmsScope } from "#metadata/kms-keys.ts";
import type { Sealer } from "#sealing/sealer.ts";
import type { Clock } from "#std/clock.ts";
import type { Random } from "#std/random.ts";

/** What lives as long as the process. */
export interface KmsCore {
  readonly metadata: Database;
  readonly clock: Clock;
  readonly random: Random;
  /** Seals the materials of keys under the instance key. */
  readonly sealer: Sealer;
}

/** Finds the unique ids of users and roles by the names that a policy or a grant gives them. */
export type PrincipalResolver = (
  principals: readonly string[],
) => Promise<
  { readonly ok: true; readonly resolved: Readonly<Record<string, string>> } | { readonly ok: false; readonly principal: string }
>;

/** One request's view: the core, and the account and region whose keys are meant. */
export interface KmsContext extends KmsScope {
  readonly core: KmsCore;
  readonly resolvePrincipals: PrincipalResolver;
}
