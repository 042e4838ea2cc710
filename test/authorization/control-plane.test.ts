/** Every operation of every service for everybody who may ask: made from the operation tables, so a new row is judged by being there. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ServiceModel } from "#aws/model.ts";
import type { OperationRow, RefusedRow } from "../../src/api/call.ts";
import { ecrOperations } from "../../src/api/ecr/table.ts";
import { iamOperations } from "../../src/api/iam/table.ts";
import { kmsOperations } from "../../src/api/kms/table.ts";
import { replicaOperations, replicationModel } from "../../src/api/ecr/replication-service.ts";
import { ecrModel } from "../../src/api/ecr/service-model.ts";
import { iamModel } from "../../src/api/iam/service-model.ts";
import { kmsModel } from "../../src/api/kms/service-model.ts";
import { secretsModel } from "../../src/api/secretsmanager/service-model.ts";
import { stsModel } from "../../src/api/sts/service-model.ts";
import { secretsOperations } from "../../src/api/secretsmanager/table.ts";
import { stsOperations } from "../../src/api/sts/table.ts";
import { startRegistryServer } from "../registry-server.ts";
import type { Answer, RegistryServer } from "../registry-server.ts";
import { callJson, callQuery } from "../signed-call.ts";
import type { CallOptions } from "../signed-call.ts";
import { allowAll, callersOf, deny } from "./callers.ts";
import type { HeldCredentials, MatrixCaller } from "./callers.ts";
import { formOf, sampleInput } from "./sample-input.ts";
import type { Samples } from "./sample-input.ts";

type Row = OperationRow<never, unknown> | RefusedRow;

interface Service {
  readonly name: string;
  readonly model: ServiceModel;
  readonly operations: Readonly<Record<string, Row>>;
}

const services: readonly Service[] = [
  { name: "ecr", model: ecrModel, operations: ecrOperations },
  { name: "ecr", model: replicationModel, operations: replicaOperations },
  { name: "kms", model: kmsModel, operations: kmsOperations },
  { name: "secretsmanager", model: secretsModel, operations: secretsOperations },
  { name: "iam", model: iamModel, operations: iamOperations },
  { name: "sts", model: stsModel, operations: stsOperations },
];

/** What AWS lets nobody be forbidden. */
const open = new Set(["sts.GetCallerIdentity", "sts.GetSessionToken"]);
/** Answered without a signature; `src/api/sts/web-identity.test.ts` and `saml.test.ts` there judge who may. */
const unsigned = new Set(["sts.AssumeRoleWithWebIdentity", "sts.AssumeRoleWithSAML"]);

let server: RegistryServer;
let samples: Samples;
let nobody: MatrixCaller;
let somebody: MatrixCaller;
let bound: MatrixCaller;
let free: MatrixCaller;
let stale: MatrixCaller;
const deniers = new Map<string, MatrixCaller>();

const policy = JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: "ecr:*", Resource: "*" }] });

before(async () => {
  server = await startRegistryServer();
  await server.createRepository("team/shop");
  const callers = callersOf(server);
  stale = await callers.session("stale", [allowAll]);
  server.advance(2 * 3_600_000);
  nobody = await callers.user("nobody");
  somebody = await callers.user("somebody", allowAll);
  bound = await callers.session("bound", [{ ...allowAll, Action: "s3:*" }]);
  free = await callers.session("free", [allowAll]);
  const account = server.accountId;
  const key = await call(kms(), "CreateKey", {});
  const keyId = key.json<{ KeyMetadata: { KeyId: string } }>().KeyMetadata.KeyId;
  const sealed = await call(kms(), "Encrypt", { KeyId: keyId, Plaintext: Buffer.from("x").toString("base64") });
  const { CiphertextBlob: ciphertext } = sealed.json<{ CiphertextBlob: string }>();
  await call(kms(), "CreateAlias", { AliasName: "alias/sample", TargetKeyId: keyId });
  await callJson(server, "secretsmanager.CreateSecret", { Name: "sample", SecretString: "x" });
  await callers.user("target");
  const user = `arn:aws:iam::${account}:user/target`;
  const granted = await call(kms(), "CreateGrant", { KeyId: keyId, GranteePrincipal: user, Operations: ["Decrypt"] });
  const { GrantId: grantId } = granted.json<{ GrantId: string }>();
  const own = await callQuery(server, formOf("CreatePolicy", iamModel.apiVersion, { PolicyName: "sample", PolicyDocument: policy }), {
    service: "iam",
  });
  assert.equal(own.status, 200, own.body.toString());
  samples = samplesOf({ account, keyId, ciphertext, user, grantId });
});
after(async () => {
  await server.close();
});

