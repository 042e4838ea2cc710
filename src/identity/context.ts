/**
 * The identity room: what accounts, users, groups, roles, managed policies, identity providers and temporary credentials are, with AWS
 * IAM's rules and limits. It decides nothing about requests (that is `access/`) and knows no protocol (that is `api/`).
 */
import type { Database } from "#metadata/database.ts";
import type { Sealer } from "#sealing/sealer.ts";
import type { Clock } from "#std/clock.ts";
import type { Random } from "#std/random.ts";

/** What lives as long as the process. */
export interface IdentityCore {
  readonly metadata: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly sealer: Sealer;
}

/** One request's view: the core, and the account whose identities are meant. */
export interface IdentityContext {
  readonly core: IdentityCore;
  readonly accountId: string;
}
