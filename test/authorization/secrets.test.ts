/** No secret that goes through the server stands anywhere afterwards where it could be read: log, audit log, metrics, error texts, database. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { globSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { presign, signRequest } from "#aws/sigv4-signer.ts";
import { startUpstreamDouble } from "#pullthrough/testing/upstream-double.ts";
import type { UpstreamDouble } from "#pullthrough/testing/upstream-double.ts";
import { until } from "#std/testing/until.ts";
import { makeFolder, rootKey, startInProcess } from "../../src/server/testing/in-process.ts";
import type { Answer, InProcessServer } from "../../src/server/testing/in-process.ts";

interface SigningKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Where to look, as texts by name. */
type Places = Readonly<Record<string, string>>;

let running: InProcessServer;
/** Another server, which repeats in its errors what it was told: upstream, peer and receiver of events. */
let other: UpstreamDouble;
const settingsFolder = makeFolder();
/** What must not be found, by what it is. */
const secrets = new Map<string, string>([["the root key", rootKey.secretAccessKey]]);
/** The texts of all answers that were errors. */
const errors: string[] = [];

before(async () => {
  other = await startUpstreamDouble();
  running = await startInProcess({ SUPERCARGO_LOG_LEVEL: "debug", ...otherServers() });
  await useEverything();
  await failEverything();
  await askOthers();
  // The one after which the audit log is complete.
  await json("AmazonEC2ContainerRegistry_V20150921", "DescribeRegistry", {});
  await until(() => audited().includes('"DescribeRegistry"'), { everyMs: 50 });
});
after(async () => {
  await running.close();
  await other.close();
  rmSync(settingsFolder, { recursive: true });
});

/** A secret that nobody else has, under a name. */
function invent(what: string, form: (text: string) => string = (text) => text): string {
  const text = form(randomBytes(18).toString("base64url"));
  secrets.set(what, text);
  return text;
}

function keep(what: string, text: string | undefined): string {
  assert.ok(text !== undefined && text.length >= 8, what);
  secrets.set(what, text);
  return text;
}

function rawHeadersOf(headers: Readonly<Record<string, string>>): string[] {
  return ["Host", running.host, ...Object.entries(headers).flat()];
}

async function post(service: string, headers: Readonly<Record<string, string>>, body: string, key: SigningKey = rootKey): Promise<Answer> {
  const now = running.server.foundation.core.clock.now();
  const bodySha256 = createHash("sha256").update(body).digest("hex");
  const signed = signRequest(
    { method: "POST", target: "/", rawHeaders: rawHeadersOf(headers) },
    { credentials: key, region: running.settings.region, service, now, bodySha256 },
  );
  const pairs = signed.flatMap((name, at) => (at % 2 === 0 ? [[name, signed[at + 1] ?? ""] as const] : []));
  return noted(await running.ask("POST", "/", { headers: Object.fromEntries(pairs), body }));
}

function noted(answer: Answer): Answer {
  if (answer.status >= 400) errors.push(answer.text);
  return answer;
}

const services: Readonly<Record<string, string>> = {
  AmazonEC2ContainerRegistry_V20150921: "ecr",
  TrentService: "kms",
  secretsmanager: "secretsmanager",
};

function json(prefix: string, operation: string, input: object | string, key?: SigningKey): Promise<Answer> {
  const headers = { "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": `${prefix}.${operation}` };
  return post(services[prefix] ?? "", headers, typeof input === "string" ? input : JSON.stringify(input), key);
}

function form(operation: string, parameters: Readonly<Record<string, string>>, key?: SigningKey): Promise<Answer> {
  const isSts = /^(?:Assume|GetSession|GetFederation|GetCaller)/.test(operation);
  const text = new URLSearchParams({ Action: operation, Version: isSts ? "2011-06-15" : "2010-05-08", ...parameters }).toString();
  return post(isSts ? "sts" : "iam", { "Content-Type": "application/x-www-form-urlencoded" }, text, key);
}

async function expectOk(answer: Promise<Answer>): Promise<Answer> {
  const { status, text } = await answer;
  assert.equal(status, 200, text);
  return answer;
}

function element({ text }: Answer, name: string): string {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1] ?? assert.fail(`no ${name} in ${text}`);
}

function keyOf(answer: Answer, what: string): SigningKey {
  const secretAccessKey = keep(`the secret key of ${what}`, element(answer, "SecretAccessKey"));
  const sessionToken = answer.text.includes("<SessionToken>") ? keep(`the token of ${what}`, element(answer, "SessionToken")) : undefined;
  return { accessKeyId: element(answer, "AccessKeyId"), secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) };
}

