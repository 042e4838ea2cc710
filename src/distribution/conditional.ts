/** Entity tags: here a digest in quotes, since content never changes under its digest (RFC 9110 section 8.8.3 and 13). */
import type { IncomingHttpHeaders } from "node:http";

/** The entity tag of what has this digest. */
export function entityTag(digest: string): string {
  return `"${digest}"`;
}

/** Whether the client says it has this representation already (If-None-Match, weak comparison); then 304. */
export function isKnownToClient(headers: IncomingHttpHeaders, digest: string): boolean {
  const list = headers["if-none-match"];
  if (list === undefined) return false;
  const tag = entityTag(digest);
  return list.split(",").some((item) => {
    const given = item.trim();
    // Some clients leave the quotes out.
    return given === "*" || given === tag || given === digest || given === `W/${tag}`;
  });
}

/** The Range header, unless If-Range names another representation: then the whole is wanted (RFC 9110 section 13.1.5). */
export function effectiveRange(headers: IncomingHttpHeaders, digest: string): string | undefined {
  const condition = headers["if-range"];
  return condition === undefined || condition === entityTag(digest) ? headers.range : undefined;
}

/** `OCI-Namespace`, when the client names the source that it believes to be proxied and the name can stand in a header. */
export function namespaceHeaders(query: URLSearchParams): readonly string[] {
  const source = query.get("ns");
  return source !== null && /^[A-Za-z0-9._:/[\]-]{1,255}$/.test(source) ? ["OCI-Namespace", source] : [];
}
