/** Repositories under keys that another server keeps: one Supercargo is the KMS of the other, and both planes are asked over the network. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { NewRepository } from "#registry/repository.ts";
import { silentLog } from "#std/log.ts";
import { makeImage } from "../../test/fixtures/oci-content.ts";
import { addRoot, addUser, callKms, makeKey, policyOf, allow } from "../../test/kms-client.ts";
import type { CallerKey } from "../../test/kms-client.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { Answer, RegistryServer } from "../../test/registry-server.ts";
import { callEcr } from "../../test/signed-call.ts";
import { createAwsKeyService } from "./aws-key-service.ts";

/** Keeps the keys. */
let kms: RegistryServer;
let server: RegistryServer;

/** A registry whose keys are kept by `kms`, for whoever these credentials stand for there. */
const startOver = (credentials: CallerKey): Promise<RegistryServer> =>
  startRegistryServer({ otherKeys: (clock) => createAwsKeyService({ endpoint: kms.url, credentials, clock, log: silentLog }) });

before(async () => {
  kms = await startRegistryServer();
  server = await startOver(kms.credentials);
});
after(async () => {
  await Promise.all([kms.close(), server.close()]);
});

const encryption = (kmsKey: string, type: "KMS" | "KMS_DSSE" = "KMS"): NewRepository => ({ encryption: { type, kmsKey } });

/** The exception of an answer as ECR's clients see it; empty for a good one. */
function faultOf(answer: Answer): { readonly code: string; readonly message: string; readonly kmsError: string | undefined } {
  const { __type: code = "", message = "", kmsError } = answer.json<{ __type?: string; message?: string; kmsError?: string }>();
  return { code, message, kmsError };
}

async function create(
  on: RegistryServer,
  repositoryName: string,
  kmsKey?: string,
  credentials: CallerKey = on.credentials,
): Promise<ReturnType<typeof faultOf>> {
  const encryptionConfiguration = { encryptionType: "KMS", ...(kmsKey !== undefined && { kmsKey }) };
  return faultOf(await callEcr(on, "CreateRepository", { repositoryName, encryptionConfiguration }, { credentials }));
}

for (const type of ["KMS", "KMS_DSSE"] as const) {
  test(`${type}: push and pull while the key allows it, and neither while it does not`, async () => {
    const key = await makeKey(kms);
    const name = `team/${type.toLowerCase().replace("_", "-")}`;
    await server.createRepository(name, encryption(key.id, type));
    const image = makeImage({ seed: type });
    await server.push(name, image, "v1");
    const ticket = await callEcr(server, "GetDownloadUrlForLayer", { repositoryName: name, layerDigest: image.config.digest });
    const { pathname } = new URL(ticket.json<{ downloadUrl: string }>().downloadUrl);
    const uses = [
      ["GET", `manifests/v1`],
      ["HEAD", `manifests/v1`],
      ["GET", `blobs/${image.config.digest}`],
      ["HEAD", `blobs/${image.config.digest}`],
      ["POST", "blobs/uploads/"],
    ] as const;
    const targets = [
      ...uses.map(([method, what]) => [method, `/v2/${name}/${what}`] as const),
      ["GET", pathname],
      ["HEAD", pathname],
    ] as const;
    const answers = (): Promise<Answer[]> => Promise.all(targets.map(([method, target]) => server.request(method, target)));
    const statuses = async (): Promise<number[]> => (await answers()).map(({ status }) => status);
    const fine = [200, 200, 200, 200, 202, 200, 200];
    assert.deepEqual(await statuses(), fine);
    assert.deepEqual((await server.request("GET", `/v2/${name}/manifests/v1`)).body, image.bytes);
    assert.deepEqual((await server.request("GET", `/v2/${name}/blobs/${image.config.digest}`)).body, image.config.bytes);
    await callKms(kms, "DisableKey", { KeyId: key.id });
    server.advance(1_000);
    const [pull, ...others] = await answers();
    assert.deepEqual(
      [pull, ...others].map((answer) => answer?.status),
      targets.map(() => 403),
    );
    assert.equal(pull?.code, "DENIED");
    assert.equal(
      pull.message,
      `The KMS key of the repository with name '${name}' in the registry with id '123456789012' cannot be used: DisabledException: ${key.arn} is disabled.`,
    );
    const { code, kmsError } = await create(server, `${name}-more`, key.id);
    assert.deepEqual([code, kmsError], ["KmsException", "DisabledException"]);
    const batch = await callEcr(server, "BatchGetImage", { repositoryName: name, imageIds: [{ imageTag: "v1" }] });
    assert.equal(batch.json<{ failures: { failureCode: string }[] }>().failures[0]?.failureCode, "KmsError");
    await callKms(kms, "EnableKey", { KeyId: key.id });
    assert.deepEqual(await statuses(), fine);
    await callKms(kms, "ScheduleKeyDeletion", { KeyId: key.id, PendingWindowInDays: 7 });
    server.advance(1_000);
    assert.match((await server.request("GET", `/v2/${name}/manifests/v1`)).message, /KMSInvalidStateException: .* is pending deletion\.$/);
  });
}

