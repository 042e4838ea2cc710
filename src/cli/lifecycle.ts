/** `supercargo lifecycle run`: lifecycle policies at once, without waiting for their turn. */
import { parseRepositoryName } from "#oci/repository-name.ts";
import type { LifecycleRunPage } from "#registry/lifecycle-schedule.ts";
import { UsageError, accountTyped, runAnywhere } from "./commands.ts";
import { settingsFrom } from "./settings-file.ts";
import type { Flags } from "./settings-file.ts";

/**
 * Runs the policy of one repository, or of every repository of the registry that has one. A line of JSON for each on standard output says what
 * each rule did, or with `--dry-run` would do; how far it has come is told on standard error.
 */
export async function lifecycleRun(flags: Flags): Promise<void> {
  const { repository } = flags;
  const name = repository === undefined ? undefined : parseRepositoryName(repository);
  if (name?.ok === false) throw new UsageError(`'${repository}' is not the name of a repository: ${name.problem}`);
  const settings = settingsFrom(flags);
  const isDryRun = flags["dryRun"] !== undefined;
  const total = { repositories: 0, images: 0, expired: 0, archived: 0, held: 0 };
  for (let after: string | undefined, isFirst = true; isFirst || after !== undefined; isFirst = false) {
    const page = (await runAnywhere(settings, "lifecycle-run", {
      ...accountTyped(flags, settings),
      ...(flags["region"] !== undefined && { region: settings.region }),
      ...(repository !== undefined && { repository }),
      ...(after !== undefined && { after }),
      dryRun: isDryRun,
    })) as LifecycleRunPage;
    for (const { repositoryName, looked, rules, isCutShort } of page.reports) {
      total.repositories += 1;
      total.images += looked;
      for (const { action, done, held } of rules) {
        total[action === "expire" ? "expired" : "archived"] += done;
        total.held += held;
      }
      const line = { repository: repositoryName, images: looked, rules, ...(isCutShort && { isCutShort }) };
      process.stdout.write(`${JSON.stringify(line)}\n`);
    }
    after = page.next;
    const { repositories, images, expired, archived, held } = total;
    const found = `${repositories} repositories with ${images} images`;
    const done = isDryRun ? `would expire ${expired} and archive ${archived}` : `expired ${expired}, archived ${archived}`;
    process.stderr.write(`${found}: ${done}, ${held} held${after === undefined ? "" : " so far"}\n`);
  }
}
