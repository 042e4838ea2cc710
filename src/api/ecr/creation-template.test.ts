import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { deleteRole } from "#metadata/roles.ts";
import { callIam } from "../../../test/iam-client.ts";
import { addUser } from "../../../test/kms-client.ts";
import type { CallerKey } from "../../../test/kms-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { callEcr } from "../../../test/signed-call.ts";

let server: RegistryServer;

before(async () => {
  server = await startRegistryServer({ limits: { creationTemplatesPerRegistry: 12 } });
});
after(async () => {
  await server.close();
  assert.deepEqual(server.errors, []);
});

type Template = Readonly<Record<string, unknown>> & { readonly prefix: string; readonly createdAt: number; readonly updatedAt: number };

interface Answered {
  readonly __type?: string;
  readonly message?: string;
  readonly registryId?: string;
  readonly repositoryCreationTemplate?: Template;
  readonly repositoryCreationTemplates?: readonly Template[];
  readonly nextToken?: string;
}

async function ecr(operation: string, input: object, options: { region?: string; credentials?: CallerKey } = {}): Promise<Answered> {
  return (
    await callEcr(
      server,
      operation === "Describe" ? "DescribeRepositoryCreationTemplates" : `${operation}RepositoryCreationTemplate`,
      input,
      options,
    )
  ).json<Answered>();
}

/** The template without its times. */
function told(answer: Answered): object {
  const { createdAt, updatedAt, ...rest } = answer.repositoryCreationTemplate ?? { createdAt: 0, updatedAt: 0 };
  assert.ok(createdAt > 1_000_000_000 && updatedAt >= createdAt, JSON.stringify(answer));
  assert.equal(answer.registryId, server.accountId);
  return rest;
}

const rolearn = "arn:aws:iam::123456789012:role/maker";
const policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}';
const lifecycle = JSON.stringify(
  {
    rules: [
      {
        rulePriority: 1,
        selection: { tagStatus: "untagged", countType: "sinceImagePushed", countUnit: "days", countNumber: 14 },
        action: { type: "expire" },
      },
    ],
  },
  undefined,
  1,
);

test("a template is kept, changed in parts, and deleted", async () => {
  const least = told(await ecr("Create", { prefix: "least", appliedFor: ["CREATE_ON_PUSH", "CREATE_ON_PUSH"] }));
  assert.deepEqual(least, {
    prefix: "least",
    encryptionConfiguration: { encryptionType: "AES256" },
    imageTagMutability: "MUTABLE",
    appliedFor: ["CREATE_ON_PUSH"],
  });
  const all = {
    prefix: "all/of-it/",
    description: "everything",
    encryptionConfiguration: { encryptionType: "KMS", kmsKey: "arn:aws:kms:eu-central-1:123456789012:key/0" },
    resourceTags: [
      { Key: "b", Value: "1" },
      { Key: "a", Value: "" },
    ],
    imageTagMutability: "IMMUTABLE_WITH_EXCLUSION",
    imageTagMutabilityExclusionFilters: [{ filterType: "WILDCARD", filter: "dev*" }],
    appliedFor: ["REPLICATION", "PULL_THROUGH_CACHE"],
    customRoleArn: rolearn,
  };
  const shown = { ...all, repositoryPolicy: shownPolicy, lifecyclePolicy: lifecycle };
  assert.deepEqual(told(await ecr("Create", { ...all, repositoryPolicy: policy, lifecyclePolicy: lifecycle })), shown);
  const described = await ecr("Describe", { prefixes: ["all/of-it", "none"] });
  const [only, ...others] = described.repositoryCreationTemplates ?? [];
  assert.deepEqual(others, []);
  assert.ok(only !== undefined && described.registryId !== undefined);
  assert.deepEqual(told({ registryId: described.registryId, repositoryCreationTemplate: only }), shown);
  server.advance(5_000);
  assert.deepEqual(told(await ecr("Update", { prefix: "all/of-it", description: "less" })), { ...shown, description: "less" });
  const bare = await ecr("Update", {
    prefix: "all/of-it/",
    description: "",
    encryptionConfiguration: { encryptionType: "KMS", kmsKey: "" },
    resourceTags: [],
    imageTagMutability: "IMMUTABLE",
    repositoryPolicy: "",
    lifecyclePolicy: "",
    appliedFor: ["CREATE_ON_PUSH"],
    customRoleArn: "",
  });
  assert.deepEqual(told(bare), {
    prefix: "all/of-it/",
    encryptionConfiguration: { encryptionType: "KMS" },
    imageTagMutability: "IMMUTABLE",
    appliedFor: ["CREATE_ON_PUSH"],
  });
  const { createdAt = 0, updatedAt = 0 } = bare.repositoryCreationTemplate ?? {};
  assert.ok(updatedAt - createdAt >= 5);
  assert.deepEqual((await ecr("Delete", { prefix: "all/of-it" })).repositoryCreationTemplate, bare.repositoryCreationTemplate);
  for (const operation of ["Delete", "Update"]) {
    assert.deepEqual(await ecr(operation, { prefix: "all/of-it" }), {
      __type: "TemplateNotFoundException",
      message: "The repository creation template with prefix 'all/of-it' does not exist in the registry with id '123456789012'",
    });
  }
  assert.deepEqual((await ecr("Describe", { prefixes: ["least"] }, { region: "us-east-1" })).repositoryCreationTemplates, []);
});

