/** What the values of settings look like as text, and what they become. */
import { BlockList, isIP } from "node:net";
import { z } from "zod";

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

/** `127.0.0.1:4600`, `[::]:443`, `:4600`. */
export const listenAddress = z.string().transform((text, context): ListenAddress => {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? Number.NaN);
  if (match === null || !(port >= 0 && port <= 65_535)) {
    context.addIssue({ code: "custom", message: "expected host:port, for example 127.0.0.1:4600 or [::]:443" });
    return z.NEVER;
  }
  return { host: match[1] ?? (match[2] === "" ? "0.0.0.0" : (match[2] ?? "")), port };
});

/** An account of AWS's form. */
export const accountId = z.string().regex(/^\d{12}$/, "expected 12 digits");

/** A region's name. */
export const region = z.string().regex(/^[a-z]{2}(?:-[a-z0-9]+){1,4}$/, "expected a region name such as us-east-1");

/** Region names, separated by commas. */
export const regions = z
  .string()
  .transform((text) =>
    text
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== ""),
  )
  .pipe(z.array(region).min(1).max(64));

/** A lower-case DNS name. */
export const domain = z
  .string()
  .regex(/^(?=.{1,200}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/, "expected a lower-case DNS name");

/** Where clients find this server: an origin without a path. */
export const publicUrl = z.string().transform((text, context) => {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.pathname !== "/" || url.search !== "" || url.username !== "") {
    context.addIssue({ code: "custom", message: "expected http(s)://host[:port] without a path" });
    return z.NEVER;
  }
  return `${url.protocol}//${url.host}`;
});

/** Where audit records go. */
export const auditSink = z.string().refine((text) => {
  if (["file", "stdout", "off"].includes(text)) return true;
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
}, "expected file, stdout, off or an http(s) URL without credentials");

/** Who keeps the keys of encrypted repositories. */
export const keyKeeper = z.string().refine((text) => {
  if (text === "built-in" || text === "aws") return true;
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && `${url.username}${url.password}${url.search}${url.hash}` === "";
}, "expected built-in, aws or an http(s) URL without credentials");

/** `host` and `host:port`, separated by commas. */
export const hosts = z
  .string()
  .transform((text) =>
    text
      .split(",")
      .map((part) => part.trim().toLowerCase())
      .filter((part) => part !== ""),
  )
  .pipe(z.array(z.string().regex(/^(?:[a-z0-9._-]{1,253}|\[[0-9a-f:]+\])(?::\d{1,5})?$/, "expected host or host:port")).max(256));

/** A switch. */
export const flag = z.enum(["1", "0", "true", "false", ""]).transform((text) => text === "1" || text === "true");

/** A path of this machine. */
export const path = z.string().min(1).max(4096);

/** A whole number within limits, both included. */
export function whole(minimum: number, maximum: number): z.ZodType<number, string> {
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

/** Addresses and networks, separated by commas. */
export const addresses = z.string().max(10_000).transform(addressSet);
