/**
 * A policy document as IAM's answers carry it: percent-encoded (RFC 3986). Blanks are `%20` and pluses `%2B`, so that clients agree on it
 * whether or not they take a plus for a blank. The text inside is exactly the one that was stored.
 */
export function encodePolicyDocument(document: string): string {
  return encodeURIComponent(document).replaceAll(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
}
