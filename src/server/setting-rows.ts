/** Every setting of the server in one table: name, default, limit, reason. `docs/generated/configuration.md` is made from it. */
import { z } from "zod";
import {
  accountId,
  addresses,
  auditSink,
  domain,
  flag,
  hosts,
  keyKeeper,
  listenAddress,
  path,
  publicUrl,
  region,
  regions,
  whole,
} from "./setting-values.ts";

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
  coldData: row(
    "SUPERCARGO_COLD_DATA",
    path.optional() as z.ZodType<string | undefined, string>,
    undefined,
    "a writable folder; default: cold in the data folder",
    "Blobs that only archived images hold go there, so it may be on slower and cheaper disks. It belongs to one registry, as the data folder does.",
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
  lifecycleHours: row(
    "SUPERCARGO_LIFECYCLE_HOURS",
    whole(1, 168),
    "24",
    "1 to 168",
    "Every lifecycle policy runs at least once in this time; ECR's is 24 hours.",
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
  kms: row(
    "SUPERCARGO_KMS",
    keyKeeper,
    "built-in",
    "built-in, aws (AWS's endpoint of each region), or the http(s) URL of a server that speaks like KMS",
    "Who keeps the keys of new encrypted repositories; credentials are found as by every AWS tool. Those that exist stay with who keeps their key.",
  ),
  peers: row(
    "SUPERCARGO_PEERS",
    path.optional() as z.ZodType<string | undefined, string>,
    undefined,
    "a readable YAML file: a list of region, url, accessKeyId and a secret (or the file or environment variable that holds it)",
    "Other deployments that replication rules may name, each as a region.",
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
  eventTargets: row(
    "SUPERCARGO_EVENT_TARGETS",
    path.optional() as z.ZodType<string | undefined, string>,
    undefined,
    "a readable YAML file: targets, each with name, type (webhook, file, eventbridge, sqs) and what its type needs",
    "Where ECR's events (pushes, deletions, scans, replication and so on) are delivered, in order and at least once.",
  ),
  historyDays: row(
    "SUPERCARGO_HISTORY_DAYS",
    whole(1, 36_500),
    "90",
    "1 to 36500; never less than the undo window",
    "How long the change log is kept, from which events are made; a target of events that fails for longer loses what is older.",
  ),
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
