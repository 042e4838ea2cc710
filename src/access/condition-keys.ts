/** What conditions of policies may ask about a request (IAM User Guide, "AWS global condition context keys"). */
import type { ContextKeys } from "#iam/context.ts";
import type { RequestOrigin } from "./request-origin.ts";

/** Condition keys by their names as AWS writes them; a string is single-valued, an array multi-valued. */
export type ConditionKeys = Readonly<Record<string, string | readonly string[]>>;

/** Our own key: the tag that a request names. A request that names several is decided once for each of them, so the key has one value. */
export const namedTagKey = "supercargo:ImageTag";
/** Among several values of {@link namedTagKey}: the request also names something without a tag, and for that the key is absent. */
export const noTag = "";

/** What conditions may ask about the resource tags that a request gives; nothing when it gives none. */
export function givenTagKeys(tags: Readonly<Record<string, string>>): ConditionKeys {
  const entries = Object.entries(tags);
  if (entries.length === 0) return {};
  const values = Object.fromEntries(entries.map(([key, value]) => [`aws:RequestTag/${key}`, value]));
  return { ...values, "aws:TagKeys": entries.map(([key]) => key) };
}

/** Where the keys of one decision come from. */
export interface KeySources {
  /** Of the principal. */
  readonly principal: ConditionKeys;
  /** What only the request's own content can tell. */
  readonly request: ConditionKeys | undefined;
  /** In place of the request's {@link namedTagKey}. */
  readonly tag: string | undefined;
  /** Tags of the resource. */
  readonly resourceTags: Readonly<Record<string, string>> | undefined;
  readonly resourceAccountId: string;
  readonly region: string;
  readonly origin: RequestOrigin;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

type Keys = Map<string, string | readonly string[]>;

/** The keys of one decision, made when the first condition asks for one: most policies have no conditions, and then nothing is made. */
export class RequestKeys implements ContextKeys {
  readonly #sources: KeySources;
  #made: Keys | undefined;

  constructor(sources: KeySources) {
    this.#sources = sources;
  }

  get #keys(): Keys {
    return (this.#made ??= makeKeys(this.#sources));
  }

  get size(): number {
    return this.#keys.size;
  }

  get(key: string): string | readonly string[] | undefined {
    return this.#keys.get(key);
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  keys(): ReturnType<Keys["keys"]> {
    return this.#keys.keys();
  }

  values(): ReturnType<Keys["values"]> {
    return this.#keys.values();
  }

  entries(): ReturnType<Keys["entries"]> {
    return this.#keys.entries();
  }

  forEach(use: (value: string | readonly string[], key: string, keys: ContextKeys) => void): void {
    for (const [key, value] of this.#keys) use(value, key, this);
  }

  [Symbol.iterator](): ReturnType<Keys["entries"]> {
    return this.#keys.entries();
  }
}

/** Later keys win: what the server knows by itself is never taken from an input or a session. */
function makeKeys(sources: KeySources): Keys {
  const { request, tag, resourceTags, origin, now } = sources;
  const keys: Keys = new Map();
  const put = (name: string, value: string | readonly string[] | undefined): void => {
    if (value !== undefined) keys.set(name.toLowerCase(), value);
  };
  for (const [name, value] of Object.entries(request ?? {})) if (name !== namedTagKey) put(name, value);
  for (const [name, value] of Object.entries(sources.principal)) put(name, value);
  for (const [name, value] of Object.entries(resourceTags ?? {})) {
    put(`aws:resourcetag/${name}`, value);
    put(`ecr:resourcetag/${name}`, value);
  }
  put(namedTagKey, tag);
  put("aws:resourceaccount", sources.resourceAccountId);
  put("aws:requestedregion", sources.region);
  put("aws:sourceip", plainAddress(origin.sourceIp));
  put("aws:securetransport", origin.scheme === "https" ? "true" : "false");
  put("aws:useragent", origin.userAgent);
  put("aws:referer", origin.referer);
  put("aws:currenttime", new Date(now).toISOString());
  put("aws:epochtime", String(Math.floor(now / 1000)));
  put("aws:viaawsservice", "false");
  return keys;
}

/** A socket that listens on IPv6 writes IPv4 clients as `::ffff:192.0.2.1`; policies mean the client's own address. */
function plainAddress(address: string): string {
  return /^::ffff:([0-9.]+)$/i.exec(address)?.[1] ?? address;
}
