/** The command line. `supercargo serve` is the server; the other commands act on its data, through it while it runs. */
import { readFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import { RootKeyUnusable } from "#access/root-key.ts";
import { FolderInUse } from "#server/data-folder.ts";
import { settingRows } from "#server/setting-rows.ts";
import type { SettingRow } from "#server/setting-rows.ts";
import { SettingsError, flagOf } from "#server/settings.ts";
import type { SettingName } from "#server/settings.ts";
import { UsageError, accountCreate, accountList, audit, fsck, garbageCollect, keyMake, rootReset, serve, undo } from "./commands.ts";
import { eventsRefused, eventsTail } from "./events.ts";
import { lifecycleRun } from "./lifecycle.ts";
import { login } from "./login.ts";
import type { LoginFlags } from "./login.ts";
import { machineAgent, machineEnroll, machineList, machineRevoke } from "./machine.ts";
import { oidcKeysRemove, oidcKeysSet, oidcKeysShow } from "./oidc-keys.ts";
import { replicateBackfill } from "./replicate.ts";
import type { Flags } from "./settings-file.ts";

const version = (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }).version;

/** What matters to a command that acts on data; it takes every other setting too, so that the server's flags can be repeated. */
const dataSettings: ReadonlySet<SettingName> = new Set(["config", "data", "account", "region", "keyFile", "databaseUrl"]);

/** Adds every setting of the table as an option, with its default and reason in the help. */
function withSettings(command: Command, shown?: ReadonlySet<SettingName>): Command {
  for (const [name, row] of Object.entries(settingRows) as [SettingName, SettingRow<unknown>][]) {
    const fallback = row.fallback === undefined || row.fallback === "" ? "" : ` Default: ${row.fallback}.`;
    const text = `${row.reason} Takes ${row.limit}.${fallback} [${row.env}]`;
    // The value of a switch may be left out.
    const option = new Option(`${flagOf(row)} ${row.isSwitch === true ? "[1|0]" : "<value>"}`, text);
    option.attributeName = () => name;
    command.addOption(option.hideHelp(shown?.has(name) === false));
  }
  return shown === undefined ? command : command.addHelpText("after", "\nThe other settings of 'serve' are accepted here too.");
}

/** Commander says `true` for a switch without a value. */
function textOf(flags: Readonly<Record<string, string | true | undefined>>): Flags {
  return Object.fromEntries(Object.entries(flags).map(([name, value]) => [name, value === true ? "1" : value]));
}

