/** The command line. `supercargo serve` is the server; the other commands act on its data, through it while it runs. */
import { readFileSync } from "node:fs";
import { Command, Option } from "commander";
import { AlreadyRunning } from "#server/control.ts";
import { SettingsError, flagOf, settingRows } from "#server/settings.ts";
import type { SettingName } from "#server/settings.ts";
import { fsck, garbageCollect, keyMake, rootReset, serve, undo } from "./commands.ts";

const version = (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }).version;

/** Adds every setting of the table as an option, with its default and reason in the help. */
function withSettings(command: Command): Command {
  for (const [name, row] of Object.entries(settingRows) as [SettingName, (typeof settingRows)[SettingName]][]) {
    const flag = flagOf(row);
    const shown = row.fallback === undefined || row.fallback === "" ? "" : ` Default ${row.fallback}.`;
    const option = new Option(
      row.isSwitch === true ? `${flag} [value]` : `${flag} <value>`,
      `${row.reason} (${row.limit}; ${row.env}).${shown}`,
    );
    if (row.isSwitch === true) option.preset("1");
    option.attributeName = () => name;
    command.addOption(option);
  }
  return command;
}

type Flags = Readonly<Record<string, string | undefined>>;

const program = new Command("supercargo")
  .description("A self-hosted container registry that is a drop-in for Amazon ECR.")
  .version(version);

withSettings(program.command("serve").description("start the server")).action((flags: Flags) => serve(flags, version));

withSettings(program.command("gc").description("remove bytes that nothing references, now"))
  .addOption(new Option("--grace <seconds>", "how long something must have been unreferenced; default: the server's own waiting times"))
  .action((flags: Flags) => garbageCollect(flags));

withSettings(program.command("fsck").description("check facts against bytes; changes nothing"))
  .option("--read-bytes", "read every blob and compare its digest")
  .action((flags: Flags) => fsck(flags));

for (const [name, text] of [
  ["restore", "bring back a deleted image, tag or repository inside the undo window"],
  ["purge", "remove for good what was deleted, without waiting for the undo window"],
] as const) {
  withSettings(program.command(`${name} <repository>`).description(text))
    .option("--tag <tag>", "this tag (and the image that it named)")
    .option("--digest <digest>", "this image")
    .action((repository: string, flags: Flags) => undo(name, repository, flags));
}

const root = program.command("root").description("the root access key");
withSettings(root.command("reset").description("make a new root access key; the old one stops at once")).action((flags: Flags) =>
  rootReset(flags),
);

const key = program.command("key").description("the instance key");
key
  .command("make <file>")
  .description("make a new instance key file")
  .action((file: string) => keyMake(file));

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof SettingsError || error instanceof AlreadyRunning) {
    process.stderr.write(`supercargo: ${error.message}\n`);
    process.exitCode = 2;
  } else {
    process.stderr.write(`supercargo: ${error instanceof Error ? error.message : String(error)}\n`);
    if (process.env["SUPERCARGO_LOG_LEVEL"] === "debug") process.stderr.write(`${error instanceof Error ? error.stack : ""}\n`);
    process.exitCode = 1;
  }
}
