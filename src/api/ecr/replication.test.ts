import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  DescribeImageReplicationStatusCommand,
  DescribeRegistryCommand,
  ECRClient,
  PutReplicationConfigurationCommand,
} from "@aws-sdk/client-ecr";
import type { ReplicationRule } from "@aws-sdk/client-ecr";
import { hasServiceLinkedRole } from "#identity/service-linked-role.ts";
import { makeImage } from "../../../test/fixtures/oci-content.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

let server: RegistryServer;
let client: ECRClient;

before(async () => {
  server = await startRegistryServer({ regions: ["eu-central-1", "us-east-1"], peerRegions: ["eu-west-3"] });
  client = new ECRClient({ endpoint: server.url, region: server.region, credentials: server.credentials, maxAttempts: 1 });
});
after(async () => {
  client.destroy();
  assert.deepEqual(server.errors, []);
  await server.close();
});

const put = (...rules: readonly ReplicationRule[]) =>
  client.send(new PutReplicationConfigurationCommand({ replicationConfiguration: { rules: [...rules] } }));
const own = "123456789012";
const east = { region: "us-east-1", registryId: own };

/** Expects ECR's exception with this sentence. */
async function refused(call: Promise<unknown>, name: string, message: string | RegExp): Promise<void> {
  await assert.rejects(call, (error: Error) => {
    assert.equal(error.name, name, error.message);
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    return true;
  });
}
const constraint = (text: string) => `Invalid parameter at 'replicationConfiguration' failed to satisfy constraint: '${text}'`;

test("a configuration is put as a whole, shown by DescribeRegistry, and removed by an empty one", async () => {
  const show = async () => (await client.send(new DescribeRegistryCommand({}))).replicationConfiguration;
  const identity = { core: server.core, accountId: own };
  assert.deepEqual(await show(), { rules: [] });
  assert.equal(await hasServiceLinkedRole(identity, "replication.ecr.amazonaws.com"), false);
  const rules: ReplicationRule[] = [
    { destinations: [east], repositoryFilters: [{ filter: "prod", filterType: "PREFIX_MATCH" }] },
    { destinations: [{ region: "eu-west-3", registryId: "222222222222" }] },
  ];
  assert.deepEqual((await put(...rules)).replicationConfiguration, { rules });
  assert.deepEqual(await show(), { rules });
  assert.equal(await hasServiceLinkedRole(identity, "replication.ecr.amazonaws.com"), true);
  await put({ destinations: [east] });
  assert.deepEqual(await show(), { rules: [{ destinations: [east] }] });
  await put();
  assert.deepEqual(await show(), { rules: [] });
});

test("what cannot be meant is refused in ECR's form", async () => {
  await refused(
    put({ destinations: [{ region: "eu-central-1", registryId: own }] }),
    "InvalidParameterException",
    constraint("Replication destination cannot be the same as the source registry"),
  );
  await refused(
    put({ destinations: [{ region: "eu-west-9", registryId: own }] }),
    "InvalidParameterException",
    constraint("Replication destination region 'eu-west-9' must be one of: [eu-central-1, us-east-1, eu-west-3]"),
  );
  const many = Array.from({ length: 26 }, (_, at) => ({ region: "us-east-1", registryId: String(300_000_000_000 + at) }));
  await refused(
    put({ destinations: many.slice(0, 13) }, { destinations: many.slice(13) }),
    "InvalidParameterException",
    constraint("Number of unique replication destinations must be less than or equal to 25"),
  );
  await put({ destinations: many.slice(0, 25) }, { destinations: many.slice(0, 25) });
  await put();
  await refused(put(...Array.from({ length: 11 }, () => ({ destinations: [east] }))), "InvalidParameterException", /rules/);
  await refused(put({ destinations: [east], repositoryFilters: [] }), "InvalidParameterException", /repositoryFilters/);
  await refused(
    put({ destinations: [east], repositoryFilters: [{ filter: "PROD", filterType: "PREFIX_MATCH" }] }),
    "InvalidParameterException",
    /filter/,
  );
});

test("the status of an image, by tag or digest; none where nothing replicates it", async () => {
  await server.createRepository("prod/web");
  const [plain, copied] = [makeImage({ seed: "plain" }), makeImage({ seed: "copied" })];
  await server.push("prod/web", plain, "v1");
  await put({ destinations: [east], repositoryFilters: [{ filter: "prod", filterType: "PREFIX_MATCH" }] });
  await server.push("prod/web", copied, "v2");
  const status = (imageId: object) => client.send(new DescribeImageReplicationStatusCommand({ repositoryName: "prod/web", imageId }));
  assert.deepEqual((await status({ imageTag: "v1" })).replicationStatuses, []);
  const expected = [{ region: "us-east-1", registryId: own, status: "IN_PROGRESS" }];
  for (const imageId of [{ imageTag: "v2" }, { imageDigest: copied.digest }, { imageTag: "v2", imageDigest: copied.digest }]) {
    const answer = await status(imageId);
    assert.deepEqual([answer.repositoryName, answer.imageId, answer.replicationStatuses], ["prod/web", imageId, expected]);
  }
  const where = "within the repository with name 'prod/web' in the registry with id '123456789012'";
  await refused(
    status({ imageTag: "v3" }),
    "ImageNotFoundException",
    `The image with imageId {imageDigest:'null', imageTag:'v3'} does not exist ${where}`,
  );
  await refused(status({ imageTag: "v1", imageDigest: copied.digest }), "ImageNotFoundException", /does not exist/);
  await refused(status({}), "InvalidParameterException", /both tag and digest cannot be null/);
  await refused(
    client.send(new DescribeImageReplicationStatusCommand({ repositoryName: "none", imageId: { imageTag: "v1" } })),
    "RepositoryNotFoundException",
    "The repository with name 'none' does not exist in the registry with id '123456789012'",
  );
});