function kms(): Service {
  const found = services.find(({ name }) => name === "kms");
  assert.ok(found !== undefined);
  return found;
}

type SampleFacts = Readonly<Record<"account" | "keyId" | "ciphertext" | "user" | "grantId", string>>;

function samplesOf({ account, keyId, ciphertext, user, grantId }: SampleFacts): Samples {
  const role = `arn:aws:iam::${account}:role/bound`;
  return {
    repositoryName: "team/shop",
    registryId: account,
    resourceArn: `arn:aws:ecr:eu-central-1:${account}:repository/team/shop`,
    "SetRepositoryPolicy.policyText": JSON.stringify({
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Principal: "*", Action: "ecr:BatchGetImage" }],
    }),
    "PutRegistryPolicy.policyText": JSON.stringify({
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Principal: { AWS: account }, Action: "ecr:ReplicateImage", Resource: "*" }],
    }),
    "PutImage.imageManifest": "{}",
    "CreateRepositoryCreationTemplate.prefix": "team",
    "UpdateRepositoryCreationTemplate.prefix": "team",
    "DeleteRepositoryCreationTemplate.prefix": "team",
    // Refused once the caller has been let through, so that nobody asks the network.
    "CreatePullThroughCacheRule.upstreamRegistryUrl": "https://quay.io",
    "UpdatePullThroughCacheRule.credentialArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:ecr-pullthroughcache/aa",
    "GetAccountSetting.name": "BLOB_MOUNTING",
    "PutAccountSetting.name": "BLOB_MOUNTING",
    "PutAccountSetting.value": "ENABLED",
    "RegisterPullTimeUpdateExclusion.principalArn": user,
    "DeregisterPullTimeUpdateExclusion.principalArn": user,
    "ListImageReferrers.subjectId": { imageDigest: `sha256:${"a".repeat(64)}` },
    signingProfileArn: `arn:aws:signer:${server.region}:${account}:/signing-profiles/sample`,
    "CreateRepository.repositoryName": "team/new",
    "PutReplicationConfiguration.replicationConfiguration": { rules: [] },
    sourceRegistryId: account,
    "StartReplica.layerDigests": [],
    ImageIdentifier: { imageTag: "latest" },
    layerDigests: [`sha256:${"a".repeat(64)}`],
    layerDigest: `sha256:${"a".repeat(64)}`,
    uploadId: "6b2c3c1e-7a55-4ac1-8f0f-0d5c6c2f8f11",
    partFirstByte: 0,
    partLastByte: 5,
    KeyId: keyId,
    TargetKeyId: keyId,
    DestinationKeyId: keyId,
    CiphertextBlob: ciphertext,
    "Decrypt.CiphertextBlob": ciphertext,
    "ReEncrypt.CiphertextBlob": ciphertext,
    AliasName: "alias/sample",
    "CreateAlias.AliasName": "alias/other",
    "GenerateDataKey.KeySpec": "AES_256",
    "GenerateDataKeyWithoutPlaintext.KeySpec": "AES_256",
    "GenerateRandom.NumberOfBytes": 16,
    GranteePrincipal: user,
    "CreateGrant.Operations": ["Decrypt"],
    "RetireGrant.KeyId": keyId,
    "RetireGrant.GrantId": grantId,
    GrantId: grantId,
    RetiringPrincipal: user,
    "PutKeyPolicy.Policy": JSON.stringify({
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Principal: { AWS: account }, Action: "kms:*", Resource: "*" }],
    }),
    SecretId: "sample",
    "PutSecretValue.SecretString": "y",
    "UpdateSecretVersionStage.MoveToVersionId": "0123456789abcdef0123456789abcdef",
    "BatchGetSecretValue.SecretIdList": ["sample"],
    "CreateSecret.Name": "other",
    "CreateSecret.SecretString": "x",
    ResourcePolicy: JSON.stringify({
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Principal: { AWS: account }, Action: "secretsmanager:GetSecretValue", Resource: "*" }],
    }),
    UserName: "target",
    "CreateUser.UserName": "newcomer",
    PolicyDocument: policy,
    AssumeRolePolicyDocument: JSON.stringify({
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Principal: { AWS: account }, Action: "sts:AssumeRole" }],
    }),
    "UpdateAssumeRolePolicy.PolicyDocument": JSON.stringify({
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Principal: { AWS: account }, Action: "sts:AssumeRole" }],
    }),
    PolicyArn: `arn:aws:iam::${account}:policy/sample`,
    PermissionsBoundary: "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly",
    PolicySourceArn: user,
    "SimulateCustomPolicy.PolicyInputList": [policy],
    "GetContextKeysForCustomPolicy.PolicyInputList": [policy],
    ActionNames: ["ecr:PutImage"],
    AccessKeyId: "AKIAIOSFODNN7EXAMPLE",
    VersionId: "v1",
    AWSServiceName: "replication.ecr.amazonaws.com",
    Url: "https://issuer.example.com",
    OpenIDConnectProviderArn: `arn:aws:iam::${account}:oidc-provider/issuer.example.com`,
    SAMLProviderArn: `arn:aws:iam::${account}:saml-provider/sample`,
    ThumbprintList: ["6938fd4d98bab03faadb97b34396831e3780aea1"],
    Status: "Active",
    AccountAlias: "sample-alias",
    "CreateLoginProfile.Password": "Correct-Horse-7-Battery",
    "UpdateLoginProfile.Password": "Correct-Horse-8-Battery",
    NewPassword: "Correct-Horse-7-Battery",
    OldPassword: "Correct-Horse-6-Battery",
    RoleArn: role,
    RoleSessionName: "run",
    Name: "guest",
    EncodedMessage: "sample",
    DeletionTaskId: "task/aws-service-role/x",
  };
}

