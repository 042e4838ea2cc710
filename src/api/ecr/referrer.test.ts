import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { makeArtifact, makeImage } from "../../../test/fixtures/oci-content.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { callEcr } from "../../../test/signed-call.ts";

let server: RegistryServer;
const repositoryName = "referred/app";
const image = makeImage();

before(async () => {
  server = await startRegistryServer();
  await server.createRepository(repositoryName);
  await server.push(repositoryName, image, "latest");
});
after(async () => {
  await server.close();
  assert.deepEqual(server.errors, []);
});

interface Answered {
  readonly __type?: string;
  readonly message?: string;
  readonly referrers?: readonly { readonly digest: string; readonly artifactType?: string }[];
  readonly nextToken?: string;
}

async function list(input: object): Promise<Answered> {
  const subjectId = { imageDigest: image.digest };
  return (await callEcr(server, "ListImageReferrers", { repositoryName, subjectId, ...input })).json<Answered>();
}

test("referrers are those of the registry host, with pages and filters", async () => {
  assert.deepEqual(await list({}), { referrers: [] });
  const types = ["application/vnd.example.sbom", "application/vnd.example.signature"];
  const artifacts = Array.from({ length: 45 }, (_, index) =>
    makeArtifact({
      subject: image,
      artifactType: types[index % 2] ?? "",
      annotations: { number: String(index) },
    }),
  );
  for (const artifact of artifacts) await server.push(repositoryName, artifact);
  const whole = (await list({ maxResults: 50 })).referrers ?? [];
  assert.deepEqual(
    whole.map(({ digest }) => digest),
    artifacts.map(({ digest }) => digest).toSorted(),
  );
  const [first] = whole;
  const same = artifacts.find(({ digest }) => digest === first?.digest);
  assert.ok(same !== undefined);
  const { artifactType, annotations } = JSON.parse(Buffer.from(same.bytes).toString()) as Record<string, unknown>;
  assert.deepEqual(first, {
    digest: same.digest,
    mediaType: same.mediaType,
    size: same.bytes.byteLength,
    artifactType,
    annotations,
    artifactStatus: "ACTIVE",
  });
  const onHost = await server.request("GET", `/v2/${repositoryName}/referrers/${image.digest}`);
  assert.deepEqual(
    onHost.json<{ manifests: { digest: string }[] }>().manifests.map(({ digest }) => digest),
    whole.map(({ digest }) => digest),
  );
  const page = await list({});
  assert.equal(page.referrers?.length, 20);
  const rest = await list({ nextToken: page.nextToken, maxResults: 50 });
  assert.deepEqual([...(page.referrers ?? []), ...(rest.referrers ?? [])], whole);
  assert.equal(rest.nextToken, undefined);
  const signatures = await list({ filter: { artifactTypes: [types[1]] }, maxResults: 50 });
  assert.deepEqual(
    signatures.referrers,
    whole.filter((each) => each.artifactType === types[1]),
  );
  assert.equal((await list({ filter: { artifactTypes: types }, maxResults: 50 })).referrers?.length, 45);
  assert.equal((await list({ filter: { artifactTypes: ["application/vnd.other"] } })).referrers?.length, 0);
  assert.equal((await list({ nextToken: page.nextToken, filter: { artifactTypes: [types[1]] } })).__type, "InvalidParameterException");
  for (const [artifactStatus, count] of [
    ["ACTIVE", 45],
    ["ANY", 45],
    ["ARCHIVED", 0],
    ["ACTIVATING", 0],
  ] as const)
    assert.equal((await list({ filter: { artifactStatus }, maxResults: 50 })).referrers?.length, count, artifactStatus);
});

test("what is asked wrongly, or about nothing", async () => {
  const nothing = `sha256:${"0".repeat(64)}`;
  assert.deepEqual(await list({ subjectId: { imageDigest: nothing } }), { referrers: [] });
  assert.deepEqual(await list({ subjectId: { imageDigest: "md5:00" } }), { referrers: [] });
  for (const input of [
    { subjectId: { imageDigest: "latest" } },
    { maxResults: 51 },
    { maxResults: 0 },
    { nextToken: "x" },
    { filter: { artifactTypes: ["1", "2", "3", "4", "5", "6"] } },
    { filter: { artifactStatus: "GONE" } },
  ])
    assert.equal((await list(input)).__type, "InvalidParameterException", JSON.stringify(input));
  assert.equal((await list({ repositoryName: "none" })).__type, "RepositoryNotFoundException");
  assert.equal((await list({ repositoryName: "none", subjectId: { imageDigest: "md5:00" } })).__type, "RepositoryNotFoundException");
});
