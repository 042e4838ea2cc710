/**
 * Every setting of the server in one table: name, default, limit, reason. Flags win over the environment, the environment over the
 * optional file, the file over the default. `docs/generated/configuration.md` is made from this table.
 */
import { BlockList, isIP } from "node:net";
import { z } from "zod";

/** One row of the table. */
export interface SettingRow<T> {
  /** The environment variable; the flag is the same word in kebab-case without the prefix. */
  readonly env: string;
  readonly schema: z.ZodType<T, string>;
  /** As text, as it would be written in the environment; undefined when there is none. */
  readonly fallback: string | undefined;
  readonly limit: string;
  readonly reason: string;
  /** Never shown in help, logs or errors. */
  readonly secret?: true;
  /** A flag without a value (`--dev`). */
  readonly isSwitch?: true;
}

/** Host and port to listen on. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Networks in CIDR form, ready to be asked. */
export interface AddressSet {
  readonly text: string;
  contains(address: string): boolean;
}

const listenAddress = z.string().transform((text, context): ListenAddress => {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? Number.NaN);
  if (match === null || !(port >= 0 && port <= 65_535)) {
    context.addIssue({ code: "custom", message: "expected host:port, for example 127.0.0.1:4600 or [::]:443" });
    return z.NEVER;
  }
  return { host: match[1] ?? (match[2] === "" ? "0.0.0.0" : (match[2] ?? "")), port };
});

const accountId = z.string().regex(/^\d{12}$/, "expected 12 digits");
const region = z.string().regex(/^[a-z]{2}(?:-[a-z0-9]+){1,4}$/, "expected a region name such as us-east-1");
const regions = z
  .string()
  .transform((text) =>
    text
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== ""),
  )
  .pipe(z.array(region).min(1).max(64));
const domain = z
  .string()
  .regex(/^(?=.{1,200}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/, "expected a lower-case DNS name");
const publicUrl = z.string().transform((text, context) => {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.pathname !== "/" || url.search !== "" || url.username !== "") {
    context.addIssue({ code: "custom", message: "expected http(s)://host[:port] without a path" });
    return z.NEVER;
  }
  return `${url.protocol}//${url.host}`;
});
const auditSink = z.string().refine((text) => {
  if (["file", "stdout", "off"].includes(text)) return true;
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
}, "expected file, stdout, off or an http(s) URL without credentials");
const hosts = z
  .string()
  .transform((text) =>
    text
      .split(",")
      .map((part) => part.trim().toLowerCase())
      .filter((part) => part !== ""),
  )
  .pipe(z.array(z.string().regex(/^(?:[a-z0-9._-]{1,253}|\[[0-9a-f:]+\])(?::\d{1,5})?$/, "expected host or host:port")).max(256));
const flag = z.enum(["1", "0", "true", "false", ""]).transform((text) => text === "1" || text === "true");
const path = z.string().min(1).max(4096);

function whole(minimum: number, maximum: number): z.ZodType<number, string> {
  return z
    .string()
    .regex(/^\d{1,15}$/, "expected a whole number")
    .transform(Number)
    .pipe(z.number().min(minimum).max(maximum));
}

/** Reads `10.0.0.0/8,::1` into a set that can be asked. */
function addressSet(text: string, context: z.RefinementCtx): AddressSet {
  const list = new BlockList();
  for (const part of text.split(",").map((item) => item.trim())) {
    if (part === "") continue;
    const [address = "", bits] = part.split("/");
    const family = isIP(address);
    const widest = family === 6 ? 128 : 32;
    const length = bits === undefined ? widest : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
    if (family === 0 || !(length >= 0 && length <= widest)) {
      context.addIssue({ code: "custom", message: `'${part}' is no address or network, for example 10.0.0.0/8` });
      return z.NEVER;
    }
    list.addSubnet(address, length, family === 6 ? "ipv6" : "ipv4");
  }
  const isEmpty = list.rules.length === 0;
  return {
    text,
    contains(address) {
      if (isEmpty) return false;
      const plain = address.startsWith("::ffff:") ? address.slice(7) : address;
      const family = isIP(plain);
      return family !== 0 && list.check(plain, family === 6 ? "ipv6" : "ipv4");
    },
  };
}
const addresses = z.string().max(10_000).transform(addressSet);