test("the keeper of the key can take single repositories back, by the encryption context", async () => {
  const forRepositories = await addUser(kms, "registry", ["kms:DescribeKey", "kms:GenerateDataKey", "kms:Decrypt"]);
  const key = await makeKey(kms);
  const open = await startOver(forRepositories);
  try {
    for (const name of ["free/one", "taken/one"]) {
      await open.createRepository(name, encryption(key.arn));
      await open.push(name, makeImage({ seed: name }), "v1");
    }
    const Deny = { ...allow("*", "kms:Decrypt"), Effect: "Deny" };
    const Condition = { StringLike: { "kms:EncryptionContext:aws:ecr:arn": "arn:aws:ecr:*:*:repository/taken/*" } };
    const root = allow(`arn:aws:iam::${kms.accountId}:root`, "kms:*");
    await callKms(kms, "PutKeyPolicy", { KeyId: key.id, Policy: policyOf(root, { ...Deny, Condition }) });
    open.advance(1_000);
    assert.equal((await open.request("GET", "/v2/free/one/manifests/v1")).status, 200);
    const { status, message } = await open.request("GET", "/v2/taken/one/manifests/v1");
    assert.equal(status, 403);
    assert.match(message, /AccessDeniedException: User: \S+user\/registry is not authorized to perform: kms:Decrypt /);
  } finally {
    await open.close();
  }
});

test("credentials that the KMS does not take are told as KMS's refusal", async () => {
  const key = await makeKey(kms);
  const stranger = await addUser(kms, "stranger");
  const cases: readonly (readonly [CallerKey, string, RegExp])[] = [
    [stranger, "AccessDeniedException", /user\/stranger is not authorized to perform: kms:DescribeKey/],
    [{ accessKeyId: "AKIANOBODYHASTHISKEY", secretAccessKey: "garbage" }, "UnrecognizedClientException", /security token/],
    [{ ...kms.credentials, secretAccessKey: "garbage" }, "InvalidSignatureException", /signature/],
  ];
  for (const [credentials, expected, text] of cases) {
    const registry = await startOver(credentials);
    try {
      const { code, message, kmsError } = await create(registry, "team/none", key.arn);
      assert.deepEqual([code, kmsError], ["KmsException", expected], message);
      assert.match(message, text);
    } finally {
      await registry.close();
    }
  }
});

test("a KMS that is down stops pulls with its name and the cause, and nothing else", async () => {
  const gone = await startRegistryServer();
  const { url: endpoint, credentials } = gone;
  const otherKeys = (clock: { now(): number }) => createAwsKeyService({ endpoint, credentials, clock, log: silentLog });
  const registry = await startRegistryServer({ otherKeys });
  try {
    const key = await makeKey(gone);
    await registry.createRepository("team/kept", encryption(key.id));
    await registry.createRepository("team/plain");
    for (const name of ["team/kept", "team/plain"]) await registry.push(name, makeImage({ seed: 1 }), "v1");
    await gone.close();
    registry.advance(1_000);
    const pull = await registry.request("GET", "/v2/team/kept/manifests/v1");
    assert.deepEqual([pull.status, pull.code], [403, "DENIED"]);
    assert.match(pull.message, new RegExp(`: KeyUnavailableException: the KMS at ${endpoint} could not be asked: .*ECONNREFUSED`));
    const { code, kmsError } = await create(registry, "team/new", key.id);
    assert.deepEqual([code, kmsError], ["KmsException", "KeyUnavailableException"]);
    assert.equal((await registry.request("GET", "/v2/team/plain/manifests/v1")).status, 200);
    assert.equal((await registry.request("GET", "/v2/team/kept/tags/list")).status, 200);
    assert.deepEqual(registry.errors, []);
  } finally {
    await registry.close();
  }
});

test("a new repository needs a key that is there, enabled, and its owner's to give", async () => {
  const key = await makeKey(kms);
  const told = async (kmsKey: string, by?: CallerKey): Promise<string> => {
    const { code, message } = await create(server, "team/fresh", kmsKey, by);
    return `${code}: ${message}`;
  };
  assert.match(await told("alias/none"), /^KmsException: Alias arn:aws:kms:eu-central-1:123456789012:alias\/none is not found\.$/);
  // Without kms:ViaService of AWS's own ECR nobody uses that key, here as there.
  const unnamed = await create(server, "team/fresh");
  assert.deepEqual([unnamed.code, unnamed.kmsError], ["KmsException", "AccessDeniedException"]);
  assert.match(unnamed.message, /is an AWS managed key, which only services of AWS itself may use: name a key of your own\.\)$/);
  const clerk = await addUser(server, "clerk", ["ecr:CreateRepository"]);
  assert.match(
    await told(key.arn, clerk),
    /^AccessDeniedException: User: \S+user\/clerk is not authorized to perform: kms:DescribeKey on /,
  );
  const looker = await addUser(server, "looker", ["ecr:CreateRepository", "kms:DescribeKey"]);
  assert.match(await told(key.arn, looker), /is not authorized to perform: kms:CreateGrant on resource: \S+key\//);
  const tenant = await addRoot(server, "210987654321");
  assert.match(await told(key.arn, tenant), /^AccessDeniedException: User: arn:aws:iam::210987654321:root is not authorized /);
  const keeper = await addUser(server, "keeper", ["ecr:CreateRepository", "kms:DescribeKey", "kms:CreateGrant"]);
  assert.equal(await told(key.arn, keeper), ": ");
});

test("keys of an account that is not here are the deployment's own; those of one that is here are that account's", async () => {
  const theirs = await addRoot(kms, "555566667777");
  const registry = await startOver(theirs);
  try {
    const { arn } = await makeKey(kms, {}, { credentials: theirs });
    assert.equal((await create(registry, "team/one", arn)).code, "");
    const tenant = await addRoot(registry, "210987654321");
    assert.equal((await create(registry, "team/one", arn, tenant)).code, "AccessDeniedException");
    const owner = await addRoot(registry, "555566667777");
    assert.equal((await create(registry, "team/one", arn, owner)).code, "");
    assert.equal((await create(registry, "team/two", arn)).code, "AccessDeniedException");
  } finally {
    await registry.close();
  }
});