/** A call by these credentials; root's when none are given. */
function call({ name, model }: Service, operation: string, input: object, options: CallOptions = {}): Promise<Answer> {
  if (model.protocol === "query") return callQuery(server, formOf(operation, model.apiVersion, input), { service: name, ...options });
  return callJson(server, `${model.targetPrefix}.${operation}`, input, { service: name, ...options });
}

/** An input of one service: tags have other members in KMS. */
function inputFor({ name, model }: Service, operation: string): Record<string, unknown> {
  const tag = name === "kms" ? { TagKey: "team", TagValue: "sea" } : { Key: "team", Value: "sea" };
  return sampleInput(model, operation, { ...samples, Tag: tag });
}

function as({ accessKeyId, secretAccessKey, sessionToken }: HeldCredentials): CallOptions {
  const credentials = { accessKeyId, secretAccessKey };
  return sessionToken === undefined ? { credentials } : { credentials, headers: { "X-Amz-Security-Token": sessionToken } };
}

/** The exception and the message of an answer, of either protocol. */
function faultOf(answer: Answer): { readonly code: string; readonly message: string } {
  const text = answer.body.toString("utf8");
  if (answer.status === 200) return { code: "", message: "" };
  if (text.startsWith("<")) {
    const part = (name: string): string => new RegExp(`<${name}>([\\s\\S]*?)</${name}>`).exec(text)?.[1] ?? "";
    return { code: part("Code"), message: part("Message").replaceAll("&apos;", "'").replaceAll("&quot;", '"') };
  }
  const body = JSON.parse(text) as { __type: string; message?: string };
  return { code: body.__type, message: body.message ?? "" };
}

const deniedCodes: readonly string[] = ["AccessDenied", "AccessDeniedException"];

