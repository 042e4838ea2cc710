import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  CreateRepositoryCommand,
  DeleteRepositoryCommand,
  DescribeRegistryCommand,
  DescribeRepositoriesCommand,
  ECRClient,
  GetAuthorizationTokenCommand,
  ListTagsForResourceCommand,
  PutImageTagMutabilityCommand,
  TagResourceCommand,
  UntagResourceCommand,
  paginateDescribeRepositories,
} from "@aws-sdk/client-ecr";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

let server: RegistryServer;
let client: ECRClient;

before(async () => {
  server = await startRegistryServer({ limits: { repositoriesPerRegistry: 12 } });
  client = ecrClient();
});

after(async () => {
  client.destroy();
  assert.deepEqual(server.errors, []);
  await server.close();
});

function ecrClient(): ECRClient {
  return new ECRClient({ endpoint: server.url, region: server.region, credentials: server.credentials, maxAttempts: 1 });
}

/** Expects that the SDK throws this exception; with the text when it is given. */
async function refused(call: Promise<unknown>, name: string, message?: string): Promise<void> {
  await assert.rejects(call, (error: Error) => {
    assert.equal(error.name, name, error.message);
    if (message !== undefined) assert.equal(error.message, message);
    return true;
  });
}

const create = (repositoryName: string, more: object = {}) => client.send(new CreateRepositoryCommand({ repositoryName, ...more }));
const arnOf = (name: string) => `arn:aws:ecr:eu-central-1:123456789012:repository/${name}`;

test("a repository is created with ECR's defaults, described, and deleted", async () => {
  const { repository } = await create("life/plain");
  assert.ok(repository?.createdAt instanceof Date && Math.abs(repository.createdAt.getTime() - server.core.clock.now()) < 5_000);
  const expected = {
    repositoryArn: arnOf("life/plain"),
    registryId: "123456789012",
    repositoryName: "life/plain",
    repositoryUri: `${server.host}/life/plain`,
    createdAt: repository.createdAt,
    imageTagMutability: "MUTABLE",
    imageScanningConfiguration: { scanOnPush: false },
    encryptionConfiguration: { encryptionType: "AES256" },
  };
  assert.deepEqual(repository, expected);
  const described = await client.send(new DescribeRepositoriesCommand({ repositoryNames: ["life/plain"] }));
  assert.deepEqual(described.repositories, [expected]);
  assert.equal(described.nextToken, undefined);
  await refused(
    create("life/plain"),
    "RepositoryAlreadyExistsException",
    "The repository with name 'life/plain' already exists in the registry with id '123456789012'",
  );
  const deleted = await client.send(new DeleteRepositoryCommand({ repositoryName: "life/plain" }));
  assert.deepEqual(deleted.repository, expected);
  const missing = "The repository with name 'life/plain' does not exist in the registry with id '123456789012'";
  await refused(client.send(new DeleteRepositoryCommand({ repositoryName: "life/plain" })), "RepositoryNotFoundException", missing);
  await refused(client.send(new DescribeRepositoriesCommand({ repositoryNames: ["life/plain"] })), "RepositoryNotFoundException", missing);
});

test("everything that a repository can be told comes back", async () => {
  const filters = [{ filterType: "WILDCARD" as const, filter: "dev-*" }];
  const { repository } = await create("life/full", {
    registryId: "123456789012",
    imageTagMutability: "IMMUTABLE_WITH_EXCLUSION",
    imageTagMutabilityExclusionFilters: filters,
    imageScanningConfiguration: { scanOnPush: true },
    encryptionConfiguration: { encryptionType: "AES256" },
    tags: [
      { Key: "team", Value: "blue" },
      { Key: "__proto__", Value: "kept" },
    ],
  });
  assert.equal(repository?.imageTagMutability, "IMMUTABLE_WITH_EXCLUSION");
  assert.deepEqual(repository?.imageTagMutabilityExclusionFilters, filters);
  assert.deepEqual(repository?.imageScanningConfiguration, { scanOnPush: true });
  const { tags } = await client.send(new ListTagsForResourceCommand({ resourceArn: arnOf("life/full") }));
  assert.deepEqual(
    tags?.toSorted((a, b) => ((a.Key ?? "") < (b.Key ?? "") ? -1 : 1)),
    [
      { Key: "__proto__", Value: "kept" },
      { Key: "team", Value: "blue" },
    ],
  );
});