function document(statement: object): string {
  return JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
}

/** Settings that name the other server in every way there is. */
function otherServers(): Record<string, string> {
  const peers = join(settingsFolder, "peers.yaml");
  const targets = join(settingsFolder, "targets.yaml");
  const peer = {
    region: "eu-west-3",
    url: `http://${other.host}`,
    accessKeyId: "AKIAPEERPEERPEERPEER",
    secretAccessKey: invent("a peer's key"),
  };
  const hook = { name: "hook", type: "webhook", url: `http://${other.host}/hook`, secret: invent("a webhook's secret"), from: "beginning" };
  // What JSON can say, YAML can.
  writeFileSync(peers, JSON.stringify([peer]), { mode: 0o600 });
  writeFileSync(targets, JSON.stringify({ targets: [hook] }), { mode: 0o600 });
  return { SUPERCARGO_PEERS: peers, SUPERCARGO_EVENT_TARGETS: targets, SUPERCARGO_TRUSTED_HOSTS: other.host };
}

/** Pulls from the other server with a password, replicates to it, and has it told of that; it refuses everything. */
async function askOthers(): Promise<void> {
  const ecr = "AmazonEC2ContainerRegistry_V20150921";
  other.misbehave(({ headers }, response) => {
    const told = JSON.stringify({ __type: "Refused", message: JSON.stringify(headers), errors: [{ message: headers.authorization }] });
    const isAsked = headers.authorization === undefined;
    response.writeHead(isAsked ? 401 : 400, { "www-authenticate": "Basic", "x-told": String(headers.authorization) }).end(told);
  });
  const SecretString = JSON.stringify({ username: "alice", accessToken: invent("an upstream's password") });
  const made = await expectOk(json("secretsmanager", "CreateSecret", { Name: "ecr-pullthroughcache/lab", SecretString }));
  const rule = { ecrRepositoryPrefix: "lab", upstreamRegistryUrl: `http://${other.host}`, credentialArn: made.json<{ ARN: string }>().ARN };
  await expectOk(json(ecr, "CreatePullThroughCacheRule", rule));
  await expectOk(json(ecr, "ValidatePullThroughCacheRule", { ecrRepositoryPrefix: "lab" }));
  await json(ecr, "BatchGetImage", { repositoryName: "lab/app", imageIds: [{ imageTag: "v1" }] });
  const rules = [{ destinations: [{ region: "eu-west-3", registryId: "000000000000" }] }];
  await expectOk(json(ecr, "PutReplicationConfiguration", { replicationConfiguration: { rules } }));
  const index = { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] };
  await expectOk(json(ecr, "PutImage", { repositoryName: "app", imageManifest: JSON.stringify(index), imageTag: "v1" }));
  await until(() => other.count("POST", /^POST \/$/) > 0 && other.count("POST", /hook$/) > 0, { otherwise: () => running.logText() });
  await expectOk(json(ecr, "DescribeImageReplicationStatus", { repositoryName: "app", imageId: { imageTag: "v1" } }));
  assert.ok(
    other.shown.some((header) => header?.startsWith("Basic ") === true),
    "the password was used",
  );
  await until(() => /hook/.test(running.logText()) && /replicat/.test(running.logText()), { otherwise: () => running.logText() });
}

