/** What a registry asks for when it does not know who asks: `WWW-Authenticate` (RFC 9110 section 11.6.1), and who may be answered. */

/** How a registry wants to be convinced. */
export type Challenge =
  | { readonly scheme: "basic" }
  | { readonly scheme: "bearer"; readonly realm: string; readonly service: string | undefined };

const maxHeaderLength = 4_096;
/** A word, and behind `=` its value: parameters have one, names of schemes have none. */
const item = /[\s,]*([\w!#$%&'*+.^`|~-]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?/y;

/** Registries whose tokens are made by a host of another name, as their operators document it. */
const tokenHosts: Readonly<Record<string, string>> = {
  "registry-1.docker.io": "auth.docker.io",
  "registry.gitlab.com": "gitlab.com",
};

/** Reads the header: Bearer when it is offered, else Basic; undefined when it asks for neither or cannot be read. */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  if (header === undefined || header.length > maxHeaderLength) return undefined;
  const schemes: { scheme: string; parameters: Map<string, string> }[] = [];
  const reader = new RegExp(item);
  for (let match = reader.exec(header); match !== null; match = reader.exec(header)) {
    const [, word = "", quoted, bare] = match;
    const value = quoted?.replaceAll(/\\(.)/g, "$1") ?? bare;
    if (value === undefined) schemes.push({ scheme: word.toLowerCase(), parameters: new Map() });
    else schemes.at(-1)?.parameters.set(word.toLowerCase(), value);
  }
  const realm = schemes.find(({ scheme, parameters }) => scheme === "bearer" && parameters.has("realm"));
  if (realm !== undefined)
    return { scheme: "bearer", realm: realm.parameters.get("realm") ?? "", service: realm.parameters.get("service") };
  return schemes.some(({ scheme }) => scheme === "basic") ? { scheme: "basic" } : undefined;
}

/**
 * May the credentials for this registry be shown to that token server? To the registry's own host and port, and to the few hosts that are
 * known to make its tokens. A registry that names any other host gets an anonymous token from there: whoever controls an answer of the
 * registry must not be able to collect its clients' passwords.
 */
export function mayHoldCredentials(registry: URL, realm: URL): boolean {
  if (realm.protocol !== "https:" && realm.protocol !== registry.protocol) return false;
  return realm.host === registry.host || (realm.protocol === "https:" && tokenHosts[registry.host] === realm.host);
}