test("inputs that ECR refuses are refused in its words", async () => {
  const at = (member: string, reason: string) => `Invalid parameter at '${member}' failed to satisfy constraint: '${reason}'`;
  const star = { filterType: "WILDCARD", filter: "*" };
  const cases: readonly (readonly [object, string, string?])[] = [
    [
      { imageTagMutability: "IMMUTABLE_WITH_EXCLUSION" },
      "InvalidParameterException",
      at(
        "imageTagMutabilityExclusionFilters",
        "ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as IMMUTABLE_WITH_EXCLUSION",
      ),
    ],
    [
      { imageTagMutability: "MUTABLE", imageTagMutabilityExclusionFilters: [star] },
      "InvalidParameterException",
      at("imageTagMutabilityExclusionFilters", "ImageTagMutabilityExclusionFilters must be null when imageTagMutability is set as MUTABLE"),
    ],
    [
      { imageTagMutability: "MUTABLE_WITH_EXCLUSION", imageTagMutabilityExclusionFilters: [{ ...star, filter: "a*b*c*" }] },
      "InvalidParameterException",
    ],
    [{ imageTagMutability: "SOMETIMES" }, "InvalidParameterException"],
    [{ encryptionConfiguration: { encryptionType: "KMS", kmsKey: "alias/missing" } }, "KmsException"],
    [{ encryptionConfiguration: { encryptionType: "AES256", kmsKey: "alias/x" } }, "InvalidParameterException"],
    [{ tags: [{ Key: "aws:x", Value: "" }] }, "InvalidTagParameterException"],
    [
      {
        tags: [
          { Key: "a", Value: "1" },
          { Key: "a", Value: "2" },
        ],
      },
      "InvalidTagParameterException",
    ],
    [{ tags: Array.from({ length: 51 }, (_, index) => ({ Key: `k${index}`, Value: "" })) }, "TooManyTagsException"],
    [{ registryId: "12" }, "InvalidParameterException"],
  ];
  for (const [more, name, message] of cases) await refused(create("never/made", more), name, message);
  for (const name of ["A", "a", "a//b", "-a", "a/", "a".repeat(257), "a__b/.c"]) await refused(create(name), "InvalidParameterException");
  await refused(client.send(new DescribeRepositoriesCommand({ repositoryNames: ["never/made"] })), "RepositoryNotFoundException");
});

test("tag mutability takes all four modes and clears the filters with a plain one", async () => {
  await create("mutability");
  const put = (imageTagMutability: string, filters?: string[]) =>
    client.send(
      new PutImageTagMutabilityCommand({
        repositoryName: "mutability",
        imageTagMutability: imageTagMutability as "MUTABLE",
        ...(filters && { imageTagMutabilityExclusionFilters: filters.map((filter) => ({ filterType: "WILDCARD" as const, filter })) }),
      }),
    );
  for (const [mode, filters] of [
    ["IMMUTABLE", undefined],
    ["MUTABLE_WITH_EXCLUSION", ["v*"]],
    ["IMMUTABLE_WITH_EXCLUSION", ["latest", "dev-*-*"]],
    ["MUTABLE", undefined],
  ] as const) {
    const answer = await put(mode, filters && [...filters]);
    assert.deepEqual([answer.registryId, answer.repositoryName, answer.imageTagMutability], ["123456789012", "mutability", mode]);
    assert.deepEqual(
      answer.imageTagMutabilityExclusionFilters?.map(({ filter }) => filter),
      filters && [...filters],
    );
    const { repositories } = await client.send(new DescribeRepositoriesCommand({ repositoryNames: ["mutability"] }));
    assert.equal(repositories?.[0]?.imageTagMutability, mode);
    assert.equal(repositories?.[0]?.imageTagMutabilityExclusionFilters?.length, filters?.length);
  }
  await refused(put("MUTABLE_WITH_EXCLUSION"), "InvalidParameterException");
});

test("resource tags are added, overwritten, removed and listed", async () => {
  const resourceArn = arnOf("tagged");
  const call = { resourceArn };
  await refused(client.send(new ListTagsForResourceCommand(call)), "RepositoryNotFoundException");
  await create("tagged");
  assert.deepEqual((await client.send(new ListTagsForResourceCommand(call))).tags, []);
  await client.send(
    new TagResourceCommand({
      ...call,
      tags: [
        { Key: "a", Value: "1" },
        { Key: "b", Value: "" },
      ],
    }),
  );
  await client.send(new TagResourceCommand({ ...call, tags: [{ Key: "a", Value: "2" }] }));
  await client.send(new UntagResourceCommand({ ...call, tagKeys: ["b", "never-there"] }));
  assert.deepEqual((await client.send(new ListTagsForResourceCommand(call))).tags, [{ Key: "a", Value: "2" }]);
  for (const arn of ["nonsense", "arn:aws:s3:::bucket", `${resourceArn}/`, resourceArn.replace(":repository/", ":other/")]) {
    await refused(
      client.send(new ListTagsForResourceCommand({ resourceArn: arn })),
      "InvalidParameterException",
      "Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'",
    );
  }
  const elsewhere = resourceArn.replace("eu-central-1", "us-east-1");
  await refused(client.send(new ListTagsForResourceCommand({ resourceArn: elsewhere })), "RepositoryNotFoundException");
  const others = resourceArn.replace("123456789012", "210987654321");
  await refused(client.send(new ListTagsForResourceCommand({ resourceArn: others })), "AccessDeniedException");
});