function createProgram(): Command {
  const program = new Command("supercargo")
    .description("A self-hosted container registry that is a drop-in for Amazon ECR.")
    .version(version)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "supercargo: ")) })
    .addHelpText("after", "\nEvery setting is in: supercargo serve --help");

  withSettings(program.command("serve").description("start the server")).action((flags) => serve(textOf(flags), version));

  withSettings(program.command("gc").description("remove bytes that nothing references, now"), dataSettings)
    .option("--grace <seconds>", "how long something must have been unreferenced; default: the server's own waiting times")
    .action((flags) => garbageCollect(textOf(flags)));

  withSettings(program.command("fsck").description("check facts against bytes; changes nothing"), dataSettings)
    .option("--read-bytes", "read every blob and compare its digest")
    .action((flags) => fsck(textOf(flags)));

  for (const [name, text] of [
    ["restore", "bring back a deleted image, tag or repository inside the undo window"],
    ["purge", "remove for good what was deleted, without waiting for the undo window"],
  ] as const) {
    withSettings(program.command(`${name} <repository>`).description(text), dataSettings)
      .option("--tag <tag>", "this tag (and the image that it named)")
      .option("--digest <digest>", "this image")
      .action((repository: string, flags) => undo(name, repository, textOf(flags)));
  }

  withSettings(program.command("replicate [repository]").description("begin to replicate what was pushed before"), dataSettings)
    .option("--backfill", "everything that is there now, as the rules of now say")
    .option("--all", "every repository of the registry")
    .action((repository: string | undefined, flags) => replicateBackfill(repository, textOf(flags)));

  const lifecycle = program.command("lifecycle").description("the lifecycle policies of repositories");
  withSettings(lifecycle.command("run").description("run lifecycle policies now, without waiting for their turn"), dataSettings)
    .option("--repository <name>", "only of this repository; default: every one of the registry")
    .option("--dry-run", "only say what they would do")
    .action((flags) => lifecycleRun(textOf(flags)));

  const root = program.command("root").description("the root access key");
  withSettings(root.command("reset").description("make a new root access key; the old one stops at once"), dataSettings).action((flags) =>
    rootReset(textOf(flags)),
  );

  const account = program.command("account").description("the accounts of this deployment");
  withSettings(account.command("create").description("make an account with a root key of its own"), dataSettings)
    .option("--id <number>", "its number, 12 digits; random when left out")
    .option("--name <name>", "what people call it")
    .action((flags) => accountCreate(textOf(flags)));
  withSettings(account.command("list").description("show the accounts, one a line"), dataSettings).action((flags) =>
    accountList(textOf(flags)),
  );

  const machine = program.command("machine").description("machines that get the credentials of a role without an identity provider");
  withSettings(machine.command("enroll <name>").description("enrol a machine for an instance profile"), dataSettings)
    .option("--profile <name>", "the instance profile; its role must trust ec2.amazonaws.com")
    .option("--token-file <file>", "where the machine's token is written")
    .action((name: string, flags) => machineEnroll(name, textOf(flags)));
  withSettings(machine.command("list").description("show the machines, one a line"), dataSettings).action((flags) =>
    machineList(textOf(flags)),
  );
  withSettings(machine.command("revoke <name>").description("end a machine's token and credentials"), dataSettings).action(
    (name: string, flags) => machineRevoke(name, textOf(flags)),
  );
  machine
    .command("agent")
    .description("on the machine: play the EC2 metadata service for software that knows no other source of credentials")
    .requiredOption("--server <url>", "the registry, https://host[:port]")
    .requiredOption("--token-file <file>", "the machine's token")
    .option("--agent-listen <address>", "where to listen", "127.0.0.1:1338")
    .action((flags) => machineAgent(textOf(flags)));

  const oidcKeys = program.command("oidc-keys").description("keys of OpenID Connect providers that this registry cannot reach");
  withSettings(
    oidcKeys.command("set <provider-arn>").description("take tokens signed with these keys, and ask the issuer no more"),
    dataSettings,
  )
    .option("--jwks <file>", "the issuer's JSON Web Key Set, as from: kubectl get --raw /openid/v1/jwks")
    .action((arn: string, flags) => oidcKeysSet(arn, textOf(flags)));
  withSettings(oidcKeys.command("show <provider-arn>").description("show the keys that were set"), dataSettings).action(
    (arn: string, flags) => oidcKeysShow(arn, textOf(flags)),
  );
  withSettings(oidcKeys.command("remove <provider-arn>").description("ask the issuer for its keys again"), dataSettings).action(
    (arn: string, flags) => oidcKeysRemove(arn, textOf(flags)),
  );

  program
    .command("login")
    .description("sign in at an identity provider in the browser, and print keys as a credential_process of AWS tools does")
    .requiredOption("--server <url>", "the registry, https://host[:port]")
    .requiredOption("--issuer <url>", "the OpenID Connect provider; the registry must know it")
    .requiredOption("--client-id <id>", "this program's id at the provider: a public client that may come back to 127.0.0.1")
    .requiredOption("--role-arn <arn>", "the role whose keys are wanted; it must trust the provider")
    .option("--session-name <name>", "what the session is called; default: the name of who is logged in on this machine")
    .option("--duration <seconds>", "how long the keys live, 900 to 43200; default: what the server gives, an hour")
    .option("--cache-file <file>", "where the keys are kept until five minutes before their end; default: in the user's cache folder")
    .option("--no-browser", "only print the address to open")
    .action((flags: LoginFlags) => login(flags));

  withSettings(program.command("audit").description("find records of the audit log, oldest first"), dataSettings)
    .option("--since <moment>", "from this moment on, or from so long ago: 90m, 24h, 7d")
    .option("--until <moment>", "before this moment")
    .option("--event <name>", "this operation, such as PutImage")
    .option("--principal <part>", "a part of the ARN of who asked, or an access key id")
    .option("--resource <part>", "a part of the ARN of what was touched")
    .option("--errors", "only what was refused or failed")
    .option("--limit <count>", "no more than so many")
    .action((flags) => audit(textOf(flags)));

  const events = program.command("events").description("what happens in the registry, as Amazon EventBridge would be told");
  withSettings(events.command("tail").description("print events as they happen, one a line"), dataSettings)
    .option("--repository <name>", "of this repository; * stands for any run of characters")
    .option("--type <types>", "of these types, separated by commas, such as 'ECR Image Action'")
    .option("--from <moment>", "what happened since then, too: a moment, how long ago (90m, 24h, 7d), or beginning")
    .option("--no-follow", "end when everything is printed")
    .action(({ follow, ...flags }: Record<string, string | true | undefined> & { follow?: unknown }) =>
      eventsTail({ ...textOf(flags), ...(follow === false && { noFollow: "1" }) }),
    );
  withSettings(events.command("refused").description("print the events that targets would not take, one a line"), dataSettings)
    .option("--target <name>", "only of this target")
    .action((flags) => eventsRefused(textOf(flags)));

  const key = program.command("key").description("the instance key");
  key
    .command("make <file>")
    .description("make a new instance key file")
    .action((file: string) => keyMake(file));
  return program;
}

/** 0: done (or help was asked for). 1: it could not be done. 2: what was asked or set cannot be meant so. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const isTheAskers = [SettingsError, FolderInUse, RootKeyUnusable, UsageError].some((kind) => error instanceof kind);
  return isTheAskers ? 2 : 1;
}

try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
  // Commander has printed its own.
  if (!(error instanceof CommanderError)) {
    for (const line of (error instanceof Error ? error.message : String(error)).split("\n")) process.stderr.write(`supercargo: ${line}\n`);
    if (process.env["SUPERCARGO_LOG_LEVEL"] === "debug" && error instanceof Error) process.stderr.write(`${error.stack ?? ""}\n`);
  }
}
