import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { makeRole } from "#access/testing/identities.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext } from "#registry/context.ts";
import { RegistryError } from "#registry/errors.ts";
import { createByService } from "#registry/repository-creation.ts";
import { callKms, makeKey, policyOf } from "../../test/kms-client.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { RegistryServer } from "../../test/registry-server.ts";
import { callEcr } from "../../test/signed-call.ts";

let server: RegistryServer;
let ctx: RegistryContext;
const service = "ecr.amazonaws.com";
const ecrTrust = { Effect: "Allow", Principal: { Service: service }, Action: "sts:AssumeRole" };
const allow = (Action: string | readonly string[], more: object = {}): object => ({ Effect: "Allow", Action, Resource: "*", ...more });
const registry = { accountId: "123456789012", region: "eu-central-1" };
let counter = 0;

before(async () => {
  server = await startRegistryServer();
  ctx = { core: server.core, actor: server.principal, requestId: "test" };
});
after(async () => {
  await server.close();
  assert.deepEqual(server.errors, []);
});

async function role(name: string, inline: readonly object[], trust: object = ecrTrust): Promise<string> {
  await makeRole(server.core.metadata, { accountId: registry.accountId, name, ...(inline.length > 0 && { inline }), trust: [trust] });
  return `arn:aws:iam::${registry.accountId}:role/${name}`;
}

/** Makes a template and a repository by it; answers why it could not be made, or undefined. */
async function problemOf(settings: object): Promise<string | undefined> {
  counter += 1;
  const prefix = `case-${counter}`;
  const made = await callEcr(server, "CreateRepositoryCreationTemplate", { prefix, appliedFor: ["REPLICATION"], ...settings });
  assert.equal(made.status, 200, made.body.toString());
  try {
    await createByService(ctx, registry, `${prefix}/app` as RepositoryName, "REPLICATION");
    return undefined;
  } catch (error) {
    if (error instanceof RegistryError && error.refusal.kind === "creation-refused") return error.refusal.detail.reason;
    throw error;
  }
}

const resourceTags = [{ Key: "team", Value: "sea" }];

test("tags need a role that is there, trusts ECR and may tag", async () => {
  const rows: readonly (readonly [string, string | undefined, RegExp | undefined])[] = [
    ["no role", undefined, /has no customRoleArn/],
    ["absent", "arn:aws:iam::123456789012:role/absent", /does not exist/],
    ["other path", (await role("placed", [allow("*")])).replace("role/", "role/x/"), /does not exist/],
    ["no trust", await role("untrusting", [allow("*")], { ...ecrTrust, Principal: { Service: "ec2.amazonaws.com" } }), /does not trust/],
    [
      "other source",
      await role("picky", [allow("*")], { ...ecrTrust, Condition: { StringEquals: { "aws:SourceAccount": "210987654321" } } }),
      /does not trust/,
    ],
    ["may nothing", await role("idle", []), /not authorized to perform: ecr:CreateRepository/],
    ["may not tag", await role("creator", [allow("ecr:CreateRepository")]), /not authorized to perform: ecr:TagResource/],
    [
      "other tags",
      await role("tagger", [
        allow("ecr:CreateRepository"),
        allow("ecr:TagResource", { Condition: { StringEquals: { "aws:RequestTag/team": "land" } } }),
      ]),
      /not authorized to perform: ecr:TagResource/,
    ],
    [
      "enough",
      await role("enough", [allow(["ecr:CreateRepository", "ecr:TagResource"])], {
        ...ecrTrust,
        Condition: {
          StringEquals: { "aws:SourceAccount": registry.accountId },
          ArnLike: { "aws:SourceArn": "arn:aws:ecr:eu-central-1:123456789012:*" },
        },
      }),
      undefined,
    ],
  ];
  for (const [name, customRoleArn, expected] of rows) {
    const problem = await problemOf({ resourceTags, customRoleArn });
    if (expected === undefined) assert.equal(problem, undefined, name);
    else assert.match(problem ?? "", expected, name);
  }
});

test("a key needs a role that may grant it, also a key of somebody else", async () => {
  const key = await makeKey(server);
  const onKey = ["kms:DescribeKey", "kms:CreateGrant"];
  const rows: readonly (readonly [string, readonly string[], RegExp | undefined])[] = [
    ["keyless", ["ecr:CreateRepository"], /not authorized to perform: kms:DescribeKey/],
    ["looker", ["ecr:CreateRepository", "kms:DescribeKey"], /not authorized to perform: kms:CreateGrant/],
    ["granter", ["ecr:CreateRepository", ...onKey], undefined],
  ];
  const encryptionConfiguration = { encryptionType: "KMS", kmsKey: key.arn };
  for (const [name, actions, expected] of rows) {
    const problem = await problemOf({ encryptionConfiguration, customRoleArn: await role(name, [allow(actions)]) });
    if (expected === undefined) assert.equal(problem, undefined, name);
    else assert.match(problem ?? "", expected, name);
  }
  const everything = await role("everything", [allow("*")]);
  const own = await problemOf({ encryptionConfiguration: { encryptionType: "KMS" }, customRoleArn: everything });
  assert.equal(own, undefined);
  const statements = [
    { Effect: "Allow", Principal: { AWS: registry.accountId }, Action: "kms:*", Resource: "*" },
    { Effect: "Deny", Principal: { AWS: everything }, Action: "kms:CreateGrant", Resource: "*" },
  ];
  await callKms(server, "PutKeyPolicy", { KeyId: key.id, PolicyName: "default", Policy: policyOf(...statements) });
  assert.match((await problemOf({ encryptionConfiguration, customRoleArn: everything })) ?? "", /explicit deny/);
  const disabled = await makeKey(server);
  await callKms(server, "DisableKey", { KeyId: disabled.id });
  const off = { encryptionType: "KMS", kmsKey: disabled.arn };
  assert.match((await problemOf({ encryptionConfiguration: off, customRoleArn: everything })) ?? "", /DisabledException/);
  const absent = { encryptionType: "KMS", kmsKey: "arn:aws:kms:eu-central-1:210987654321:key/00000000-0000-4000-8000-000000000000" };
  assert.match((await problemOf({ encryptionConfiguration: absent, customRoleArn: everything })) ?? "", /not authorized/);
});