async function denierOf(action: string): Promise<MatrixCaller> {
  const known = deniers.get(action);
  if (known !== undefined) return known;
  const made = await callersOf(server).user(`not-${action.replace(":", "-")}`, allowAll, deny(action));
  deniers.set(action, made);
  return made;
}

for (const service of services) {
  const offered = Object.entries(service.operations).filter(
    ([name, row]) => !("refused" in row) && !unsigned.has(`${service.name}.${name}`),
  );
  const isQuery = service.model.protocol === "query";

  test(`${service.name}: nobody who cannot prove who they are is answered`, async () => {
    for (const [operation] of Object.entries(service.operations)) {
      if (unsigned.has(`${service.name}.${operation}`)) continue;
      const input = inputFor(service, operation);
      const ask = async (options: CallOptions): Promise<string> => faultOf(await call(service, operation, input, options)).code;
      const without = (headers: Record<string, string>): void => void delete headers["Authorization"];
      const codes = {
        anonymous: await ask({ tamper: without }),
        garbage: await ask({ credentials: { accessKeyId: "AKIANOBODYHASTHISKEY", secretAccessKey: "garbage" } }),
        "wrong secret": await ask({ credentials: { ...nobody.credentials, secretAccessKey: "garbage" } }),
        "expired session": await ask(as(stale.credentials)),
        "without its session token": await ask({ ...as(free.credentials), headers: {} }),
        "other region": await ask({ ...as(somebody.credentials), region: "ap-south-1" }),
        "old signature": await ask({ ...as(somebody.credentials), skewMs: -16 * 60_000 }),
        "other service": await ask({ ...as(somebody.credentials), service: "s3" }),
      };
      const wrongSignature = isQuery ? "SignatureDoesNotMatch" : "InvalidSignatureException";
      const unknownKey = isQuery ? "InvalidClientTokenId" : "UnrecognizedClientException";
      assert.deepEqual(
        codes,
        {
          anonymous: isQuery ? "MissingAuthenticationToken" : "MissingAuthenticationTokenException",
          garbage: unknownKey,
          "wrong secret": wrongSignature,
          "expired session": isQuery ? "ExpiredToken" : "ExpiredTokenException",
          "without its session token": unknownKey,
          "other region": wrongSignature,
          "old signature": wrongSignature,
          "other service": wrongSignature,
        },
        operation,
      );
    }
  });

  test(`${service.name}: nobody does what no policy allows, or one forbids`, async () => {
    for (const [operation, row] of offered) {
      const name = `${service.name}.${operation}`;
      if (open.has(name)) continue;
      const input = inputFor(service, operation);
      const ask = async (caller: MatrixCaller): Promise<{ code: string; message: string }> =>
        faultOf(await call(service, operation, input, as(caller.credentials)));
      const answers = [
        ["without permission", await ask(nobody), /^User: \S+ is not authorized to perform: \S+/],
        ["explicit deny", await ask(await denierOf(row.action)), / with an explicit deny in an identity-based policy$/],
        ["session, not allowed", await ask(bound), / because no session policy allows |^Cannot call \w+ with session credentials$/],
      ] as const;
      for (const [who, { code, message }, text] of answers) {
        assert.ok(deniedCodes.includes(code), `${name}, ${who}: ${code} ${message}`);
        assert.match(message, text, `${name}, ${who}`);
      }
    }
  });
}

for (const service of services) {
  test(`${service.name}: who may, may`, async () => {
    for (const [operation, row] of Object.entries(service.operations)) {
      if ("refused" in row || unsigned.has(`${service.name}.${operation}`)) continue;
      const input = inputFor(service, operation);
      for (const caller of [somebody, free]) {
        const { code, message } = faultOf(await call(service, operation, input, as(caller.credentials)));
        // Temporary credentials cannot make further ones of two kinds, and a wrong old password is refused with this code.
        if (/^Cannot call \w+ with session credentials$/.test(message) || operation === "ChangePassword") continue;
        assert.ok(!deniedCodes.includes(code), `${operation}: ${code} ${message}`);
        // An input that the model refuses would show nothing about permission.
        assert.doesNotMatch(message, /validation errors? detected|failed to satisfy constraint: 'Member must/, operation);
      }
    }
  });
}
