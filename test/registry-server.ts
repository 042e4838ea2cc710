/**
 * A whole registry in the test's own process: real SQLite in a temporary folder, the memory driver, both planes, on a random loopback
 * port with signatures and tokens checked. Plus the smallest HTTP client that hides nothing: no redirects, no normalized paths.
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, createServer, request as httpRequest } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAccess, issueToken, principalStillActive } from "#access/access.ts";
import type { Access } from "#access/access.ts";
import type { Principal } from "#access/principal.ts";
import { ensureRootKey } from "#access/root-key.ts";
import { createApi } from "#api/pipeline.ts";
import { createOpenIdKeys } from "#identity/openid-keys.ts";
import { createDistribution } from "#distribution/pipeline.ts";
import { openDatabase } from "#metadata/database.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";
import { createPullThrough } from "#pullthrough/pull-through.ts";
import type { PullThrough } from "#pullthrough/pull-through.ts";
import { createAddressing } from "#registry/addressing.ts";
import type { Addressing } from "#registry/addressing.ts";
import type { RegistryContext, RegistryCore } from "#registry/context.ts";
import { createCreationRoles } from "#server/creation-roles.ts";
import { createKeyService } from "#server/key-service.ts";
import type { OtherKeys } from "#server/key-service.ts";
import type { Limits } from "#registry/limits.ts";
import { defaultLimits } from "#registry/limits.ts";
import { createManifestCache } from "#registry/manifest-cache.ts";
import { createPullNotes } from "#registry/pull-time.ts";
import { createRepository } from "#registry/repository.ts";
import type { NewRepository } from "#registry/repository.ts";
import { createUploadHashes } from "#registry/upload-hashes.ts";
import { makeInstanceKey } from "#sealing/instance-key.ts";
import { createSealer } from "#sealing/sealer.ts";
import { createByteBudget } from "#std/byte-budget.ts";
import { systemClock } from "#std/clock.ts";
import type { Clock } from "#std/clock.ts";
import type { Exchange, ExchangeNotes } from "#std/exchange.ts";
import type { Log } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import type { StorageDriver } from "#storage/driver.ts";
import { createMemoryDriver } from "#storage/memory.ts";
import { createGuardedConnections } from "#upstream/connections.ts";
import { createGuardedFetch } from "#upstream/guarded-fetch.ts";
import type { Content } from "./fixtures/oci-content.ts";

/** A request as the test wants it on the wire. */
export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** A buffer is announced by Content-Length; an array is sent in chunks, one write each. */
  readonly body?: Uint8Array | string | readonly Uint8Array[];
  /** `null`: none. Default: the default account's token. */
  readonly authorization?: string | null;
  readonly agent?: Agent;
}

/** An answer, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** All values of a header, line by line. */
  lines(name: string): readonly string[];
  readonly body: Buffer;
  /** The body parsed; its shape is for the test to state. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  json<T = unknown>(): T;
  /** The code of the first OCI error. */
  readonly code: string | undefined;
  /** Of the first OCI error; else empty. */
  readonly message: string;
}

/** A running registry. */
export interface RegistryServer {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  /** `127.0.0.1:<port>` */
  readonly host: string;
  readonly accountId: string;
  readonly region: string;
  readonly core: RegistryCore;
  readonly access: Access;
  readonly addressing: Addressing;
  /** What pulls through rules in this server. */
  readonly pullThrough: PullThrough;
  readonly principal: Principal;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** The password of `docker login -u AWS`. */
  readonly token: string;
  /** An Authorization header, for another region or principal when told so. */
  authorization(options?: { readonly region?: string; readonly principal?: Principal }): string;
  /** Makes an account with a root key of its own. */
  addAccount(accountId: string): Promise<Principal>;
  createRepository(name: string, options?: NewRepository): Promise<void>;
  request(method: string, target: string, options?: RequestOptions): Promise<Answer>;
  /** Pushes a manifest under each reference (default: its digest), after its blobs. Throws when a push is refused. */
  push(name: string, manifest: Pushable, ...references: readonly string[]): Promise<void>;
  /** Moves the server's clock. */
  advance(milliseconds: number): void;
  /** What was logged as an error; a test that expects none says so. */
  readonly errors: readonly unknown[];
  /** What the planes noted, one entry a request. */
  readonly notes: readonly ExchangeNotes[];
  close(): Promise<void>;
}

/** An index, or a manifest with its blobs. */
export type Pushable = Content & { readonly config?: Content; readonly layers?: readonly Content[] };

