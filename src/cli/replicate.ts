/** `supercargo replicate`: copies of what was pushed before there was a rule, or while a destination was away for too long. */
import { parseRepositoryName } from "#oci/repository-name.ts";
import { UsageError, accountTyped, runAnywhere } from "./commands.ts";
import { settingsFrom } from "./settings-file.ts";
import type { Flags } from "./settings-file.ts";

interface Batch {
  readonly manifests: number;
  readonly replications: number;
  readonly next?: number;
}

/** Begins to replicate a repository, or with `--all` the whole registry, batch by batch; the running server does the work. */
export async function replicateBackfill(repository: string | undefined, flags: Flags): Promise<void> {
  const isAll = flags["all"] !== undefined;
  if (flags["backfill"] === undefined)
    throw new UsageError("replicate needs --backfill: what is pushed from now on is replicated by itself");
  if (isAll === (repository !== undefined)) throw new UsageError("replicate takes the name of a repository, or --all");
  const name = repository === undefined ? undefined : parseRepositoryName(repository);
  if (name?.ok === false) throw new UsageError(`'${repository}' is not the name of a repository: ${name.problem}`);
  const settings = settingsFrom(flags);
  const where = { ...accountTyped(flags, settings), ...(flags["region"] !== undefined && { region: settings.region }) };
  const begun = { images: 0, replications: 0 };
  for (let after: number | undefined = 0; after !== undefined;) {
    const batch: Batch = (await runAnywhere(settings, "replicate-backfill", {
      ...where,
      ...(repository !== undefined && { repository }),
      after,
    })) as Batch;
    begun.images += batch.manifests;
    begun.replications += batch.replications;
    after = batch.next;
  }
  process.stdout.write(`${JSON.stringify(begun, null, 2)}\n`);
}
