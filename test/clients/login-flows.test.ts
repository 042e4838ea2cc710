/** How CDK and the GitHub login action log in and publish: the calls that they make, in their order, from GetAuthorizationToken on. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  BatchDeleteImageCommand,
  BatchGetImageCommand,
  CreateRepositoryCommand,
  DescribeImagesCommand,
  DescribeRepositoriesCommand,
  GetAuthorizationTokenCommand,
  ImageNotFoundException,
  ListImagesCommand,
  PutImageCommand,
  RepositoryNotFoundException,
} from "@aws-sdk/client-ecr";
import type { ECRClient } from "@aws-sdk/client-ecr";
import { createEcrClient } from "../aws-client.ts";
import { createOciClient } from "../oci-client.ts";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";

let server: ServerProcess;
let client: ECRClient;
before(async () => {
  server = await startServerProcess({ environment: { SUPERCARGO_REGIONS: "us-east-1,eu-west-1" } });
  client = createEcrClient(server.url);
});
after(() => server.close());

test("cdk: does the asset exist? log in at the proxy endpoint, push, find it, retag for garbage collection, delete", async () => {
  await assert.rejects(client.send(new DescribeRepositoriesCommand({ repositoryNames: ["cdk-assets"] })), RepositoryNotFoundException);
  await client.send(
    new CreateRepositoryCommand({
      repositoryName: "cdk-assets",
      imageTagMutability: "IMMUTABLE",
      imageScanningConfiguration: { scanOnPush: true },
    }),
  );
  const { repositories } = await client.send(new DescribeRepositoriesCommand({ repositoryNames: ["cdk-assets"] }));
  assert.equal(repositories?.[0]?.repositoryUri, `127.0.0.1:${server.port}/cdk-assets`);
  await assert.rejects(
    client.send(new DescribeImagesCommand({ repositoryName: "cdk-assets", imageIds: [{ imageTag: "hash" }] })),
    ImageNotFoundException,
  );

  const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({}));
  const [entry] = authorizationData ?? [];
  const parts = Buffer.from(entry?.authorizationToken ?? "", "base64")
    .toString()
    .split(":");
  assert.equal(parts.length, 2);
  assert.equal(parts[0], "AWS");
  const left = (entry?.expiresAt?.getTime() ?? 0) - Date.now();
  assert.ok(Math.abs(left - 12 * 3_600_000) < 60_000, `expires in ${left} ms`);
  const endpoint = new URL(entry?.proxyEndpoint ?? "");
  assert.equal(endpoint.host, `127.0.0.1:${server.port}`);

  const oci = createOciClient(endpoint.origin, parts[1] ?? "");
  assert.equal((await oci.request("GET", "/v2/")).status, 200);
  const { digest } = await oci.pushImage("cdk-assets", "hash", [Buffer.from("asset")]);
  const describe = async () =>
    (await client.send(new DescribeImagesCommand({ repositoryName: "cdk-assets", imageIds: [{ imageTag: "hash" }] }))).imageDetails?.[0];
  assert.equal((await describe())?.imageDigest, digest);
  // The scan that the push has begun ends by itself.
  for (let waited = 0; (await describe())?.imageScanStatus?.status === "IN_PROGRESS"; waited += 100) {
    assert.ok(waited < 30_000, "the scan does not end");
    await sleep(100);
  }
  assert.equal((await describe())?.imageScanStatus?.status, "FAILED");

  const got = await client.send(new BatchGetImageCommand({ repositoryName: "cdk-assets", imageIds: [{ imageDigest: digest }] }));
  await client.send(
    new PutImageCommand({
      repositoryName: "cdk-assets",
      imageManifest: got.images?.[0]?.imageManifest,
      imageDigest: digest,
      imageTag: "0-aws-cdk.isolated-1700000000000",
    }),
  );
  const listed = await client.send(new ListImagesCommand({ repositoryName: "cdk-assets" }));
  assert.deepEqual(listed.imageIds?.map(({ imageTag }) => imageTag).toSorted(), ["0-aws-cdk.isolated-1700000000000", "hash"]);
  const deleted = await client.send(new BatchDeleteImageCommand({ repositoryName: "cdk-assets", imageIds: [{ imageDigest: digest }] }));
  assert.equal(deleted.imageIds?.length, 2);
});

test("the login action: one entry for each registry asked for, user and password for each endpoint", async () => {
  const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({ registryIds: ["000000000000", "111122223333"] }));
  assert.equal(authorizationData?.length, 2);
  for (const entry of authorizationData ?? []) {
    const text = Buffer.from(entry.authorizationToken ?? "", "base64").toString("utf-8");
    const [user, password] = text.split(":", 2);
    assert.equal(user, "AWS");
    assert.ok((password?.length ?? 0) > 20);
    assert.match(entry.proxyEndpoint ?? "", /^https?:\/\/[^/]+$/);
  }
  assert.equal(new URL(authorizationData?.[1]?.proxyEndpoint ?? "").hostname, "111122223333.dkr.ecr.us-east-1.localhost");
});

test("a token of one region is refused on another region's host, with the right host named", async () => {
  const other = createEcrClient(server.url, "eu-west-1");
  const { authorizationData } = await other.send(new GetAuthorizationTokenCommand({}));
  const [, password = ""] = Buffer.from(authorizationData?.[0]?.authorizationToken ?? "", "base64")
    .toString()
    .split(":");
  const answer = await createOciClient(server.url, password).request("GET", "/v2/");
  assert.ok(answer.status === 401 || answer.status === 403, `answered ${answer.status}`);
  assert.match(await answer.text(), /eu-west-1/);
});
