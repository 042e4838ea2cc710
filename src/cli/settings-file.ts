import { readFileSync } from "node:fs";
import { readSecretYaml } from "#server/secret-file.ts";
import { SettingsError, readSettings } from "#server/settings.ts";
import type { Settings } from "#server/settings.ts";

/** What the command line was given, by the names of the settings table. */
export type Flags = Readonly<Record<string, string | undefined>>;

/** Reads the settings from flags, environment and the optional file. Throws {@link SettingsError}. */
export function settingsFrom(flags: Flags): Settings {
  const file = flags["config"] ?? process.env["SUPERCARGO_CONFIG"];
  return readSettings({ flags, environment: process.env, file: file === undefined || file === "" ? {} : readSettingsFile(file) });
}

function readSettingsFile(file: string): Record<string, string> {
  let content: unknown;
  try {
    content = readSecretYaml(readFileSync(file, "utf8"));
  } catch (error) {
    throw new SettingsError(`the settings file ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (content === null || content === undefined || content === "") return {};
  if (typeof content !== "object" || Array.isArray(content))
    throw new SettingsError(`the settings file ${file} must hold 'name: value' lines`);
  return Object.fromEntries(
    Object.entries(content).map(([name, value]: [string, unknown]) => {
      const items: readonly unknown[] = Array.isArray(value) ? value : [value];
      if (!items.every((item) => typeof item === "string"))
        throw new SettingsError(`the settings file ${file}: '${name}' must be a plain value or a list of them`);
      return [name.replaceAll(/-([a-z])/g, (_match, letter: string) => letter.toUpperCase()), items.join(",")];
    }),
  );
}
