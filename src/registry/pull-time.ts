/**
 * When manifests were pulled last. A pull is noted in memory and written down a few seconds later together with others, so that no pull
 * waits for it; what a process that dies has not written down yet is lost, and the next pull makes up for it.
 */
import type { Database } from "#metadata/database.ts";
import type { ManifestPull } from "#metadata/pull-times.ts";
import * as pullTimes from "#metadata/pull-times.ts";
import type { Clock } from "#std/clock.ts";
import type { Log } from "#std/log.ts";
import type { RegistryContext, RegistryRef } from "./context.ts";
import { refuse } from "./errors.ts";
import type { PageRequest } from "./repository.ts";
import { cutPage } from "./repository.ts";
import { authorOf } from "./scope.ts";

/** A pull by somebody. */
export interface NotedPull {
  readonly registry: RegistryRef;
  /** A promise for what is on its way into the repository; nothing is noted when that fails, or when it is undefined. */
  readonly manifestId: number | Promise<number> | undefined;
  /** The user's or role's own ARN: sessions of a role pull as that role. */
  readonly principalArn: string;
}

/** Takes notes of pulls. */
export interface PullNotes {
  /** Returns at once and never throws. */
  note(pull: NotedPull): void;
  /** Writes down what was noted before. What fails is told to the log, and noted again. */
  flush(): Promise<void>;
  /** Writes down what is left; later notes are forgotten. */
  close(): Promise<void>;
}

const flushAfterMs = 5_000;
/** Notes of different pulls that may wait; a few megabytes. More than that are forgotten until these are written down. */
const maxNotes = 20_000;
/** The service's own pulls are no use of an image. */
const serviceRolePath = ":role/aws-service-role/";

/** The notes of one principal in one registry: manifest to time. */
interface PullerNotes {
  readonly registry: RegistryRef;
  readonly principalArn: string;
  readonly times: Map<number, number>;
}

/** Makes what takes notes, with none yet. */
export function createPullNotes({
  metadata,
  clock,
  log,
}: {
  readonly metadata: Database;
  readonly clock: Clock;
  readonly log: Log;
}): PullNotes {
  let pullers = new Map<string, PullerNotes>();
  let count = 0;
  let forgotten = 0;
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  let lastFlush: Promise<void> = Promise.resolve();

  const put = (registry: RegistryRef, principalArn: string, manifestId: number, at: number): void => {
    const key = `${registry.accountId}/${registry.region}/${principalArn}`;
    let puller = pullers.get(key);
    const known = puller?.times.get(manifestId);
    if (known === undefined && count >= maxNotes) {
      forgotten += 1;
      return;
    }
    if (puller === undefined) pullers.set(key, (puller = { registry, principalArn, times: new Map() }));
    if (known === undefined) count += 1;
    puller.times.set(manifestId, Math.max(at, known ?? 0));
  };

  const write = async (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    const taken = pullers;
    const lost = forgotten;
    [pullers, count, forgotten] = [new Map(), 0, 0];
    if (lost > 0) log.warn({ pulls: lost }, "more images were pulled than could be noted; their pull times are those of earlier pulls");
    if (taken.size === 0) return;
    try {
      await pullTimes.notePulls(metadata, await countedPulls(metadata, [...taken.values()]));
    } catch (error) {
      log.warn({ error: String(error) }, "pull times could not be written down");
      for (const { registry, principalArn, times } of taken.values()) {
        for (const [manifestId, at] of times) put(registry, principalArn, manifestId, at);
      }
      if (pullers.size > 0) arm();
    }
  };
  const flush = (): Promise<void> => (lastFlush = lastFlush.then(write));
  const arm = (): void => {
    if (timer !== undefined || isClosed) return;
    timer = setTimeout(() => void flush(), flushAfterMs);
    timer.unref();
  };

  return {
    note({ registry, manifestId, principalArn }) {
      if (isClosed || manifestId === undefined || principalArn.includes(serviceRolePath)) return;
      const at = clock.now();
      const keep = (id: number): void => {
        if (isClosed) return;
        put(registry, principalArn, id, at);
        arm();
      };
      if (typeof manifestId === "number") keep(manifestId);
      else manifestId.then(keep, () => {});
    },
    flush,
    async close() {
      isClosed = true;
      await flush();
    },
  };
}

/** Without those of excluded principals. */
async function countedPulls(metadata: Database, pullers: readonly PullerNotes[]): Promise<readonly ManifestPull[]> {
  const excluded = new Map<string, Promise<ReadonlySet<string>>>();
  const pulls: ManifestPull[] = [];
  for (const { registry, principalArn, times } of pullers) {
    const name = `${registry.accountId}/${registry.region}`;
    const read = excluded.get(name) ?? readExclusions(metadata, registry);
    excluded.set(name, read);
    if ((await read).has(principalArn)) continue;
    for (const [manifestId, at] of times) pulls.push({ manifestId, at });
  }
  return pulls;
}

/** More than a registry may have. */
const allExclusions = 1_000;

async function readExclusions(metadata: Database, registry: RegistryRef): Promise<ReadonlySet<string>> {
  return new Set(await pullTimes.listPullTimeExclusions(metadata, registry, { limit: allExclusions }));
}

/** When these manifests were pulled last, by id, as far as it is written down; without those that never were. Milliseconds since the epoch. */
export async function findPullTimes(
  ctx: RegistryContext,
  manifests: readonly { readonly manifestId: number }[],
): Promise<ReadonlyMap<number, number>> {
  return pullTimes.findPullTimes(
    ctx.core.metadata,
    manifests.map(({ manifestId }) => manifestId),
  );
}

/** From now on pulls by this user or role do not count. Answers since when. Throws `pull-exclusion-exists`, `limit-exceeded`. */
export async function createPullTimeExclusion(ctx: RegistryContext, registry: RegistryRef, principalArn: string): Promise<number> {
  const { metadata, limits } = ctx.core;
  const { accountId: registryId, region } = registry;
  const author = authorOf(ctx);
  const key = { accountId: registryId, region, principalArn };
  const outcome = await pullTimes.createPullTimeExclusion(metadata, { key, maxExclusions: limits.pullTimeExclusions, author });
  if (outcome === "exists") return refuse("pull-exclusion-exists", { registryId, principalArn });
  if (outcome === "created") return author.now;
  return refuse("limit-exceeded", {
    message: `The registry with id '${registryId}' already has the maximum allowed number of pull time update exclusions which is '${limits.pullTimeExclusions}'`,
  });
}

/** Pulls by this user or role count again. Throws `pull-exclusion-not-found`. */
export async function deletePullTimeExclusion(ctx: RegistryContext, registry: RegistryRef, principalArn: string): Promise<void> {
  const { accountId: registryId, region } = registry;
  const key = { accountId: registryId, region, principalArn };
  const isGone = await pullTimes.deletePullTimeExclusion(ctx.core.metadata, { key, author: authorOf(ctx) });
  if (!isGone) refuse("pull-exclusion-not-found", { registryId, principalArn });
}

/** One page of whose pulls do not count, in byte order; `next` is the `after` of the next page. */
export async function listPullTimeExclusions(
  ctx: RegistryContext,
  registry: RegistryRef,
  page: PageRequest<string>,
): Promise<{ readonly principalArns: readonly string[]; readonly next?: string }> {
  const found = await pullTimes.listPullTimeExclusions(ctx.core.metadata, registry, { after: page.after, limit: page.limit + 1 });
  const { items, last } = cutPage(found, page.limit);
  return { principalArns: items, ...(last !== undefined && { next: last }) };
}