test("the paginator shows every repository once, and a listing is the caller's registry's", async () => {
  const names = ["page/a", "page/b", "page/c", "page/d", "page/e"];
  for (const name of names) await create(name);
  const seen: string[] = [];
  let pages = 0;
  for await (const page of paginateDescribeRepositories({ client, pageSize: 2 }, {})) {
    pages++;
    seen.push(...(page.repositories ?? []).map(({ repositoryName }) => repositoryName ?? ""));
  }
  assert.deepEqual(
    seen.filter((name) => name.startsWith("page/")),
    names,
  );
  assert.equal(new Set(seen).size, seen.length);
  assert.equal(pages, Math.ceil(seen.length / 2));
  const elsewhere = new ECRClient({ endpoint: server.url, region: "us-east-1", credentials: server.credentials });
  assert.deepEqual((await elsewhere.send(new DescribeRepositoriesCommand({}))).repositories, []);
  elsewhere.destroy();
  const both = { repositoryNames: ["page/a"], maxResults: 5 };
  await refused(client.send(new DescribeRepositoriesCommand(both)), "InvalidParameterException");
  for (const maxResults of [0, 1001, -1]) {
    await refused(client.send(new DescribeRepositoriesCommand({ maxResults })), "InvalidParameterException");
  }
});

test("the quota of repositories holds", async () => {
  const made: string[] = [];
  await assert.rejects(
    async () => {
      for (let index = 0; index < 20; index++) {
        await create(`quota/${index}`);
        made.push(`quota/${index}`);
      }
    },
    { name: "LimitExceededException" },
  );
  for (const repositoryName of made) await client.send(new DeleteRepositoryCommand({ repositoryName }));
});

test("another account's registry is refused in AWS's words", async () => {
  await refused(
    create("x/y", { registryId: "210987654321" }),
    "AccessDeniedException",
    "User: arn:aws:iam::123456789012:root is not authorized to perform: ecr:CreateRepository on resource: arn:aws:ecr:eu-central-1:210987654321:repository/x/y because no resource-based policy allows the ecr:CreateRepository action",
  );
  await refused(client.send(new DescribeRepositoriesCommand({ registryId: "210987654321" })), "AccessDeniedException");
});

test("the authorization token splits at one colon, lasts twelve hours and opens the registry", async () => {
  const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({}));
  const [data, ...more] = authorizationData ?? [];
  assert.equal(more.length, 0);
  assert.equal(data?.proxyEndpoint, server.url);
  const lifeMs = (data?.expiresAt?.getTime() ?? 0) - server.core.clock.now();
  assert.ok(lifeMs > 11.9 * 3_600_000 && lifeMs <= 12 * 3_600_000, String(lifeMs));
  const [user, password = "", ...rest] = Buffer.from(data?.authorizationToken ?? "", "base64")
    .toString("utf8")
    .split(":");
  assert.deepEqual([user, rest], ["AWS", []]);
  assert.ok(password.length > 0 && password.length < 400);
  const ping = await server.request("GET", "/v2/", { authorization: `Basic ${data?.authorizationToken}` });
  assert.equal(ping.status, 200);
  const many = await client.send(new GetAuthorizationTokenCommand({ registryIds: ["123456789012", "210987654321"] }));
  assert.deepEqual(
    many.authorizationData?.map(({ proxyEndpoint }) => proxyEndpoint),
    [server.url, `http://210987654321.dkr.ecr.eu-central-1.localhost:${new URL(server.url).port}`],
  );
  await refused(client.send(new GetAuthorizationTokenCommand({ registryIds: [] })), "InvalidParameterException");
  const eleven = Array.from({ length: 11 }, () => "123456789012");
  await refused(client.send(new GetAuthorizationTokenCommand({ registryIds: eleven })), "InvalidParameterException");
});

test("a registry without replication says so", async () => {
  const { $metadata: _, ...answer } = await client.send(new DescribeRegistryCommand({}));
  assert.deepEqual(answer, { registryId: "123456789012", replicationConfiguration: { rules: [] } });
});
