import type { Exchange } from "#std/exchange.ts";

/** Where a request came from, as far as conditions may ask and answers are made for it. */
export interface RequestOrigin {
  /** The host the client used, with its port. */
  readonly host: string | undefined;
  readonly scheme: "http" | "https";
  /** The client's address, behind configured proxies the one they tell. */
  readonly sourceIp: string;
  readonly userAgent: string | undefined;
  readonly referer: string | undefined;
}

/** Takes the origin from an exchange. */
export function originOf({ host, scheme, remoteAddress, request }: Exchange): RequestOrigin {
  const { referer, "user-agent": userAgent } = request.headers;
  return { host, scheme, sourceIp: remoteAddress, userAgent, referer };
}
