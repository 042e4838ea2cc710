/** Reads the settings: flags win over the environment, the environment over the optional file, the file over the default. */
import { isTrustedHost } from "#upstream/address-guard.ts";
import { settingRows } from "./setting-rows.ts";
import type { SettingRow } from "./setting-rows.ts";

type Rows = typeof settingRows;
/** Name of a setting in code and in the file. */
export type SettingName = keyof Rows;
/** All settings, parsed. */
export type Settings = {
  readonly [K in SettingName]: Rows[K] extends SettingRow<infer T> ? (T extends string[] ? readonly string[] : T) : never;
};

/** The flag of a setting: `SUPERCARGO_PUBLIC_URL` is `--public-url`. */
export function flagOf(rowOfTable: SettingRow<unknown>): string {
  return `--${rowOfTable.env.slice("SUPERCARGO_".length).toLowerCase().replaceAll("_", "-")}`;
}

/** A setting that cannot be used: says which, where it came from and what would be right. Never carries a secret's value. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";
}

/** Where the text of each setting is looked up, strongest first. */
export interface SettingSources {
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly file: Readonly<Record<string, string | undefined>>;
}

/** Parses and cross-checks all settings. Throws {@link SettingsError} naming every setting that is wrong. */
export function readSettings(sources: SettingSources): Settings {
  const problems: string[] = [];
  const result: Record<string, unknown> = {};
  for (const [name, entry] of Object.entries(settingRows) as [SettingName, SettingRow<unknown>][]) {
    const [text, from] = lookUp(name, entry, sources);
    if (text === undefined) continue;
    const outcome = entry.schema.safeParse(text);
    if (outcome.success) result[name] = outcome.data;
    else {
      const shown = entry.secret ? "its value" : `'${text}'`;
      problems.push(
        `${entry.env} (from ${from}): ${shown} is not usable: ${outcome.error.issues.map((issue) => issue.message).join("; ")}`,
      );
    }
  }
  for (const name of Object.keys(sources.file))
    if (!(name in settingRows)) problems.push(`the settings file names '${name}', which is no setting`);
  const settings = { ...result, regions: result["regions"] ?? [result["region"]] } as unknown as Settings;
  if (problems.length === 0) problems.push(...contradictions(settings));
  if (problems.length > 0) throw new SettingsError(problems.join("\n"));
  return settings;
}

function lookUp(name: SettingName, entry: SettingRow<unknown>, sources: SettingSources): [string | undefined, string] {
  const flagText = sources.flags[name];
  if (flagText !== undefined) return [flagText, `the flag ${flagOf(entry)}`];
  const environmentText = sources.environment[entry.env];
  if (environmentText !== undefined && (environmentText !== "" || entry.isSwitch)) return [environmentText, "the environment"];
  const fileText = sources.file[name];
  if (fileText !== undefined) return [fileText, "the settings file"];
  return [entry.fallback, "the default"];
}

/** Is this an address that only this machine can reach? */
export function isLoopbackHost(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
}

function contradictions(settings: Settings): string[] {
  const problems: string[] = [];
  if (!settings.regions.includes(settings.region)) problems.push(`SUPERCARGO_REGIONS must contain SUPERCARGO_REGION (${settings.region})`);
  if ((settings.tlsCert === undefined) !== (settings.tlsKey === undefined))
    problems.push("SUPERCARGO_TLS_CERT and SUPERCARGO_TLS_KEY need each other");
  if ((settings.rootAccessKeyId === undefined) !== (settings.rootSecretAccessKey === undefined))
    problems.push("SUPERCARGO_ROOT_ACCESS_KEY_ID and SUPERCARGO_ROOT_SECRET_ACCESS_KEY need each other");
  if (settings.databaseUrl !== undefined && settings.keyFile === undefined)
    problems.push("SUPERCARGO_KEY_FILE is required with SUPERCARGO_DATABASE_URL: every node must seal with the same key");
  const kms = URL.parse(settings.kms);
  if (kms?.protocol === "http:" && !isLoopbackHost(kms.hostname.replace(/^\[(.*)\]$/, "$1")) && !isTrustedHost(settings.trustedHosts, kms))
    problems.push(
      `SUPERCARGO_KMS names ${kms.host} without TLS: keys would cross the network in the clear. Use https, or name the host in SUPERCARGO_TRUSTED_HOSTS`,
    );
  if (!isLoopbackHost(settings.listen.host) && settings.tlsCert === undefined && !settings.allowPlaintext) {
    problems.push(
      `refusing to listen on ${settings.listen.host} without TLS: passwords would cross the network in the clear. Give SUPERCARGO_TLS_CERT and SUPERCARGO_TLS_KEY, or set SUPERCARGO_ALLOW_PLAINTEXT=1 when a proxy in front ends TLS`,
    );
  }
  return problems;
}
