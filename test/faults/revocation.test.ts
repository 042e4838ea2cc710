/**
 * What was taken away is gone: a key, a permission, a user, a role, a root key. On one node with the next request; on the other nodes of a
 * deployment within a second, though the registry token and the key that lose are in use there the whole time.
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { signRequest } from "#aws/sigv4-signer.ts";
import { mustRun } from "../clients/tool.ts";
import { createOciClient } from "../oci-client.ts";
import { postgresMissing, startPostgres } from "../postgres.ts";
import type { PostgresServer } from "../postgres.ts";
import { rootKey, startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";

/** What signs a request. */
interface SigningKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Nodes of one registry; the first one takes the writes. */
interface Deployment {
  readonly nodes: readonly ServerProcess[];
  /** `supercargo …` on this deployment. */
  readonly cli: (...words: string[]) => Promise<string>;
}

/** Who is about to lose something: the key that it calls with, and how the loss is made. */
interface Subject {
  readonly key: SigningKey;
  readonly revoke: () => Promise<unknown>;
}

/** One way to lose. */
interface Loss {
  readonly what: string;
  /** Makes somebody who may read this repository, and is called like it. */
  subject(node: ServerProcess, repository: string, cli: Deployment["cli"]): Promise<Subject>;
  readonly refusal: Refusal;
}

/** What the one who lost is told: the status of a pull, the code of a call. */
interface Refusal {
  readonly pull: number;
  readonly call: string;
}

/** One look at a node: what the token and the key were answered, and when the question was put. */
interface Look {
  readonly askedAt: number;
  readonly pull: number;
  readonly call: string;
}

const accountId = "000000000000";
const region = "us-east-1";
const readOnly = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly";
const targetPrefix = "AmazonEC2ContainerRegistry_V20150921.";
const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;
const pollMs = 20;
/** A node that has not noticed by then never will, for this test. */
const patienceMs = 15_000;
const nobodyAnyMore: Refusal = { pull: 401, call: "UnrecognizedClientException" };
const notAllowed: Refusal = { pull: 403, call: "AccessDeniedException" };

