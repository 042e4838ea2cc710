/**
 * The ground that bad input is thrown on: a whole registry on the filesystem driver with something good in it, and a picture of every fact
 * and every stored byte, so that a test can say that a refusal has changed nothing at all.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "kysely";
import { ensureRootKey } from "#access/root-key.ts";
import type { Limits } from "#registry/limits.ts";
import { systemRandom } from "#std/random.ts";
import type { StorageDriver } from "#storage/driver.ts";
import { createFilesystemDriver } from "#storage/filesystem.ts";
import { makeImage, makeIndex } from "../fixtures/oci-content.ts";
import type { IndexContent, ManifestContent } from "../fixtures/oci-content.ts";
import { startRegistryServer } from "../registry-server.ts";
import type { Answer, RegistryServer } from "../registry-server.ts";

/** Everything there is: rows by table and files by path, each as one line of text. */
export type Facts = Readonly<Record<string, readonly string[]>>;

/** A registry to be mistreated. `team/app` holds an image under `v1` and an index under `all`; `team/other` and `team/fixed` are empty. */
export interface Ground {
  readonly server: RegistryServer;
  readonly image: ManifestContent;
  readonly index: IndexContent;
  facts(): Promise<Facts>;
  /** A new upload session of `team/app`, with these bytes in it. */
  openUpload(bytes?: string): Promise<{ readonly path: string; readonly uploadId: string }>;
  /** Makes an account; answers its root key. */
  addAccount(accountId: string): Promise<{ readonly accessKeyId: string; readonly secretAccessKey: string }>;
  close(): Promise<void>;
}

/** What a refusal must look like; the data plane's code or the exception's name. */
export interface Verdict {
  readonly status: number;
  readonly code: string;
  readonly message: string | RegExp;
}

/** Small enough to be exceeded by a test. */
const smallLimits: Partial<Limits> = {
  blobMaxBytes: 200_000,
  appendsPerUpload: 3,
  partsPerUpload: 3,
  partMinBytes: 5,
  partMaxBytes: 100_000,
};

