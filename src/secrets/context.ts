/**
 * The secrets room: small secret values with versions and staging labels, by AWS Secrets Manager's rules and limits. Values are sealed
 * before they leave this room for the database. It decides nothing about who may (that is `access/`) and knows no protocol (that is `api/`).
 */
import type { Database } from "#metadata/database.ts";
import type { Sealer } from "#sealing/sealer.ts";
import type { Clock } from "#std/clock.ts";
import type { Random } from "#std/random.ts";

/** What lives as long as the process. */
export interface SecretsCore {
  readonly metadata: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly sealer: Sealer;
}

/** One request's view: the core, and the account and region that a bare name belongs to. */
export interface SecretsContext {
  readonly core: SecretsCore;
  readonly accountId: string;
  readonly region: string;
}