async function post(
  node: ServerProcess,
  key: SigningKey,
  service: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<{ ok: boolean; text: string }> {
  const signed = signRequest(
    { method: "POST", target: "/", rawHeaders: ["Host", new URL(node.url).host, ...Object.entries(headers).flat()] },
    { credentials: key, region, service, now: Date.now(), bodySha256: createHash("sha256").update(body).digest("hex") },
  );
  const pairs = signed.flatMap((name, at) => (at % 2 === 0 && name !== "Host" ? [[name, signed[at + 1] ?? ""] as [string, string]] : []));
  const answer = await fetch(node.url, { method: "POST", headers: pairs, body });
  return { ok: answer.ok, text: await answer.text() };
}

/** Calls IAM or STS; the text of the first element of a name is what the answer is asked for. */
async function query(
  node: ServerProcess,
  operation: string,
  parameters: Readonly<Record<string, string>>,
  key: SigningKey = rootKey,
): Promise<(element: string) => string> {
  const isSts = /^(?:Assume|GetSession)/.test(operation);
  const form = new URLSearchParams({ Action: operation, Version: isSts ? "2011-06-15" : "2010-05-08", ...parameters }).toString();
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  const { ok, text } = await post(node, key, isSts ? "sts" : "iam", headers, form);
  assert.ok(ok, `${operation}: ${text}`);
  return (element) => new RegExp(`<${element}>([^<]*)</${element}>`).exec(text)?.[1] ?? assert.fail(`${operation}: no ${element}`);
}

async function callEcr(
  node: ServerProcess,
  operation: string,
  input: object,
  key: SigningKey = rootKey,
): Promise<{ ok: boolean; text: string }> {
  const headers = { "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": `${targetPrefix}${operation}` };
  return post(node, key, "ecr", headers, JSON.stringify(input));
}

async function ecr<T>(node: ServerProcess, operation: string, input: object, key: SigningKey = rootKey): Promise<T> {
  const { ok, text } = await callEcr(node, operation, input, key);
  assert.ok(ok, `${operation}: ${text}`);
  return JSON.parse(text) as T;
}

async function tokenOf(node: ServerProcess, key: SigningKey): Promise<string> {
  const { authorizationData } = await ecr<{ authorizationData: { authorizationToken: string }[] }>(node, "GetAuthorizationToken", {}, key);
  return authorizationData[0]?.authorizationToken ?? assert.fail("no token");
}

function keyIn(answer: (element: string) => string): SigningKey {
  return { accessKeyId: answer("AccessKeyId"), secretAccessKey: answer("SecretAccessKey") };
}

function sessionIn(answer: (element: string) => string): SigningKey {
  return { ...keyIn(answer), sessionToken: answer("SessionToken") };
}

async function makeUser(node: ServerProcess, userName: string, policyArn?: string): Promise<SigningKey> {
  await query(node, "CreateUser", { UserName: userName });
  if (policyArn !== undefined) await query(node, "AttachUserPolicy", { UserName: userName, PolicyArn: policyArn });
  return keyIn(await query(node, "CreateAccessKey", { UserName: userName }));
}

function policyFor(principal: string): string {
  return document({ Effect: "Allow", Principal: { AWS: principal }, Action: ["ecr:BatchGetImage", "ecr:DescribeImages"] });
}

function document(statement: object): string {
  return JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
}

/** A session of a role that a user of the same account took. */
async function makeRoleSession(node: ServerProcess, roleName: string): Promise<SigningKey> {
  const trust = document({ Effect: "Allow", Principal: { AWS: accountId }, Action: "sts:AssumeRole" });
  await query(node, "CreateRole", { RoleName: roleName, AssumeRolePolicyDocument: trust });
  await query(node, "AttachRolePolicy", { RoleName: roleName, PolicyArn: readOnly });
  const taker = `${roleName}-taker`;
  const key = await makeUser(node, taker);
  const RoleArn = `arn:aws:iam::${accountId}:role/${roleName}`;
  const PolicyDocument = document({ Effect: "Allow", Action: "sts:AssumeRole", Resource: RoleArn });
  await query(node, "PutUserPolicy", { UserName: taker, PolicyName: "take", PolicyDocument });
  return untilTaken(async () => sessionIn(await query(node, "AssumeRole", { RoleArn, RoleSessionName: "run" }, key)));
}

/** A permission that was just given may need its moment on Postgres too. */
async function untilTaken<T>(take: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await take();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(pollMs);
    }
  }
}

