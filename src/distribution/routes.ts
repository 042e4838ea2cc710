/**
 * Every request that the data plane answers. A row says how the caller proves who they are, which action on which resource they need,
 * and who answers; the pipeline does all of that before the handler runs. There is no other way in.
 */
import { actions } from "./action.ts";
import type { Action } from "./action.ts";
import { getBase } from "./base.ts";
import { headBlob, readBlob, removeBlob } from "./blob.ts";
import { hasBody } from "./body.ts";
import type { Call, RepositoryCall } from "./call.ts";
import { getCatalog, getVisibleCatalog } from "./catalog.ts";
import { readDownload } from "./download.ts";
import type { OciFault } from "./errors.ts";
import { headManifest, readManifest, removeManifest, writeManifest } from "./manifest.ts";
import type { PathKind } from "./path.ts";
import { getReferrers } from "./referrer.ts";
import { getTags } from "./tag.ts";
import { deleteUpload, getUploadStatus, patchUpload, postUpload, putUpload } from "./upload.ts";

/** The methods that some path takes. */
type Method = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

type Needs = (call: RepositoryCall) => readonly Action[];

interface RouteColumns {
  readonly method: Method;
  readonly path: PathKind;
  /** For logs and metrics: bounded, unlike paths. */
  readonly label: string;
  /** `token`: the Authorization header. `ticket`: the path itself, as handed out by GetDownloadUrlForLayer. */
  readonly credentials: "token" | "ticket";
}

/** A row about one repository: the action is asked on its ARN. */
interface RepositoryRoute extends RouteColumns {
  readonly resource: "repository";
  readonly action: Action;
  /** An action that is as good as the first one: who may read a blob may ask for its size. */
  readonly orAction?: Action;
  /** What some forms of the request need besides, on the same repository. */
  readonly alsoNeeds: Needs;
  readonly handle: (call: RepositoryCall) => Promise<void>;
}

/** A row about the registry: the action is asked on all its repositories, or none is needed beyond valid credentials. */
interface RegistryRoute extends RouteColumns {
  readonly resource: "every-repository" | "none";
  readonly action: Action | "none";
  /** Answers a caller to whom the action is denied on all repositories; `deny` makes the denial. */
  readonly otherwise?: (call: Call, deny: () => OciFault) => Promise<void>;
  readonly handle: (call: Call) => Promise<void>;
}

/** A row of the table. */
export type Route = RepositoryRoute | RegistryRoute;

type Handle = (call: RepositoryCall) => Promise<void>;
const nothing: readonly Action[] = [];
const needsNothing: Needs = () => nothing;

function base(method: Method): Route {
  return { method, path: "base", label: "base", credentials: "token", resource: "none", action: "none", handle: getBase };
}

function catalog(method: Method): Route {
  const action = actions.listRepositories;
  const columns = { method, path: "catalog", label: "catalog", credentials: "token", resource: "every-repository" } as const;
  return { ...columns, action, handle: getCatalog, otherwise: getVisibleCatalog };
}

function about(
  method: Method,
  path: PathKind,
  label: string,
  action: Action,
  handle: Handle,
  alsoNeeds: Needs = needsNothing,
): RepositoryRoute {
  return { method, path, label, credentials: path === "download" ? "ticket" : "token", resource: "repository", action, alsoNeeds, handle };
}

/** A POST that brings the blob with it is all three steps of an upload. */
function stepsOfPost(call: RepositoryCall): readonly Action[] {
  const isWhole = call.query.has("digest") && !call.query.has("mount");
  return isWhole ? [actions.appendUpload, actions.completeUpload] : nothing;
}

function stepsOfPut(call: RepositoryCall): readonly Action[] {
  return hasBody(call.exchange.request) ? [actions.appendUpload] : nothing;
}

/** The table. */
export const routes: readonly Route[] = [
  base("GET"),
  base("HEAD"),
  catalog("GET"),
  catalog("HEAD"),
  about("GET", "tags", "tags.list", actions.listTags, getTags),
  about("HEAD", "tags", "tags.list", actions.listTags, getTags),
  about("GET", "manifest", "manifest.get", actions.getManifest, readManifest),
  about("HEAD", "manifest", "manifest.head", actions.getManifest, headManifest),
  about("PUT", "manifest", "manifest.put", actions.putManifest, writeManifest),
  about("DELETE", "manifest", "manifest.delete", actions.remove, removeManifest),
  about("GET", "blob", "blob.get", actions.getBlob, readBlob),
  // AWS's policy for those who only pull has no action for HEAD.
  { ...about("HEAD", "blob", "blob.head", actions.checkBlob, headBlob), orAction: actions.getBlob },
  about("DELETE", "blob", "blob.delete", actions.remove, removeBlob),
  { ...about("POST", "uploads", "upload.start", actions.startUpload, postUpload, stepsOfPost), orAction: actions.replicate },
  { ...about("PATCH", "upload", "upload.append", actions.appendUpload, patchUpload), orAction: actions.replicate },
  { ...about("PUT", "upload", "upload.complete", actions.completeUpload, putUpload, stepsOfPut), orAction: actions.replicate },
  { ...about("GET", "upload", "upload.status", actions.appendUpload, getUploadStatus), orAction: actions.replicate },
  about("HEAD", "upload", "upload.status", actions.appendUpload, getUploadStatus),
  about("DELETE", "upload", "upload.cancel", actions.appendUpload, deleteUpload),
  about("GET", "referrers", "referrers.list", actions.getManifest, getReferrers),
  about("HEAD", "referrers", "referrers.list", actions.getManifest, getReferrers),
  about("GET", "download", "download", actions.getBlob, readDownload),
  about("HEAD", "download", "download", actions.getBlob, readDownload),
];

const byPath = new Map<PathKind, Map<string, Route>>();
for (const route of routes) {
  const methods = byPath.get(route.path) ?? new Map<string, Route>();
  byPath.set(route.path, methods.set(route.method, route));
}

/** The row of a path and a method, or undefined. */
export function findRoute(path: PathKind, method: string): Route | undefined {
  return byPath.get(path)?.get(method);
}

/** The methods that a path takes, for `Allow`. */
export function methodsOf(path: PathKind): readonly string[] {
  return [...(byPath.get(path)?.keys() ?? [])];
}