/** Every operation that makes, takes or shows a secret, and every way to use one. */
async function useEverything(): Promise<void> {
  const UserName = "ann";
  await expectOk(form("CreateUser", { UserName }));
  const PolicyDocument = document({ Effect: "Allow", Action: "*", Resource: "*" });
  await expectOk(form("PutUserPolicy", { UserName, PolicyName: "all", PolicyDocument }));
  const user = keyOf(await expectOk(form("CreateAccessKey", { UserName })), "a user");
  const strong = (text: string): string => `${text}aA1!`;
  const first = invent("a first password", strong);
  await expectOk(form("CreateLoginProfile", { UserName, Password: first }));
  const second = invent("a second password", strong);
  await expectOk(form("UpdateLoginProfile", { UserName, Password: second }));
  await form("ChangePassword", { OldPassword: second, NewPassword: invent("a third password", strong) }, user);
  await form("ChangePassword", { OldPassword: invent("a wrong password", strong), NewPassword: "x" }, user);

  const session = keyOf(await expectOk(form("GetSessionToken", {}, user)), "a session");
  keyOf(await expectOk(form("GetFederationToken", { Name: "guest", Policy: PolicyDocument }, user)), "a federated user");
  const trust = document({ Effect: "Allow", Principal: { AWS: "000000000000" }, Action: "sts:AssumeRole" });
  await expectOk(form("CreateRole", { RoleName: "deploy", AssumeRolePolicyDocument: trust }));
  const taken = { RoleArn: "arn:aws:iam::000000000000:role/deploy", RoleSessionName: "run" };
  keyOf(await expectOk(form("AssumeRole", taken, user)), "a role session");
  await form("AssumeRoleWithWebIdentity", { ...taken, WebIdentityToken: `${invent("an identity token")}.e30.x` });

  const { authorizationData } = (await expectOk(json("AmazonEC2ContainerRegistry_V20150921", "GetAuthorizationToken", {}, session))).json<{
    authorizationData: { authorizationToken: string }[];
  }>();
  const token = keep("a registry token", authorizationData[0]?.authorizationToken);
  keep("a registry password", Buffer.from(token, "base64").toString().slice("AWS:".length));
  await json("AmazonEC2ContainerRegistry_V20150921", "CreateRepository", { repositoryName: "app" });
  for (const path of ["/v2/", "/v2/app/tags/list", "/v2/none/manifests/x", "/v2/_catalog"])
    noted(await running.ask("GET", path, { headers: { authorization: `Basic ${token}` } }));

  const made = await expectOk(json("TrentService", "CreateKey", {}));
  const { KeyId } = made.json<{ KeyMetadata: { KeyId: string } }>().KeyMetadata;
  const plain = Buffer.from(invent("a plaintext of Encrypt")).toString("base64");
  const sealed = await expectOk(json("TrentService", "Encrypt", { KeyId, Plaintext: plain }));
  await expectOk(json("TrentService", "Decrypt", { CiphertextBlob: sealed.json<{ CiphertextBlob: string }>().CiphertextBlob }));
  const data = await expectOk(json("TrentService", "GenerateDataKey", { KeyId, KeySpec: "AES_256" }));
  keep("a data key", data.json<{ Plaintext: string }>().Plaintext);

  const SecretString = invent("a stored secret");
  await expectOk(json("secretsmanager", "CreateSecret", { Name: "upstream", SecretString }));
  await expectOk(json("secretsmanager", "PutSecretValue", { SecretId: "upstream", SecretString: invent("its next value") }));
  await expectOk(json("secretsmanager", "GetSecretValue", { SecretId: "upstream" }));
  await expectOk(json("secretsmanager", "BatchGetSecretValue", { SecretIdList: ["upstream", "none"] }));
  const drawn = await expectOk(json("secretsmanager", "GetRandomPassword", { ExcludePunctuation: true }));
  keep("a drawn password", drawn.json<{ RandomPassword: string }>().RandomPassword);

  const now = running.server.foundation.core.clock.now();
  const request = { method: "GET", target: "/?Action=GetCallerIdentity&Version=2011-06-15", rawHeaders: rawHeadersOf({}) };
  const signing = { credentials: session, region: running.settings.region, service: "sts", now, expiresSeconds: 900 };
  const bodySha256 = createHash("sha256").digest("hex");
  const target = presign(request, { ...signing, bodySha256 });
  keep("a presigned request", /X-Amz-Signature=(\w+)/.exec(target)?.[1]);
  await expectOk(running.ask("GET", target));
}