const losses: readonly Loss[] = [
  {
    what: "an access key is made inactive",
    refusal: nobodyAnyMore,
    async subject(node, repository) {
      const key = await makeUser(node, repository, readOnly);
      const parameters = { UserName: repository, AccessKeyId: key.accessKeyId, Status: "Inactive" };
      return { key, revoke: () => query(node, "UpdateAccessKey", parameters) };
    },
  },
  {
    what: "an access key is deleted",
    refusal: nobodyAnyMore,
    async subject(node, repository) {
      const key = await makeUser(node, repository, readOnly);
      return { key, revoke: () => query(node, "DeleteAccessKey", { UserName: repository, AccessKeyId: key.accessKeyId }) };
    },
  },
  {
    what: "a policy is detached",
    refusal: notAllowed,
    async subject(node, repository) {
      const key = await makeUser(node, repository, readOnly);
      return { key, revoke: () => query(node, "DetachUserPolicy", { UserName: repository, PolicyArn: readOnly }) };
    },
  },
  {
    what: "a user is taken out of a group",
    refusal: notAllowed,
    async subject(node, repository) {
      const key = await makeUser(node, repository);
      const member = { GroupName: `${repository}-group`, UserName: repository };
      await query(node, "CreateGroup", { GroupName: member.GroupName });
      await query(node, "AttachGroupPolicy", { GroupName: member.GroupName, PolicyArn: readOnly });
      await query(node, "AddUserToGroup", member);
      return { key, revoke: () => query(node, "RemoveUserFromGroup", member) };
    },
  },
  {
    // A user must lose its keys and policies first, so what the deletion itself ends is a session whose permission is the repository's.
    what: "a user is deleted",
    refusal: nobodyAnyMore,
    async subject(node, repository) {
      const own = await makeUser(node, repository, readOnly);
      const key = sessionIn(await query(node, "GetSessionToken", {}, own));
      const policyText = policyFor(`arn:aws:iam::${accountId}:user/${repository}`);
      await ecr(node, "SetRepositoryPolicy", { repositoryName: repository, policyText });
      await query(node, "DeleteAccessKey", { UserName: repository, AccessKeyId: own.accessKeyId });
      return {
        key,
        async revoke() {
          await query(node, "DetachUserPolicy", { UserName: repository, PolicyArn: readOnly });
          await query(node, "DeleteUser", { UserName: repository });
        },
      };
    },
  },
  {
    what: "the role of a session is deleted",
    refusal: nobodyAnyMore,
    async subject(node, repository) {
      const key = await makeRoleSession(node, repository);
      const policyText = policyFor(`arn:aws:iam::${accountId}:role/${repository}`);
      await ecr(node, "SetRepositoryPolicy", { repositoryName: repository, policyText });
      return {
        key,
        async revoke() {
          await query(node, "DetachRolePolicy", { RoleName: repository, PolicyArn: readOnly });
          await query(node, "DeleteRole", { RoleName: repository });
        },
      };
    },
  },
  {
    // What AWS's console does (IAM User Guide, "Revoke IAM role temporary security credentials").
    what: "the sessions of a role are revoked",
    refusal: notAllowed,
    async subject(node, repository) {
      const key = await makeRoleSession(node, repository);
      const revoke = (): Promise<unknown> => {
        const older = { DateLessThan: { "aws:TokenIssueTime": new Date().toISOString() } };
        const PolicyDocument = document({ Effect: "Deny", Action: "*", Resource: "*", Condition: older });
        return query(node, "PutRolePolicy", { RoleName: repository, PolicyName: "AWSRevokeOlderSessions", PolicyDocument });
      };
      return { key, revoke };
    },
  },
  {
    what: "a repository's policy is deleted",
    refusal: notAllowed,
    async subject(node, repository) {
      const key = await makeUser(node, repository);
      const own = document({ Effect: "Allow", Action: "ecr:GetAuthorizationToken", Resource: "*" });
      await query(node, "PutUserPolicy", { UserName: repository, PolicyName: "login", PolicyDocument: own });
      const policyText = policyFor(`arn:aws:iam::${accountId}:user/${repository}`);
      await ecr(node, "SetRepositoryPolicy", { repositoryName: repository, policyText });
      return { key, revoke: () => ecr(node, "DeleteRepositoryPolicy", { repositoryName: repository }) };
    },
  },
  {
    // The last one: nobody can write anything after it.
    what: "the root key is reset",
    refusal: nobodyAnyMore,
    subject: async (_node, _repository, cli) => ({ key: rootKey, revoke: () => cli("root", "reset") }),
  },
];

/** Uses a token and a key on a node all the time, until told to stop. */
function watch(node: ServerProcess, repository: string, key: SigningKey, token: string): { looks: Look[]; stop(): Promise<void> } {
  const looks: Look[] = [];
  const over = new AbortController();
  const look = async (): Promise<Look> => {
    const askedAt = performance.now();
    const [pulled, called] = await Promise.all([
      fetch(`${node.url}/v2/${repository}/manifests/latest`, { headers: { authorization: `Basic ${token}` } }),
      callEcr(node, "DescribeImages", { repositoryName: repository }, key),
    ]);
    await pulled.arrayBuffer();
    const call = called.ok ? "ok" : ((JSON.parse(called.text) as { __type?: string }).__type ?? "");
    return { askedAt, pull: pulled.status, call };
  };
  const ended = (async () => {
    for (; !over.signal.aborted; await sleep(pollMs)) looks.push(await look());
  })();
  // A failure is told by `stop`.
  ended.catch(() => undefined);
  return {
    looks,
    async stop() {
      over.abort();
      await ended;
    },
  };
}

