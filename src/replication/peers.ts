/** Other deployments that this one replicates to, each named by the region that it serves. */
import { z } from "zod";

/** A deployment of somebody else, or our own elsewhere. */
export interface Peer {
  /** What replication rules call it, and what its calls are signed for. */
  readonly region: string;
  /** `http(s)://host[:port]` */
  readonly origin: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** What accounts are called there, where that differs. */
  readonly accounts: ReadonlyMap<string, string>;
}

/** Peers by region. */
export type Peers = ReadonlyMap<string, Peer>;

/** How a peer's secret is found when the file does not hold it itself. */
export interface SecretSources {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Reads a file of a path that the operator wrote. */
  readonly readFile: (path: string) => string;
}

const account = z.string().regex(/^\d{12}$/, "expected 12 digits");
const origin = z.string().transform((text, context) => {
  const url = URL.parse(text);
  const isOrigin = url !== null && /^https?:$/.test(url.protocol) && `${url.username}${url.password}${url.search}${url.hash}` === "";
  if (isOrigin && url.pathname === "/") return url.origin;
  context.addIssue({ code: "custom", message: "expected http(s)://host[:port] without a path" });
  return z.NEVER;
});
const peer = z.strictObject({
  region: z.string().regex(/^(?=.{2,25}$)[a-z]{2}(?:-[a-z0-9]+){1,4}$/, "expected a region name such as eu-west-1"),
  url: origin,
  accessKeyId: z.string().regex(/^\w{16,128}$/, "expected 16 to 128 letters, digits or underscores"),
  secretAccessKey: z.string().optional(),
  secretAccessKeyFile: z.string().min(1).max(4_096).optional(),
  secretAccessKeyEnvironment: z
    .string()
    .regex(/^[A-Z_][A-Z0-9_]{0,127}$/, "expected the name of an environment variable")
    .optional(),
  accounts: z.record(account, account).optional(),
});
const secret = /^[!-~]{16,256}$/;
const maxPeers = 64;
const maxAccounts = 1_000;

/**
 * Makes peers of what the operator's file holds: a list, each with region, url, accessKeyId and a secret, which stands there itself or is
 * found by the name of a file or an environment variable. Throws Error with words for the operator; it never carries a secret.
 */
export function readPeers(content: unknown, sources: SecretSources): Peers {
  const list = z
    .array(peer)
    .max(maxPeers)
    .safeParse(content ?? []);
  if (!list.success) throw new Error(list.error.issues.map((issue) => `${placeOf(issue.path)}: ${problemOf(issue)}`).join("; "));
  const peers = new Map<string, Peer>();
  for (const entry of list.data) {
    const { region, url, accessKeyId, accounts = {} } = entry;
    if (peers.has(region)) throw new Error(`two peers are named ${region}`);
    if (Object.keys(accounts).length > maxAccounts) throw new Error(`${region}: more than ${maxAccounts} accounts`);
    peers.set(region, {
      region,
      origin: url,
      accessKeyId,
      secretAccessKey: secretOf(entry, sources),
      accounts: new Map(Object.entries(accounts)),
    });
  }
  return peers;
}

/** A secret may stand where a name should: what is not known is not repeated, unless it looks like a name. */
function problemOf(issue: z.core.$ZodIssue): string {
  if (issue.code !== "unrecognized_keys") return issue.message;
  return ["a name that is not known", ...issue.keys.filter((name) => /^[A-Za-z]{1,30}$/.test(name))].join(" ");
}

function placeOf(path: readonly PropertyKey[]): string {
  const [at, ...rest] = path;
  return at === undefined ? "the list of peers" : [`peer ${Number(at) + 1}`, ...rest.map(String)].join(" ");
}

function secretOf(entry: z.infer<typeof peer>, { environment, readFile }: SecretSources): string {
  const { region, secretAccessKey, secretAccessKeyFile, secretAccessKeyEnvironment } = entry;
  const given = [secretAccessKey, secretAccessKeyFile, secretAccessKeyEnvironment].filter((text) => text !== undefined);
  if (given.length !== 1)
    throw new Error(`${region}: exactly one of secretAccessKey, secretAccessKeyFile and secretAccessKeyEnvironment must be given`);
  const found =
    secretAccessKey ??
    (secretAccessKeyFile === undefined ? environment[secretAccessKeyEnvironment ?? ""] : readFile(secretAccessKeyFile).trim());
  if (found === undefined || !secret.test(found))
    throw new Error(`${region}: the secret access key must have 16 to 256 printable characters`);
  return found;
}