/** The same in requests that are refused: what an error repeats is what was sent. */
async function failEverything(): Promise<void> {
  const { secretAccessKey } = rootKey;
  const user = { UserName: "ann" };
  await form("CreateLoginProfile", { ...user, Password: invent("a password too many", (text) => `${text}aA1!`) });
  await form("CreateLoginProfile", { ...user, Password: invent("a password that is too long", (text) => text.repeat(20)) });
  await form("UpdateLoginProfile", { ...user, Password: invent("a password of one kind", (text) => `é${text}`) });
  await form("UpdateLoginProfile", { UserName: "nobody", Password: invent("a password of nobody") });
  await form("UpdateLoginProfile", { ...user, Pasword: invent("a password under a wrong name") });
  const tooLong = invent("a secret that is too long", (text) => text.repeat(3_000));
  await json("secretsmanager", "CreateSecret", { Name: "long", SecretString: tooLong });
  await json("secretsmanager", "CreateSecret", { Name: "upstream", SecretString: invent("a secret too many") });
  await json("secretsmanager", "CreateSecret", { Name: "typed", SecretString: { inner: invent("a secret of the wrong type") } });
  await json("secretsmanager", "CreateSecret", `{"Name": "broken", "SecretString": "${invent("a secret in broken JSON")}`);
  await json("secretsmanager", "CreateSecret", `{"Name": "twice", "SecretString": "${invent("a secret twice")}", "Name": "twice"}`);
  await json("secretsmanager", "PutSecretValue", { SecretId: "none", SecretBinary: `!${invent("bytes that are none")}` });
  await json("TrentService", "Encrypt", { KeyId: "none", Plaintext: Buffer.from(invent("a plaintext for no key")).toString("base64") });
  await json("TrentService", "Encrypt", { KeyId: "none", Plaintext: `!${invent("a plaintext that is no base64")}` });
  await form("AssumeRoleWithWebIdentity", { RoleArn: "x", RoleSessionName: "run", WebIdentityToken: invent("a token of a wrong call") });
  const wrong = { accessKeyId: rootKey.accessKeyId, secretAccessKey: invent("a wrong secret key") };
  await form("GetUser", user, { ...wrong, sessionToken: invent("a wrong session token") });
  await json("AmazonEC2ContainerRegistry_V20150921", "DescribeRepositories", {}, wrong);
  for (const credentials of [
    `${rootKey.accessKeyId}:${secretAccessKey}`,
    `AWS:${secretAccessKey}`,
    `AWS:${invent("a wrong registry password")}`,
    `${invent("a name that is a password")}:x`,
  ]) {
    for (const path of ["/v2/", "/v2/app/tags/list"]) {
      const authorization = `Basic ${Buffer.from(credentials).toString("base64")}`;
      noted(await running.ask("GET", path, { headers: { authorization } }));
    }
  }
  for (const path of [`/download/${invent("a download ticket")}`, `/v2/app/tags/list?token=${invent("a token in a query")}`])
    noted(await running.ask("GET", path));
  noted(await running.ask("GET", "/", { headers: { authorization: `Bearer ${invent("a bearer token")}` } }));
}

function audited(): string {
  return globSync(join(running.folder, "data/audit/*"))
    .map((file) => readFileSync(file, "utf8"))
    .join("");
}

/** Everything below the data folder, except the instance key, which is what keeps the rest. */
function stored(): string {
  return globSync(join(running.folder, "data/**/*"))
    .filter((file) => statSync(file).isFile() && !file.endsWith(".key"))
    .map((file) => readFileSync(file, "latin1"))
    .join("");
}

/** A text as it may stand in a log, a URL, a header, or a file. */
function forms(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  // Base64 of something longer in which it stands, wherever it begins.
  const inside = [0, 1, 2].map((skip) =>
    Buffer.concat([Buffer.alloc(skip), bytes])
      .toString("base64")
      .slice(skip === 0 ? 0 : 4, -4),
  );
  return [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), bytes.toString("hex"), ...inside];
}

function findIn(places: Places): string[] {
  const found: string[] = [];
  for (const [what, secret] of secrets)
    for (const [place, text] of Object.entries(places))
      if (forms(secret).some((form) => form.length >= 8 && text.includes(form))) found.push(`${what} stands in ${place}`);
  return found;
}

test("in no log, no audit record, no metric, no error and no file", async () => {
  const metrics = (await running.ask("GET", "/metrics")).text;
  const places: Places = { "the log": running.logText(), "the audit log": audited(), metrics, errors: errors.join("\n"), files: stored() };
  for (const [place, text] of Object.entries(places)) assert.ok(text.length > 500, `there is something in ${place}`);
  assert.ok(errors.length > 20, `${errors.length} errors`);
  assert.deepEqual(findIn(places), []);
});

test("the search finds what is there", () => {
  for (const secret of [rootKey.secretAccessKey, secrets.get("a registry password") ?? ""]) {
    for (const text of [secret, encodeURIComponent(secret), Buffer.from(`AWS:${secret}:x`).toString("base64")])
      assert.ok(findIn({ text: `before ${text} after` }).length > 0, text);
  }
});

test("the names of users and repositories are no labels of metrics", async () => {
  const { text } = await running.ask("GET", "/metrics");
  assert.match(text, /supercargo_requests_total/);
  // But for the few destinations for which replication waits, which operators have to know.
  const others = text.replaceAll(/^supercargo_replication_lag_seconds\{destination="\d{12}\/[a-z0-9-]+"\}.*$/gm, "");
  assert.doesNotMatch(others, /\bapp\b|\bann\b|AKIA|000000000000/);
});