const shownPolicy = `{
  "Version" : "2012-10-17",
  "Statement" : [ {
    "Effect" : "Allow",
    "Principal" : "*",
    "Action" : "ecr:BatchGetImage"
  } ]
}`;

test("what is refused", async () => {
  const parameter = (name: string, constraint: string): string =>
    `Invalid parameter at '${name}' failed to satisfy constraint: '${constraint}'`;
  await ecr("Create", { prefix: "taken", appliedFor: ["REPLICATION"] });
  const invalid = "InvalidParameterException";
  const cases: readonly (readonly [object, string, string | RegExp])[] = [
    [{ prefix: "taken/" }, "TemplateAlreadyExistsException", /prefix 'taken\/' already exists in the registry with id '123456789012'/],
    [{ appliedFor: [] }, invalid, parameter("appliedFor", "Member must have length greater than or equal to 1")],
    [{ prefix: "No" }, invalid, /prefix/],
    [{ prefix: "a//b" }, invalid, /prefix/],
    [{ appliedFor: ["SOMETIMES"] }, invalid, /enum value set/],
    [{ imageTagMutability: "MUTABLE_WITH_EXCLUSION" }, invalid, /can't be null/],
    [{ imageTagMutabilityExclusionFilters: [{ filterType: "WILDCARD", filter: "x" }] }, invalid, /must be null/],
    [{ encryptionConfiguration: { encryptionType: "AES256", kmsKey: "arn:aws:kms:eu-central-1:1:key/0" } }, invalid, /kmsKey/],
    [{ encryptionConfiguration: { encryptionType: "KMS", kmsKey: "alias/mine" } }, invalid, /kmsKey/],
    [{ repositoryPolicy: "{" }, invalid, parameter("PolicyText", "Invalid repository policy provided")],
    [{ lifecyclePolicy: "{}" }, invalid, /lifecyclePolicy/i],
    [{ lifecyclePolicy: `${" ".repeat(100)}{}` }, invalid, /LifecyclePolicyText/],
    [{ customRoleArn: "maker" }, invalid, /customRoleArn/],
    [{ customRoleArn: rolearn.replace("123456789012", "210987654321") }, invalid, /customRoleArn/],
    [{ resourceTags: [{ Key: "aws:x", Value: "" }] }, "InvalidTagParameterException", /reserved prefix/],
    [
      {
        resourceTags: [
          { Key: "x", Value: "1" },
          { Key: "x", Value: "2" },
        ],
      },
      "InvalidTagParameterException",
      /only once/,
    ],
    [
      { resourceTags: Array.from({ length: 51 }, (_, index) => ({ Key: `k${index}`, Value: "" })) },
      "TooManyTagsException",
      /must not exceed 50/,
    ],
  ];
  for (const [change, code, message] of cases) {
    const answer = await ecr("Create", { prefix: "refused", appliedFor: ["REPLICATION"], ...change });
    assert.equal(answer.__type, code, JSON.stringify([change, answer]));
    if (typeof message === "string") assert.equal(answer.message, message);
    else assert.match(answer.message ?? "", message);
  }
  // What belongs together is judged with what is kept.
  await ecr("Update", {
    prefix: "taken",
    imageTagMutability: "MUTABLE_WITH_EXCLUSION",
    imageTagMutabilityExclusionFilters: [{ filterType: "WILDCARD", filter: "x" }],
  });
  assert.equal((await ecr("Update", { prefix: "taken", imageTagMutability: "IMMUTABLE_WITH_EXCLUSION" })).__type, undefined);
  assert.equal((await ecr("Update", { prefix: "taken", imageTagMutabilityExclusionFilters: [] })).__type, invalid);
  assert.equal((await ecr("Update", { prefix: "taken", appliedFor: [] })).__type, invalid);
});

test("templates are listed in pages, and there is a limit to their number", async () => {
  let refused: Answered = {};
  for (let index = 0; refused.__type === undefined; index += 1) {
    assert.ok(index < 20);
    refused = await ecr("Create", { prefix: `many/${index}`, appliedFor: ["REPLICATION"] });
  }
  assert.deepEqual(refused, {
    __type: "LimitExceededException",
    message: "The registry with id '123456789012' already has the maximum allowed number of repository creation templates which is '12'",
  });
  const whole = (await ecr("Describe", {})).repositoryCreationTemplates ?? [];
  assert.equal(whole.length, 12);
  for (const prefixes of [undefined, whole.map(({ prefix }) => prefix)]) {
    const found: string[] = [];
    let nextToken: string | undefined;
    do {
      const page: Answered = await ecr("Describe", { maxResults: 5, nextToken, prefixes });
      assert.equal(page.registryId, server.accountId);
      found.push(...(page.repositoryCreationTemplates ?? []).map(({ prefix }) => prefix));
      nextToken = page.nextToken;
    } while (nextToken !== undefined);
    assert.deepEqual(
      found,
      whole.map(({ prefix }) => prefix),
    );
  }
  const { nextToken } = await ecr("Describe", { maxResults: 5 });
  assert.equal((await ecr("Describe", { nextToken, prefixes: ["many/1"] })).__type, "InvalidParameterException");
});

test("who keeps templates needs what the templates do", async () => {
  const first = await addUser(server, "first", ["ecr:*"]);
  const answered = await ecr("Create", { prefix: "taken", appliedFor: ["REPLICATION"] }, { credentials: first });
  // The role is there since the first template, so nothing but the prefix is in the way.
  assert.equal(answered.__type, "TemplateAlreadyExistsException");
  const linked = await callIam(server, "GetRole", { RoleName: "AWSServiceRoleForECRTemplate" });
  assert.equal(linked.first("Arn"), "arn:aws:iam::123456789012:role/aws-service-role/ecr.amazonaws.com/AWSServiceRoleForECRTemplate");
  await deleteRole(server.core.metadata, { accountId: server.accountId, name: "AWSServiceRoleForECRTemplate", isLinked: true });
  const denied = await ecr("Create", { prefix: "taken", appliedFor: ["REPLICATION"] }, { credentials: first });
  assert.match(denied.message ?? "", /to perform: iam:CreateServiceLinkedRole/);
  const action = "ecr:UpdateRepositoryCreationTemplate";
  const rows: readonly (readonly [string, readonly string[], object, string | undefined])[] = [
    ["plain", [action], {}, "ecr:CreateRepository"],
    ["maker", [action, "ecr:CreateRepository"], {}, undefined],
    ["lifecycle", [action, "ecr:CreateRepository"], { lifecyclePolicy: lifecycle }, "ecr:PutLifecyclePolicy"],
    ["policy", [action, "ecr:CreateRepository"], { repositoryPolicy: policy }, "ecr:SetRepositoryPolicy"],
    ["role", [action, "ecr:CreateRepository"], { customRoleArn: rolearn }, "iam:PassRole"],
    ["all", ["ecr:*", "iam:PassRole"], { customRoleArn: rolearn, repositoryPolicy: policy, lifecyclePolicy: lifecycle }, undefined],
  ];
  for (const [name, actions, change, missing] of rows) {
    const credentials = await addUser(server, name, actions);
    const answer = await ecr("Update", { prefix: "taken", ...change }, { credentials });
    assert.equal(/to perform: ([\w:]+)/.exec(answer.message ?? "")?.[1], missing, JSON.stringify([name, answer]));
  }
});
