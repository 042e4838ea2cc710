/**
 * What the database is asked, for answers that must not differ: on a database across a network one statement more is half a millisecond more,
 * and whoever measures that learns what the answer does not say. Time itself is measured by bench/side-channel.ts.
 */
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { findRepository } from "#metadata/repositories.ts";
import { createRule } from "#registry/pull-through-rule.ts";
import { makeImage } from "../fixtures/oci-content.ts";
import { startRegistryServer } from "../registry-server.ts";
import type { Answer, RegistryServer } from "../registry-server.ts";
import { callEcr } from "../signed-call.ts";
import { callersOf } from "./callers.ts";
import type { MatrixCaller } from "./callers.ts";

let server: RegistryServer;
let callers: ReturnType<typeof callersOf>;
let visitor: MatrixCaller;
const secret = makeImage({ seed: "secret" });
const blob = secret.layers[0]?.digest ?? "";
const nowhere = `sha256:${"0".repeat(64)}`;
/** Node publishes every statement that SQLite runs, with its values; also those of other servers in this process. */
const channel = "sqlite.db.query";
let databaseFile: string | null;

interface Ran {
  readonly sql: string;
  readonly database: DatabaseSync;
}

before(async () => {
  server = await startRegistryServer({ regions: ["eu-central-1", "us-east-1"] });
  callers = callersOf(server);
  databaseFile = await findDatabaseFile();
  await server.createRepository("hidden/app", { resourceTags: { team: "red" } });
  for (const name of ["hidden/bar", "hidden/gone", "open/shop", "open/bar"]) await server.createRepository(name);
  for (const name of ["hidden/app", "hidden/bar", "hidden/gone"]) await server.push(name, secret, secret.digest, "latest");
  assert.equal((await callEcr(server, "DeleteRepository", { repositoryName: "hidden/gone", force: true })).status, 200);
  const resource = `arn:aws:ecr:*:${server.accountId}:repository/open/*`;
  visitor = await callers.user("visitor", { Effect: "Allow", Action: "ecr:*", Resource: resource });
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

async function findDatabaseFile(): Promise<string | null> {
  let file: string | null = null;
  const mark = "which-database";
  const note = (message: unknown): void => {
    const { sql, database } = message as Ran;
    if (sql.includes(mark)) file = database.location();
  };
  subscribe(channel, note);
  await findRepository(server.core.metadata, { accountId: server.accountId, region: server.region, name: mark });
  unsubscribe(channel, note);
  assert.ok(file !== null);
  return file;
}

/** The statements of some work, with what stands for values in place of them. */
async function statementsOf(work: () => Promise<unknown>): Promise<readonly string[]> {
  const seen: string[] = [];
  const note = (message: unknown): void => {
    const { sql, database } = message as Ran;
    if (database.location() !== databaseFile) return;
    seen.push(sql.replaceAll(/'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b/g, "?").replaceAll(/\s+/g, " "));
  };
  subscribe(channel, note);
  try {
    await work();
  } finally {
    unsubscribe(channel, note);
  }
  return seen;
}

/** Each ask twice: of the first time caches know something for the second. All must run the same statements each time. */
async function assertAlike(asks: Readonly<Record<string, () => Promise<Answer>>>, status: number): Promise<void> {
  for (const round of ["first", "second"]) {
    let expected: readonly string[] | undefined;
    for (const [name, ask] of Object.entries(asks)) {
      // Caches of who asks, and of whether anything was written since, are as warm for the first ask as for the others.
      await server.request("GET", "/v2/open/shop/tags/list", { authorization: callers.authorizationOf(visitor) });
      // So are the rules of fetching from elsewhere, which are remembered for a second: this one begins now.
      server.pullThrough.forget(server);
      await server.request("HEAD", `/v2/open/shop/blobs/${nowhere}`, { authorization: callers.authorizationOf(visitor) });
      let answer: Answer | undefined;
      const statements = await statementsOf(async () => (answer = await ask()));
      assert.equal(answer?.status, status, name);
      assert.ok(statements.length > 0, name);
      expected ??= statements;
      assert.deepEqual(statements, expected, `${round}: ${name}`);
    }
  }
}

const ask = (method: string, target: string): Promise<Answer> =>
  server.request(method, target, { authorization: callers.authorizationOf(visitor) });

const mount = (query: string) => (): Promise<Answer> => ask("POST", `/v2/open/shop/blobs/uploads/?${query}`);

test("statements are seen", async () => {
  const { metadata } = server.core;
  const found = await statementsOf(() => findRepository(metadata, { accountId: server.accountId, region: server.region, name: "it's" }));
  assert.equal(found.length, 1);
  assert.match(found[0] ?? "", /r.region = \? and r.name = \? /);
});

test("a mount that fails asks the same, whatever it fails for", async () => {
  await assertAlike(
    {
      "a source that may not be read": mount(`mount=${blob}&from=hidden/app`),
      "another one": mount(`mount=${blob}&from=hidden/bar`),
      "the same without the blob": mount(`mount=${nowhere}&from=hidden/app`),
      "a source that is not there": mount(`mount=${blob}&from=hidden/never`),
      "a deleted source": mount(`mount=${blob}&from=hidden/gone`),
      "a readable source without the blob": mount(`mount=${nowhere}&from=open/bar`),
      "a source that could be read and is not there": mount(`mount=${blob}&from=open/never`),
    },
    202,
  );
});

test("so does one that names no source", async () => {
  await assertAlike({ "a blob that is hidden": mount(`mount=${blob}`), "a blob that nobody has": mount(`mount=${nowhere}`) }, 202);
});

test("whether a repository is there costs nothing to hide", async () => {
  for (const rest of ["manifests/latest", `manifests/${secret.digest}`, `blobs/${blob}`, "tags/list", `referrers/${secret.digest}`]) {
    const of = (name: string) => (): Promise<Answer> => ask("GET", `/v2/${name}/${rest}`);
    await assertAlike(
      { there: of("hidden/app"), "without tags": of("hidden/bar"), never: of("hidden/never"), gone: of("hidden/gone") },
      403,
    );
  }
});

test("nor on the control plane", async () => {
  const { sessionToken: _none, ...credentials } = visitor.credentials;
  // The first use of a key in a while is noted, a moment after its answer.
  await callEcr(server, "DescribeRepositories", {}, { credentials });
  await setTimeout(50);
  const inputs: Readonly<Record<string, object>> = {
    DescribeImages: {},
    BatchGetImage: { imageIds: [{ imageTag: "latest" }] },
    GetDownloadUrlForLayer: { layerDigest: blob },
    InitiateLayerUpload: {},
    GetRepositoryPolicy: {},
    DeleteRepository: {},
  };
  for (const [operation, input] of Object.entries(inputs)) {
    const of = (repositoryName: string) => (): Promise<Answer> => callEcr(server, operation, { ...input, repositoryName }, { credentials });
    await assertAlike(
      { there: of("hidden/app"), "without tags": of("hidden/bar"), never: of("hidden/never"), gone: of("hidden/gone") },
      400,
    );
  }
});

test("nor does a repository look elsewhere for what it has not", async () => {
  const of = (path: string, digest: string) => (): Promise<Answer> => ask("GET", `/v2/open/shop/${path}/${digest}`);
  await assertAlike({ "hidden blob": of("blobs", blob), "no blob": of("blobs", nowhere) }, 404);
  await assertAlike({ "hidden manifest": of("manifests", secret.digest), "no manifest": of("manifests", nowhere) }, 404);
  await assertAlike({ "of a hidden one": of("referrers", secret.digest), "of none": of("referrers", nowhere) }, 200);
});

test("nor under a rule of fetching from elsewhere, for who may read and not fetch", async () => {
  const { core, accountId, region, principal } = server;
  const rule = {
    upstreamKind: undefined,
    upstreamUrl: "127.0.0.1:9",
    upstreamPrefix: undefined,
    credentialArn: undefined,
    roleArn: undefined,
  };
  const registry = { accountId, region };
  for (const prefix of ["open", "hidden"])
    await createRule({ core, actor: principal, requestId: "test" }, registry, { ...rule, prefix, givenPrefix: prefix });
  server.pullThrough.forget(registry);
  const resource = `arn:aws:ecr:*:${accountId}:repository/open/*`;
  const reading = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:ListImages", "ecr:ListImageReferrers"];
  visitor = await callers.user("reader", { Effect: "Allow", Action: reading, Resource: resource });
  const of = (name: string, rest: string) => (): Promise<Answer> => ask("GET", `/v2/${name}/${rest}`);
  const both = (path: string) => ({
    hidden: of("open/shop", `${path}/${path === "blobs" ? blob : secret.digest}`),
    "of nobody": of("open/shop", `${path}/${nowhere}`),
  });
  for (const path of ["blobs", "manifests"]) await assertAlike(both(path), 404);
  await assertAlike(both("referrers"), 200);
  for (const rest of ["manifests/latest", `manifests/${secret.digest}`, `blobs/${blob}`, `referrers/${secret.digest}`])
    await assertAlike({ there: of("hidden/app", rest), never: of("hidden/never", rest), gone: of("hidden/gone", rest) }, 403);
  const mine = (name: string) => of(name, "manifests/latest");
  await assertAlike({ never: mine("open/never"), "never either": mine("open/nowhere") }, 404);
});
