/** Names that mean something to a database, a file system or a JavaScript object, and here only themselves; and what strangers may learn. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { makeImage } from "../fixtures/oci-content.ts";
import { callEcr } from "../signed-call.ts";
import { expectAlive, expectRefusal, startGround, verdictOf } from "./ground.ts";
import type { Ground } from "./ground.ts";

let ground: Ground;
before(async () => void (ground = await startGround()));
after(() => ground.close());

describe("underscores stand for themselves", () => {
  const image = makeImage({ seed: "wildcard" });
  before(async () => {
    for (const name of ["like/a_b", "like/a.b", "like/a-b"]) await ground.server.createRepository(name);
    await ground.server.push("like/a_b", image, "v_1", "v__");
  });

  for (const name of ["like/axb", "like/a.b", "like/a-b", "like/a__b"]) {
    test(`${name} is not like/a_b`, async () => {
      const answer = await ground.server.request("GET", `/v2/${name}/manifests/v_1`);
      assert.ok(["NAME_UNKNOWN", "MANIFEST_UNKNOWN"].includes(answer.code ?? ""), answer.message);
      const blob = await ground.server.request("GET", `/v2/${name}/blobs/${image.config.digest}`);
      assert.ok(["NAME_UNKNOWN", "BLOB_UNKNOWN"].includes(blob.code ?? ""), blob.message);
    });
  }
  for (const tag of ["vx1", "v-1", "v.1", "v_", "v_10", "V_1", "___", "vxx"]) {
    test(`${tag} is none of v_1 and v__`, async () => {
      const unknown = { status: 404, code: "MANIFEST_UNKNOWN", message: "Requested image not found" };
      const path = `/v2/like/a_b/manifests/${tag}`;
      for (const method of ["GET", "DELETE"])
        await expectRefusal(ground, { verdict: unknown, send: () => ground.server.request(method, path) });
      const ids = { repositoryName: "like/a_b", imageIds: [{ imageTag: tag }] };
      const before = await ground.facts();
      for (const operation of ["BatchGetImage", "BatchDeleteImage"]) {
        const { failures } = (await callEcr(ground.server, operation, ids)).json<{ failures: { failureCode: string }[] }>();
        assert.deepEqual(
          failures.map(({ failureCode }) => failureCode),
          ["ImageNotFound"],
        );
      }
      assert.deepEqual(await ground.facts(), before);
    });
  }
  test("positions in listings are compared, not matched", async () => {
    const after = async (last: string): Promise<string[]> =>
      (await ground.server.request("GET", `/v2/like/a_b/tags/list?last=${last}`)).json<{ tags: string[] }>().tags;
    for (const [last, expected] of [
      ["%25", ["v_1", "v__"]],
      ["v%25", ["v_1", "v__"]],
      ["v_", ["v_1", "v__"]],
      ["v_1", ["v__"]],
      ["v__", []],
      ["%27%20or%201=1--", ["v_1", "v__"]],
    ] as const) {
      assert.deepEqual(await after(last), expected, last);
    }
    const catalog = (await ground.server.request("GET", "/v2/_catalog?last=like/a_")).json<{ repositories: string[] }>();
    assert.deepEqual(catalog.repositories, ["like/a_b", "team/app", "team/fixed", "team/other"]);
  });
  test("in the patterns of mutable tags too", async () => {
    const filters = [{ filterType: "WILDCARD", filter: "v_*" }];
    const input = {
      repositoryName: "like/a-b",
      imageTagMutability: "IMMUTABLE_WITH_EXCLUSION",
      imageTagMutabilityExclusionFilters: filters,
    };
    assert.equal((await callEcr(ground.server, "PutImageTagMutability", input)).status, 200);
    const [one, two] = [makeImage({ seed: "one" }), makeImage({ seed: "two" })];
    await ground.server.push("like/a-b", one, "vx1", "v_1");
    await ground.server.push("like/a-b", two, "v_1");
    const message =
      "The image tag 'vx1' already exists in the 'like/a-b' repository and cannot be overwritten because the tag is immutable.";
    const put = { body: two.bytes, headers: { "Content-Type": two.mediaType } };
    await expectRefusal(ground, {
      verdict: { status: 400, code: "TAG_INVALID", message },
      send: () => ground.server.request("PUT", "/v2/like/a-b/manifests/vx1", put),
    });
  });
  test("what is deleted is what was named", async () => {
    await ground.server.createRepository("like/axb");
    assert.equal((await callEcr(ground.server, "DeleteRepository", { repositoryName: "like/a_b", force: true })).status, 200);
    for (const name of ["like/axb", "like/a.b", "like/a-b"])
      assert.equal((await ground.server.request("GET", `/v2/${name}/tags/list`)).status, 200, name);
  });
});

describe("odd names that are good", () => {
  const names = [
    "constructor",
    "prototype",
    "hasownproperty",
    "con",
    "nul",
    "a".repeat(256),
    `${"a/".repeat(127)}bb`,
    "blobs/uploads",
    "v2/manifests/tags/list",
    "a..b".replace("..", "."),
    "0",
    "00",
    "a------b",
  ];
  for (const name of names.filter((each) => each.length > 1)) {
    test(`${name.slice(0, 30)} (${name.length})`, async () => {
      const image = makeImage({ seed: name });
      await ground.server.createRepository(name);
      const tags = ["__proto__", "constructor", "toString", "_", "a..b", "a".repeat(128)];
      await ground.server.push(name, image, ...tags);
      for (const tag of tags) {
        const pulled = await ground.server.request("GET", `/v2/${name}/manifests/${tag}`);
        assert.deepEqual([pulled.status, pulled.body.equals(image.bytes)], [200, true], tag);
      }
      const described = await callEcr(ground.server, "DescribeImages", { repositoryName: name, imageIds: [{ imageTag: "__proto__" }] });
      const [details] = described.json<{ imageDetails: { imageTags: string[] }[] }>().imageDetails;
      assert.deepEqual(details?.imageTags.toSorted(), tags.toSorted());
    });
  }
});

describe("a stranger with good credentials of another account", () => {
  test("learns from no operation whether a repository is there", async () => {
    const credentials = await ground.addAccount("333333333333");
    const manifest = ground.image.bytes.toString();
    const { uploadId } = await ground.openUpload("012");
    const digest = ground.image.config.digest;
    const inputs: Readonly<Record<string, object>> = {
      DescribeImages: {},
      ListImages: {},
      BatchGetImage: { imageIds: [{ imageTag: "v1" }] },
      BatchDeleteImage: { imageIds: [{ imageTag: "v1" }] },
      BatchCheckLayerAvailability: { layerDigests: [digest] },
      GetDownloadUrlForLayer: { layerDigest: digest },
      InitiateLayerUpload: {},
      UploadLayerPart: { uploadId, partFirstByte: 3, partLastByte: 5, layerPartBlob: "YWJj" },
      CompleteLayerUpload: { uploadId, layerDigests: [digest] },
      PutImage: { imageManifest: manifest, imageTag: "stolen" },
      DeleteRepository: { force: true },
      CreateRepository: {},
      PutImageTagMutability: { imageTagMutability: "IMMUTABLE" },
    };
    for (const [operation, input] of Object.entries(inputs)) {
      for (const repositoryName of ["team/app", "team/nothing"]) {
        const message = `User: arn:aws:iam::333333333333:root is not authorized to perform: ecr:${operation} on resource: arn:aws:ecr:eu-central-1:123456789012:repository/${repositoryName} because no resource-based policy allows the ecr:${operation} action`;
        await expectRefusal(ground, {
          verdict: { status: 400, code: "AccessDeniedException", message },
          send: () => callEcr(ground.server, operation, { registryId: "123456789012", repositoryName, ...input }, { credentials }),
        });
      }
      // Without a registry id the call is about the stranger's own registry, where nothing of this is.
      if (operation === "CreateRepository") continue;
      const own = verdictOf(await callEcr(ground.server, operation, { repositoryName: "team/app", ...input }, { credentials }));
      assert.equal(own.code, "RepositoryNotFoundException", operation);
    }
    const mine = await callEcr(ground.server, "DescribeRepositories", {}, { credentials });
    assert.deepEqual(mine.json(), { repositories: [] });
    await expectAlive(ground);
  });
});