/** Longest that somebody who lost was still let in, in ms after the loss was acknowledged; 0 for with the next request. */
async function lose(deployment: Deployment, loss: Loss, repository: string): Promise<number> {
  const [writer] = deployment.nodes;
  assert.ok(writer !== undefined);
  await ecr(writer, "CreateRepository", { repositoryName: repository });
  await createOciClient(writer.url, passwordIn(await tokenOf(writer, rootKey))).pushImage(repository, "latest", [randomBytes(100)]);
  const { key, revoke } = await loss.subject(writer, repository, deployment.cli);
  const token = await untilTaken(() => tokenOf(writer, key));
  const allowed = (look: Look | undefined): boolean => look?.pull === 200 && look.call === "ok";
  const refused = (look: Look | undefined): boolean => look?.pull === loss.refusal.pull && look.call === loss.refusal.call;
  const watched = deployment.nodes.map((node) => watch(node, repository, key, token));
  const until = async (holds: (looks: readonly Look[]) => boolean): Promise<void> => {
    const deadline = performance.now() + patienceMs;
    while (!watched.every(({ looks }) => holds(looks)) && performance.now() < deadline) await sleep(pollMs / 4);
  };
  try {
    await until((looks) => looks.slice(-3).filter(allowed).length === 3);
    for (const { looks } of watched) {
      assert.ok(allowed(looks.at(-1)), `it is allowed first: ${JSON.stringify(looks.at(-1))}`);
      // What was given a moment ago may have been refused at first.
      looks.length = 0;
    }
    await revoke();
    const lostAt = performance.now();
    // Several refusals, so that a node that forgets again would be seen.
    await until((looks) => looks.filter(refused).length >= 5);
    const late = watched.flatMap(({ looks }) => {
      const firstRefusal = looks.findIndex(refused);
      assert.notEqual(firstRefusal, -1, `it is never refused: ${JSON.stringify(looks.at(-1))}`);
      const after = looks.slice(firstRefusal);
      assert.ok(after.every(refused), `what is refused stays so: ${JSON.stringify(after)}`);
      return looks.filter((look) => !refused(look)).map(({ askedAt }) => askedAt - lostAt);
    });
    return Math.max(0, ...late);
  } finally {
    await Promise.all(watched.map((each) => each.stop()));
  }
}

function passwordIn(token: string): string {
  return Buffer.from(token, "base64").toString().slice("AWS:".length);
}

async function judge(context: TestContext, deployment: Deployment, loss: Loss, index: number, limitMs: number): Promise<void> {
  const lateMs = await lose(deployment, loss, `case-${index}`);
  context.diagnostic(`last let in ${Math.round(lateMs)} ms after the loss`);
  assert.ok(limitMs === 0 ? lateMs === 0 : lateMs < limitMs, `let in ${lateMs} ms after the loss`);
}

const missing = postgresMissing();

describe("two nodes on PostgreSQL refuse within a second when", missing === undefined ? {} : { skip: missing }, () => {
  let folder: string;
  let postgres: PostgresServer;
  let deployment: Deployment;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "supercargo-revocation-"));
    postgres = await startPostgres();
    const keyFile = join(folder, "instance.key");
    await mustRun([process.execPath, main, "key", "make", keyFile]);
    const environment = { SUPERCARGO_DATABASE_URL: await postgres.url("revocation"), SUPERCARGO_KEY_FILE: keyFile };
    const data = join(folder, "data");
    const nodes = await Promise.all([1, 2].map(() => startServerProcess({ folder: data, environment })));
    deployment = { nodes, cli: (...words) => mustRun([process.execPath, main, ...words, "--data", data], { environment }) };
  });
  after(async () => {
    await Promise.all(deployment.nodes.map((node) => node.close()));
    await postgres.stop();
    rmSync(folder, { recursive: true });
  });
  losses.forEach((loss, index) => test(loss.what, (context) => judge(context, deployment, loss, index, 1_000)));
});

describe("a server on SQLite refuses the next request when", () => {
  let deployment: Deployment;
  before(async () => {
    const node = await startServerProcess();
    deployment = { nodes: [node], cli: (...words) => mustRun([process.execPath, main, ...words, "--data", node.folder]) };
  });
  after(() => deployment.nodes[0]?.close());
  losses.forEach((loss, index) => test(loss.what, (context) => judge(context, deployment, loss, index, 0)));
});
