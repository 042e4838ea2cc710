/**
 * Paths of the data plane. A repository name may contain components called `blobs`, `manifests`, `tags` or `uploads`,
 * so a path is read from its end: its last components say what it is, and everything before them is the name.
 */
import { parsed, problem } from "#std/parsed.ts";
import type { Parsed } from "#std/parsed.ts";

/** What a path names. */
export type PathKind = "base" | "catalog" | "tags" | "manifest" | "blob" | "uploads" | "upload" | "referrers" | "download";

/** A path taken apart, percent-decoded; name and item are still unchecked text. */
export interface RegistryPath {
  readonly kind: PathKind;
  /** The repository's name; empty where the path names none. */
  readonly name: string;
  /** The last component where it varies: a reference, a digest, an upload's id, a download ticket. Else empty. */
  readonly item: string;
}

/** A request target's path and query, split at the first `?`. */
export interface Target {
  readonly path: string;
  readonly query: URLSearchParams;
}

const noQuery: URLSearchParams = Object.freeze(new URLSearchParams());
const longestPath = 4096;

/** Splits a request target as it stands on the request line. Never fails: a query is only looked at where a route knows its parameters. */
export function splitTarget(target: string): Target {
  const mark = target.indexOf("?");
  if (mark === -1) return { path: target, query: noQuery };
  return { path: target.slice(0, mark), query: new URLSearchParams(target.slice(mark + 1)) };
}

/**
 * Takes a path under `/v2/` or `/download/` apart. `undefined`: there is nothing by that path. A problem: a broken
 * percent-escape, or an escaped slash, which would make two different paths read the same.
 */
export function parseRegistryPath(path: string): Parsed<RegistryPath | undefined> {
  if (path.length > longestPath) return problem(`the path has ${path.length} characters; the limit is ${longestPath}`);
  const plain = path.includes("%") ? decodeComponents(path) : parsed(path);
  return plain.ok ? parsed(matchPath(plain.value)) : plain;
}

/** Decodes each component once and by itself, so that what separates components is never made by decoding. */
function decodeComponents(path: string): Parsed<string> {
  const components: string[] = [];
  for (const component of path.split("/")) {
    let plain: string;
    try {
      plain = decodeURIComponent(component);
    } catch {
      return problem("the path holds a percent-escape that is not UTF-8");
    }
    if (plain.includes("/")) return problem("the path holds an escaped slash; write slashes as they are");
    components.push(plain);
  }
  return parsed(components.join("/"));
}

function matchPath(path: string): RegistryPath | undefined {
  if (path === "/v2/" || path === "/v2") return { kind: "base", name: "", item: "" };
  if (path === "/v2/_catalog") return { kind: "catalog", name: "", item: "" };
  if (path.startsWith("/v2/")) return matchRepositoryPath(path.slice("/v2/".length));
  if (!path.startsWith("/download/")) return undefined;
  const ticket = path.slice("/download/".length);
  return ticket === "" || ticket.includes("/") ? undefined : { kind: "download", name: "", item: ticket };
}

/** `<name>/<noun>/<item>`, where the noun `uploads` has two components: `blobs/uploads`. */
function matchRepositoryPath(rest: string): RegistryPath | undefined {
  const itemAt = rest.lastIndexOf("/");
  const nounAt = rest.lastIndexOf("/", itemAt - 1);
  if (nounAt < 1) return undefined;
  const item = rest.slice(itemAt + 1);
  const name = rest.slice(0, nounAt);
  switch (rest.slice(nounAt + 1, itemAt)) {
    case "manifests":
      return item === "" ? undefined : { kind: "manifest", name, item };
    case "blobs":
      // No digest is spelled `uploads`, so this is the collection without its usual trailing slash.
      if (item === "uploads") return { kind: "uploads", name, item: "" };
      return item === "" ? undefined : { kind: "blob", name, item };
    case "referrers":
      return item === "" ? undefined : { kind: "referrers", name, item };
    case "tags":
      return item === "list" ? { kind: "tags", name, item: "" } : undefined;
    case "uploads":
      return name.endsWith("/blobs") ? matchUploadPath(name.slice(0, -"/blobs".length), item) : undefined;
    default:
      return undefined;
  }
}

function matchUploadPath(name: string, item: string): RegistryPath | undefined {
  if (name === "") return undefined;
  return item === "" ? { kind: "uploads", name, item } : { kind: "upload", name, item };
}