/** What a test may change. */
export interface RegistryServerOptions {
  readonly limits?: Partial<Limits>;
  readonly regions?: readonly string[];
  /** Regions of other deployments that replication rules may name. */
  readonly peerRegions?: readonly string[];
  readonly domain?: string;
  /** The address that the deployment is configured to be known by. */
  readonly publicUrl?: string;
  /** Other servers that may be asked although they are on loopback, without TLS. */
  readonly trustedHosts?: readonly string[];
  readonly storage?: (driver: StorageDriver) => StorageDriver;
  /** Who keeps the keys of new encrypted repositories, instead of the server itself. */
  readonly otherKeys?: (clock: Clock) => OtherKeys;
}

const accountId = "123456789012";
const region = "eu-central-1";
/** In memory where there is such a place: what is tested here is not the disk. */
const temporaryFolder = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** Starts a registry. Close it, or the test run does not end. */
export async function startRegistryServer(options: RegistryServerOptions = {}): Promise<RegistryServer> {
  const folder = await mkdtemp(join(temporaryFolder, "supercargo-test-"));
  const errors: unknown[] = [];
  const notes: ExchangeNotes[] = [];
  let movedMs = 0;
  const clock = { now: () => systemClock.now() + movedMs };
  const log: Log = { debug() {}, info() {}, warn() {}, error: (fields) => void errors.push(fields) };
  const random = systemRandom;
  const sealer = createSealer([makeInstanceKey(random)], random);
  const metadata = await openDatabase({ kind: "sqlite", file: join(folder, "registry.sqlite") }, { log });
  const driver = createMemoryDriver({ clock });
  const regions = options.regions ?? [region, "us-east-1"];
  const keysAreElsewhere = options.otherKeys !== undefined;
  const accessDeps = { metadata, sealer, clock, random, log, dev: false, defaultAccountId: accountId, regions, keysAreElsewhere };
  const access = createAccess(accessDeps);
  const core: RegistryCore = {
    metadata,
    storage: options.storage?.(driver) ?? driver,
    clock,
    random,
    sealer,
    log,
    limits: { ...defaultLimits, ...options.limits },
    manifests: createManifestCache(16_777_216),
    uploads: createUploadHashes(),
    pulls: createPullNotes({ metadata, clock, log }),
    creationRoles: createCreationRoles(access, metadata),
    keys: createKeyService({ metadata, clock, random, sealer }, options.otherKeys?.(clock)),
  };
  const addAccount = async (id: string): Promise<{ principal: Principal; secretAccessKey: string }> => {
    const { created } = await ensureRootKey({ metadata, sealer, clock, random, accountId: id }, {});
    if (created === undefined) throw new Error(`account ${id} exists`);
    const principal = await principalStillActive(access, { principalId: id, accessKeyId: created.accessKeyId });
    if (principal === undefined) throw new Error(`the root key of ${id} does not work`);
    return { principal, secretAccessKey: created.secretAccessKey };
  };
  const { principal, secretAccessKey } = await addAccount(accountId);
  const listener = createServer({ highWaterMark: 262_144 });
  await new Promise<void>((resolve) => void listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as AddressInfo;
  const { domain, publicUrl, peerRegions } = options;
  const defaultRegistry = { accountId, region };
  const addressing = createAddressing({ defaultRegistry, regions, peerRegions, domain, publicUrl, port, scheme: "http" });
  const openIdKeys = createOpenIdKeys(createGuardedFetch({ trustedHosts: options.trustedHosts ?? [] }), clock, log);
  const connections = createGuardedConnections({ trustedHosts: options.trustedHosts ?? [] });
  const pullThrough = createPullThrough({ core, access, addressing, isOnlyNode: true, connect: async () => connections });
  const distribution = createDistribution({ core, access, addressing, pullThrough });
  const api = createApi({ core, access, addressing, openIdKeys, pullThrough, budget: createByteBudget(67_108_864) });
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const exchange = new TestExchange(request, response, random.uuid(), notes);
    response.setHeader("x-amzn-requestid", exchange.requestId);
    const isData = /^\/(?:v2(?:[/?]|$)|download\/)/.test(request.url ?? "");
    void (isData ? distribution : api)(exchange).catch((error: unknown) => {
      errors.push(error);
      response.destroy();
    });
  };
  listener.on("request", serve).on("checkContinue", serve);
  const host = `127.0.0.1:${port}`;
  const agent = new Agent({ keepAlive: true });
  const authorization: RegistryServer["authorization"] = (asked = {}) =>
    `Basic ${Buffer.from(`AWS:${issueToken(access, asked.principal ?? principal, asked.region ?? region).password}`).toString("base64")}`;
  const context: RegistryContext = { core, actor: principal, requestId: "test" };
  const token = issueToken(access, principal, region).password;
  const ownAuthorization = authorization();
  const request: RegistryServer["request"] = (method, target, asked = {}) =>
    exchangeWith({ host: "127.0.0.1", port, agent, authorization: ownAuthorization }, method, target, asked);
  return {
    url: `http://${host}`,
    host,
    accountId,
    region,
    core,
    access,
    addressing,
    pullThrough,
    principal,
    credentials: { accessKeyId: principal.accessKeyId, secretAccessKey },
    token,
    authorization,
    addAccount: async (id) => (await addAccount(id)).principal,
    async createRepository(name, repositoryOptions) {
      const parsedName = parseRepositoryName(name);
      if (!parsedName.ok) throw new Error(parsedName.problem);
      await createRepository(context, { accountId, region }, parsedName.value, repositoryOptions);
    },
    request,
    async push(name, manifest, ...references) {
      const blobs = [manifest.config, ...(manifest.layers ?? [])].filter((blob) => blob !== undefined);
      for (const blob of blobs)
        expectCreated(await request("POST", `/v2/${name}/blobs/uploads/?digest=${blob.digest}`, { body: blob.bytes }));
      const put = { body: manifest.bytes, headers: { "Content-Type": manifest.mediaType } };
      for (const reference of references.length === 0 ? [manifest.digest] : references) {
        expectCreated(await request("PUT", `/v2/${name}/manifests/${reference}`, put));
      }
    },
    advance(milliseconds) {
      movedMs += milliseconds;
    },
    errors,
    notes,
    async close() {
      agent.destroy();
      listener.closeAllConnections();
      await new Promise((resolve) => listener.close(resolve));
      connections.close();
      await core.pulls.close();
      await metadata.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Follows Link headers to the end, as clients do, and answers what each page held. */
export async function followPages<T>(
  server: RegistryServer,
  first: string,
  itemsOf: (answer: Answer) => readonly T[],
): Promise<(readonly T[])[]> {
  const pages: (readonly T[])[] = [];
  for (let target: string | undefined = first; target !== undefined;) {
    const answer = await server.request("GET", target);
    if (answer.status !== 200 || pages.length > 1_000) throw new Error(`page ${pages.length}: ${answer.status} ${answer.message}`);
    pages.push(itemsOf(answer));
    target = /^<(\/[^>]+)>; rel="next"$/.exec(String(answer.headers["link"] ?? ""))?.[1];
  }
  return pages;
}

function expectCreated(answer: Answer): void {
  if (answer.status !== 201) throw new Error(`a push was refused: ${answer.status} ${answer.code} ${answer.message}`);
}

class TestExchange implements Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly host: string | undefined;
  readonly scheme = "http";
  readonly remoteAddress = "127.0.0.1";

  constructor(request: IncomingMessage, response: ServerResponse, requestId: string, notes: ExchangeNotes[]) {
    this.request = request;
    this.response = response;
    this.requestId = requestId;
    this.host = request.headers.host;
    let noted: ExchangeNotes = {};
    this.note = (more) => void (noted = { ...noted, ...more });
    response.once("close", () => void notes.push(noted));
  }

  readonly note: (notes: ExchangeNotes) => void;
  audit(): void {}
  decided(): void {}
}

interface Peer {
  readonly host: string;
  readonly port: number;
  readonly agent: Agent;
  readonly authorization: string;
}

function exchangeWith(peer: Peer, method: string, target: string, options: RequestOptions): Promise<Answer> {
  const { body, agent = peer.agent, authorization = peer.authorization } = options;
  const headers: Record<string, string> = { ...options.headers };
  if (authorization !== null) headers["Authorization"] = authorization;
  const whole = body === undefined || Array.isArray(body) ? undefined : Buffer.from(body as Uint8Array);
  if (whole !== undefined) headers["Content-Length"] ??= String(whole.byteLength);
  else if (body === undefined && ["POST", "PUT", "PATCH"].includes(method)) headers["Content-Length"] ??= "0";
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: peer.host, port: peer.port, agent, method, path: target, headers });
    request.once("error", reject).once("response", (response: IncomingMessage) => void readAnswer(response).then(resolve, reject));
    if (Array.isArray(body)) for (const chunk of body) request.write(chunk);
    request.end(whole);
  });
}

async function readAnswer(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  const parse = <T>(): T => JSON.parse(body.toString("utf8")) as T;
  const isJson = body.byteLength > 0 && (response.headers["content-type"] ?? "").includes("json");
  const [first] = isJson ? (parse<{ errors?: { code?: string; message?: string }[] } | null>()?.errors ?? []) : [];
  const lines = (name: string): readonly string[] => response.headersDistinct[name.toLowerCase()] ?? [];
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    lines,
    body,
    json: parse,
    code: first?.code,
    message: first?.message ?? "",
  };
}