/** The table. Scripts rely on these names. */
export const settingRows = {
  config: row(
    "SUPERCARGO_CONFIG",
    path.optional() as z.ZodType<string | undefined, string>,
    undefined,
    "a readable YAML file",
    "Settings that should live in a file: keys as the flags, without the dashes in front.",
  ),
  listen: row(
    "SUPERCARGO_LISTEN",
    listenAddress,
    "127.0.0.1:4600",
    "host:port",
    "Loopback until told otherwise: a registry that nobody has secured yet must not face a network.",
  ),
  data: row(
    "SUPERCARGO_DATA",
    path,
    "./data",
    "a writable folder",
    "Blobs, the SQLite database and the instance key live here, so that one folder is the whole registry.",
  ),
  account: row(
    "SUPERCARGO_ACCOUNT",
    accountId,
    "000000000000",
    "12 digits",
    "The account that a bare host name (localhost:4600) stands for and that the root key belongs to.",
  ),
  region: row("SUPERCARGO_REGION", region, "us-east-1", "a region name", "The region that a bare host name stands for."),
  regions: row(
    "SUPERCARGO_REGIONS",
    regions,
    undefined,
    "up to 64 names, separated by commas; default: the region",
    "A request signed for any other region is refused, as AWS does.",
  ),
  domain: row(
    "SUPERCARGO_DOMAIN",
    domain.optional() as z.ZodType<string | undefined, string>,
    undefined,
    "a DNS name",
    "Makes host names <account>.dkr.ecr.<region>.<domain>; amazonaws.com gives ECR's own.",
  ),
  publicUrl: row(
    "SUPERCARGO_PUBLIC_URL",
    publicUrl.optional() as z.ZodType<string | undefined, string>,
    undefined,
    "http(s)://host[:port]",
    "What clients call this server when that differs from what it sees: a published container port, a proxy.",
  ),
  rootAccessKeyId: row(
    "SUPERCARGO_ROOT_ACCESS_KEY_ID",
    z
      .string()
      .regex(/^\w{16,128}$/, "expected 16 to 128 letters, digits or underscores")
      .optional() as z.ZodType<string | undefined, string>,
    undefined,
    "16 to 128 characters; needs the secret too",
    "The root key given instead of made; wins at each start.",
  ),
  rootSecretAccessKey: row(
    "SUPERCARGO_ROOT_SECRET_ACCESS_KEY",
    z
      .string()
      .regex(/^[!-~]{16,256}$/, "expected 16 to 256 printable characters")
      .optional() as z.ZodType<string | undefined, string>,
    undefined,
    "16 to 256 characters; needs the id too",
    "The secret of that key. Prefer the environment to the flag: flags are visible to other users of the machine.",
    { secret: true },
  ),
  keyFile: row(
    "SUPERCARGO_KEY_FILE",
    path.optional() as z.ZodType<string | undefined, string>,
    undefined,
    "a file readable by its owner only; required with Postgres",
    "The instance key seals secret keys and tokens; made in the data folder when the database is SQLite.",
  ),
  tlsCert: row(
    "SUPERCARGO_TLS_CERT",
    path.optional() as z.ZodType<string | undefined, string>,
    undefined,
    "a PEM file; needs the key too",
    "TLS without a proxy. Read again on SIGHUP.",
  ),
  tlsKey: row(
    "SUPERCARGO_TLS_KEY",
    path.optional() as z.ZodType<string | undefined, string>,
    undefined,
    "a PEM file; needs the certificate too",
    "The certificate's private key.",
  ),
  allowPlaintext: row(
    "SUPERCARGO_ALLOW_PLAINTEXT",
    flag,
    "0",
    "1 or 0",
    "Listening beyond loopback without TLS sends passwords in the clear, so it must be asked for (a proxy in front ends TLS).",
    { isSwitch: true },
  ),
  databaseUrl: row(
    "SUPERCARGO_DATABASE_URL",
    z
      .string()
      .regex(/^postgres(?:ql)?:\/\//, "expected postgres://user:password@host/database")
      .optional() as z.ZodType<string | undefined, string>,
    undefined,
    "a postgres:// URL; default: SQLite in the data folder",
    "Facts in Postgres let several nodes share them; the nodes share one data folder, too.",
    { secret: true },
  ),
  undoDays: row(
    "SUPERCARGO_UNDO_DAYS",
    whole(0, 3650),
    "7",
    "0 to 3650",
    "How long deleted images can be restored; 0 deletes as ECR does.",
  ),
  dev: row(
    "SUPERCARGO_DEV",
    flag,
    "0",
    "1 or 0; only on a data folder that it created",
    "Emulator mode for laptops and CI: any access key is accepted and signatures are not verified.",
    { isSwitch: true },
  ),
  sparseIndexes: row(
    "SUPERCARGO_SPARSE_INDEXES",
    flag,
    "0",
    "1 or 0",
    "Accepts an index on the registry protocol although some of its manifests were not pushed.",
    { isSwitch: true },
  ),
  trustedProxies: row(
    "SUPERCARGO_TRUSTED_PROXIES",
    addresses,
    "",
    "addresses or networks, separated by commas",
    "Only these may say by X-Forwarded-* who the client is and what it called.",
  ),
  trustedHosts: row(
    "SUPERCARGO_TRUSTED_HOSTS",
    hosts,
    "",
    "host or host:port, separated by commas; IPv6 in brackets",
    "Identity providers and the like are asked only by https at public addresses; these may be private, or plain http.",
  ),
  metricsFrom: row(
    "SUPERCARGO_METRICS_FROM",
    addresses,
    "127.0.0.0/8,::1",
    "addresses or networks, separated by commas",
    "Who may read /metrics: it tells how busy the registry is.",
  ),
  logLevel: row(
    "SUPERCARGO_LOG_LEVEL",
    z.enum(["debug", "info", "warn", "error"]),
    "info",
    "debug, info, warn or error",
    "One line a request at info.",
  ),
  audit: row(
    "SUPERCARGO_AUDIT",
    auditSink,
    "file",
    "file, stdout, off, or the http(s) URL of a collector",
    "One record a request, in CloudTrail's fields: who, what, from where, allowed by what. Files are in the data folder, one a day.",
  ),
  auditDays: row("SUPERCARGO_AUDIT_DAYS", whole(1, 36_500), "90", "1 to 36500", "How long audit files are kept."),
  shutdownSeconds: row(
    "SUPERCARGO_SHUTDOWN_SECONDS",
    whole(0, 3600),
    "60",
    "0 to 3600",
    "How long running transfers may finish after SIGTERM.",
  ),
  bodyBudgetMb: row(
    "SUPERCARGO_BODY_BUDGET_MB",
    whole(32, 16_384),
    "64",
    "32 to 16384",
    "Memory that request bodies of the AWS APIs may hold all together; further requests wait.",
  ),
  manifestCacheMb: row("SUPERCARGO_MANIFEST_CACHE_MB", whole(0, 16_384), "32", "0 to 16384", "Manifests kept in memory by digest."),
} as const;

type Rows = typeof settingRows;
/** Name of a setting in code and in the file. */
export type SettingName = keyof Rows;
/** All settings, parsed. */
export type Settings = {
  readonly [K in SettingName]: Rows[K] extends SettingRow<infer T> ? (T extends string[] ? readonly string[] : T) : never;
};

function row<T>(
  env: string,
  schema: z.ZodType<T, string>,
  fallback: string | undefined,
  limit: string,
  reason: string,
  more: { secret?: true; isSwitch?: true } = {},
): SettingRow<T> {
  return { env, schema, fallback, limit, reason, ...more };
}

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
  if (!isLoopbackHost(settings.listen.host) && settings.tlsCert === undefined && !settings.allowPlaintext) {
    problems.push(
      `refusing to listen on ${settings.listen.host} without TLS: passwords would cross the network in the clear. Give SUPERCARGO_TLS_CERT and SUPERCARGO_TLS_KEY, or set SUPERCARGO_ALLOW_PLAINTEXT=1 when a proxy in front ends TLS`,
    );
  }
  return problems;
}