/** Makes the ground. `storage` may wrap the driver to let it fail. */
export async function startGround(options: { readonly storage?: (driver: StorageDriver) => StorageDriver } = {}): Promise<Ground> {
  const folder = await mkdtemp(join(tmpdir(), "supercargo-bad-input-"));
  const driver = await createFilesystemDriver({ folder, random: systemRandom });
  const server = await startRegistryServer({ limits: smallLimits, storage: () => options.storage?.(driver) ?? driver });
  for (const name of ["team/app", "team/other"]) await server.createRepository(name);
  await server.createRepository("team/fixed", { tagMutability: "IMMUTABLE" });
  const image = makeImage({ seed: "ground" });
  const index = makeIndex([image]);
  await server.push("team/app", image, "v1");
  await server.push("team/app", index, "all");
  return {
    server,
    image,
    index,
    facts: () =>
      readFacts(async (query) => (await sql.raw<Record<string, unknown>>(query).execute(server.core.metadata.read)).rows, folder),
    async openUpload(bytes = "") {
      const opened = await server.request("POST", "/v2/team/app/blobs/uploads/");
      const path = String(opened.headers.location);
      if (bytes !== "") assert.equal((await server.request("PATCH", path, { body: bytes })).status, 202);
      return { path, uploadId: String(opened.headers["docker-upload-uuid"]) };
    },
    async addAccount(accountId) {
      const { metadata, sealer, clock, random } = server.core;
      const { created } = await ensureRootKey({ metadata, sealer, clock, random, accountId }, {});
      assert.ok(created !== undefined);
      return created;
    },
    async close() {
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Runs a query of the picture. */
type ReadRows = (query: string) => Promise<readonly Record<string, unknown>[]>;

/** What changes by being asked: a refused append puts off when its session expires, and a signed call is a use of its key. */
const restless = { expires_at: undefined, last_used_at: undefined, last_used_service: undefined, last_used_region: undefined };

/** When what was pulled last: written down some time after the pulls of the tests before. */
const restlessTable = "manifest_pull";

/** Reads all rows of all tables and all files, without what is {@link restless}. */
export async function readFacts(read: ReadRows, folder: string): Promise<Facts> {
  const facts: Record<string, string[]> = {};
  for (const { name } of await read(`select name from sqlite_master where type = 'table' and name <> '${restlessTable}' order by name`)) {
    const rows = await read(`select * from "${String(name)}"`);
    facts[String(name)] = rows.map((row) =>
      JSON.stringify({ ...row, ...restless }, (_key, value: unknown) => (value instanceof Uint8Array ? sha256(value) : value)),
    );
  }
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  facts["files"] = await Promise.all(files.toSorted().map(async (file) => `${relative(folder, file)} ${await contentOf(file)}`));
  return facts;
}

/** The digest of a file's content, or the word for one that went away while it was looked for. */
async function contentOf(file: string): Promise<string> {
  return readFile(file).then(sha256, () => "going");
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The facts without everything that names an upload session: what must be there after it has ended. */
export function withoutUpload(facts: Facts, uploadId: string): Facts {
  return Object.fromEntries(Object.entries(facts).map(([table, rows]) => [table, rows.filter((row) => !row.includes(uploadId))]));
}

/**
 * Waits until the facts are these and stay so for a moment: a server needs a while to see that its client is gone, and may only be about
 * to begin. Fails with the difference when they never are.
 */
export async function settlesAt(ground: Pick<Ground, "facts">, expected: Facts): Promise<void> {
  const deadline = performance.now() + 5_000;
  for (let times = 0; times < 3; await sleep(5)) {
    const facts = await ground.facts();
    if (JSON.stringify(facts) === JSON.stringify(expected)) times += 1;
    else if (performance.now() > deadline) return assert.deepEqual(facts, expected);
    else times = 0;
  }
}

/** What an answer says that is an error of either plane: OCI's JSON, AWS's JSON, or AWS's XML. */
export function verdictOf(answer: Answer): Verdict & { readonly message: string } {
  const text = answer.body.toString("utf8");
  const { status } = answer;
  if (text.startsWith("<")) {
    const inside = (element: string): string => new RegExp(`<${element}>([^<]*)</${element}>`).exec(text)?.[1] ?? "";
    return { status, code: inside("Code"), message: inside("Message") };
  }
  if (text === "") return { status, code: "", message: "" };
  const body = answer.json<{ readonly errors?: readonly object[]; readonly __type?: string; readonly message?: string }>();
  if (body.errors === undefined) return { status, code: body.__type ?? "", message: body.message ?? "" };
  assert.equal(answer.headers["docker-distribution-api-version"], "registry/2.0");
  assert.deepEqual(body.errors, [{ code: answer.code, message: answer.message }], "exactly one error, exactly two members");
  return { status, code: answer.code ?? "", message: answer.message };
}

/** One bad request and all that is promised of it. */
export interface BadRequest {
  readonly send: () => Promise<Answer>;
  readonly verdict: Verdict;
  /** What of the facts may change, for the few refusals that end a session. */
  readonly after?: (before: Facts) => Facts;
}

/** Sends a bad request: it must be refused precisely, change nothing, and leave a server that answers on both planes. */
export async function expectRefusal(ground: Ground, { send, verdict, after = (before) => before }: BadRequest): Promise<void> {
  const before = await ground.facts();
  const answer = await send();
  const { message, ...rest } = verdictOf(answer);
  assert.deepEqual(rest, { status: verdict.status, code: verdict.code }, message);
  if (typeof verdict.message === "string") assert.equal(message, verdict.message);
  else assert.match(message, verdict.message);
  assert.deepEqual(await ground.facts(), after(before));
  await expectAlive(ground);
}

/** The server answers good requests, and has logged no failure of its own. */
export async function expectAlive({ server, image }: Ground): Promise<void> {
  const answer = await server.request("GET", "/v2/team/app/manifests/v1");
  assert.deepEqual([answer.status, answer.body.equals(image.bytes)], [200, true]);
  assert.deepEqual(server.errors, []);
}
