/** Bad documents and parameters for the AWS APIs: ECR's exception and words, nothing changed, the server alive. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { callEcr, callQuery } from "../signed-call.ts";
import { expectRefusal, startGround } from "./ground.ts";
import type { Ground } from "./ground.ts";

let ground: Ground;
before(async () => void (ground = await startGround()));
after(() => ground.close());

const app = { repositoryName: "team/app" };
const absent = `sha256:${"a".repeat(64)}`;
const uuid = "00000000-0000-4000-8000-000000000000";

function refused(operation: string, input: object | string | Buffer, code: string, message: string | RegExp): Promise<void> {
  return expectRefusal(ground, { send: () => callEcr(ground.server, operation, input), verdict: { status: 400, code, message } });
}

/** ECR's words for a parameter. */
function at(parameter: string, constraint: string): string {
  return `Invalid parameter at '${parameter}' failed to satisfy constraint: '${constraint}'`;
}

function invalid(operation: string, input: object, parameter: string, constraint: string): Promise<void> {
  return refused(operation, input, "InvalidParameterException", at(parameter, constraint));
}

describe("documents that readers disagree about", () => {
  // What would be written if one of the readings were taken.
  const good = `{"repositoryName":"team/new","imageTagMutability":"MUTABLE"}`;
  const documents: readonly (readonly [string, string | Buffer, RegExp])[] = [
    ["half of it", good.slice(0, -1), /at character \d+/],
    ["text behind it", `${good}x`, /text after the end of the value at character 60/],
    ["two", good + good, /text after the end of the value at character 60/],
    ["a list", `[${good}]`, /is not a JSON object$/],
    ["null", "null", /is not a JSON object$/],
    ["a text", JSON.stringify(good), /is not a JSON object$/],
    ["a duplicate key", good.replace("{", '{"repositoryName":"team/first",'), /repositoryName.* at character \d+/],
    ["a duplicate key by escape", good.replace("{", '{"repository\\u004eame":"team/first",'), /repositoryName.* at character \d+/],
    ["a duplicate key that nobody knows", good.replace("{", '{"x":1,"x":2,'), /at character \d+/],
    ["a byte order mark", `\ufeff${good}`, /byte order mark/],
    ["UTF-16", Buffer.from(good, "utf16le"), /a key in quotes is expected at character 1$/],
    ["no UTF-8", Buffer.from(good.replace("{", '{"x":"\u00ff",'), "latin1"), /not valid UTF-8/],
    ["half a surrogate pair", good.replace("{", '{"x":"\\ud800",'), /surrogate.* at character \d+/],
    ["depth 65", good.replace("{", `{"x":${"[".repeat(64)}${"]".repeat(64)},`), /64.* at character \d+/],
    ["depth 30,000", good.replace("{", `{"x":${"[".repeat(30_000)}${"]".repeat(30_000)},`), /64.* at character \d+/],
    ["NaN", good.replace("{", '{"x":NaN,'), /at character \d+/],
    ["a comment", good.replace("{", "{//\n"), /at character \d+/],
  ];
  for (const [what, document, message] of documents) {
    test(what, async () => {
      for (const operation of ["CreateRepository", "PutImage", "BatchDeleteImage", "InitiateLayerUpload", "UploadLayerPart"])
        await refused(operation, document, "SerializationException", message);
    });
  }
  test("members that are only inherited are not there", async () => {
    await invalid(
      "CreateRepository",
      JSON.parse('{"__proto__":{"repositoryName":"team/new"}}') as object,
      "repositoryName",
      "Member must not be null",
    );
    await refused(
      "CreateRepository",
      '{"constructor":{"prototype":{"repositoryName":"team/new"}}}',
      "InvalidParameterException",
      at("repositoryName", "Member must not be null"),
    );
    assert.equal(({} as { repositoryName?: string }).repositoryName, undefined);
  });
  test("types are not guessed", async () => {
    const text = (kind: string, path: string, type: string): string => `${path}: ${kind} can not be converted to ${type}`;
    const cases: readonly (readonly [string, object, string])[] = [
      ["CreateRepository", { repositoryName: 7 }, text("NUMBER_VALUE", "repositoryName", "a String")],
      ["CreateRepository", { repositoryName: ["team/new"] }, text("START_ARRAY", "repositoryName", "a String")],
      ["CreateRepository", { repositoryName: { toString: "team/new" } }, text("START_OBJECT", "repositoryName", "a String")],
      ["ListImages", { ...app, maxResults: "1" }, text("STRING_VALUE", "maxResults", "an Integer")],
      ["ListImages", { ...app, maxResults: 1.5 }, text("DECIMAL_VALUE", "maxResults", "an Integer")],
      ["ListImages", { ...app, maxResults: 2 ** 31 }, text("NUMBER_VALUE", "maxResults", "an Integer")],
      ["BatchGetImage", { ...app, imageIds: [{ imageTag: 1 }] }, text("NUMBER_VALUE", "imageIds.1.member.imageTag", "a String")],
    ];
    for (const [operation, input, message] of cases) await refused(operation, input, "SerializationException", message);
  });
});

describe("parameters", () => {
  const grammar = String.raw`must satisfy regular expression '[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*'`;
  const names = [
    "..",
    "team/../app",
    "/team/app",
    "team//app",
    "team/app/",
    "team/app.",
    "team/app\0",
    "team/app\n",
    "Team/app",
    "t\u0430am/app",
    "team/%",
    "team/_",
    "team/a___b",
    "team\\app",
  ];
  for (const name of names) {
    test(`the name ${JSON.stringify(name)}`, async () => {
      await invalid("CreateRepository", { repositoryName: name }, "repositoryName", grammar);
      await invalid("PutImage", { repositoryName: name, imageManifest: ground.image.bytes.toString() }, "repositoryName", grammar);
      await invalid("BatchDeleteImage", { repositoryName: name, imageIds: [{ imageTag: "v1" }] }, "repositoryName", grammar);
      await invalid("DeleteRepository", { repositoryName: name, force: true }, "repositoryName", grammar);
      await invalid("InitiateLayerUpload", { repositoryName: name }, "repositoryName", grammar);
    });
  }
  test("the length of a name", async () => {
    await invalid("CreateRepository", { repositoryName: "a" }, "repositoryName", "Member must have length greater than or equal to 2");
    await invalid(
      "CreateRepository",
      { repositoryName: "a".repeat(257) },
      "repositoryName",
      "Member must have length less than or equal to 256",
    );
  });

  const tagGrammar = "must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'";
  for (const imageTag of [".v1", "-v1", "a".repeat(129), "v 1", "v1\n", "v1\0", "v/1", "v:1", "é", "v%", "\u0430"]) {
    test(`the tag ${JSON.stringify(imageTag).slice(0, 20)}`, async () => {
      await invalid("PutImage", { ...app, imageManifest: ground.image.bytes.toString(), imageTag }, "imageTag", tagGrammar);
      const before = await ground.facts();
      const deleted = await callEcr(ground.server, "BatchDeleteImage", { ...app, imageIds: [{ imageTag }] });
      const { imageIds, failures } = deleted.json<{ imageIds: unknown[]; failures: unknown[] }>();
      assert.deepEqual([deleted.status, imageIds, failures.length], [200, [], 1]);
      assert.deepEqual(await ground.facts(), before);
    });
  }

  const digestGrammar = "must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'";
  for (const imageDigest of ["", "x", "sha256:", "sha256:../../etc", `${absent}\n`, `${absent}\0`, `sha256:${"%".repeat(64)}`]) {
    test(`the digest ${JSON.stringify(imageDigest).slice(0, 24)}`, async () => {
      await invalid("PutImage", { ...app, imageManifest: ground.image.bytes.toString(), imageDigest }, "imageDigest", digestGrammar);
      const model = "Member must satisfy regular expression pattern: [a-zA-Z0-9-_+.]+:[a-fA-F0-9]+";
      await invalid("GetDownloadUrlForLayer", { ...app, layerDigest: imageDigest }, "layerDigest", model);
      await invalid(
        "CompleteLayerUpload",
        { ...app, uploadId: uuid, layerDigests: [imageDigest] },
        "layerDigests",
        `Member must satisfy constraint: [${model}]`,
      );
    });
  }
  for (const digest of ["md5:00", absent.slice(0, -1), `${absent}0`, `sha256:${"A".repeat(64)}`, `SHA256:${"a".repeat(64)}`, absent]) {
    test(`the digest ${digest.slice(0, 24)}… (${digest.length}), which nothing here has`, async () => {
      const actual = ground.image.digest;
      const message = `The image digest '${digest}' does not match the digest '${actual}' calculated from the image manifest`;
      await refused(
        "PutImage",
        { ...app, imageManifest: ground.image.bytes.toString(), imageDigest: digest, imageTag: "v2" },
        "ImageDigestDoesNotMatchException",
        message,
      );
      const { uploadId } = await ground.openUpload("012345");
      const complete = { ...app, uploadId, layerDigests: [digest] };
      await refused(
        "CompleteLayerUpload",
        complete,
        "InvalidLayerException",
        "None of the provided layer digests match the calculated layer digest",
      );
    });
  }

  test("a registry id", async () => {
    for (const registryId of ["", "1", "abcdefghijkl", "1234567890123", "12345678901\n"]) {
      await invalid(
        "CreateRepository",
        { repositoryName: "team/new", registryId },
        "registryId",
        "Member must satisfy regular expression pattern: [0-9]{12}",
      );
    }
  });
  test("numbers of items", async () => {
    const many = Array.from({ length: 101 }, (_, index) => ({ imageTag: `t${index}` }));
    await invalid("BatchDeleteImage", { ...app, imageIds: many }, "imageIds", "Member must have length less than or equal to 100");
    await invalid("BatchDeleteImage", { ...app, imageIds: [] }, "imageIds", "Member must have length greater than or equal to 1");
    for (const maxResults of [0, -1, -(2 ** 31)])
      await invalid("ListImages", { ...app, maxResults }, "maxResults", "Member must have value greater than or equal to 1");
    await invalid("ListImages", { ...app, maxResults: 1001 }, "maxResults", "Member must have value less than or equal to 1000");
  });
  test("tags of a repository: none of them is made, and neither is the repository", async () => {
    const create = (tags: readonly object[]): object => ({ repositoryName: "team/new", tags });
    const cases: readonly (readonly [readonly object[], string])[] = [
      [
        [
          { Key: "a", Value: "1" },
          { Key: "a", Value: "2" },
        ],
        "A tag key may be given only once",
      ],
      [[{ Key: "aws:a", Value: "1" }], "Tag keys must not start with the reserved prefix 'aws:'"],
      [[{ Key: "a".repeat(129), Value: "1" }], "Tag keys must have between 1 and 128 characters"],
      [
        [
          { Key: "good", Value: "1" },
          { Key: "a\0", Value: "1" },
        ],
        "Tag key 'a\0' contains characters that are not allowed",
      ],
    ];
    for (const [tags, message] of cases) {
      await refused("CreateRepository", create(tags), "InvalidTagParameterException", message);
    }
  });
});

describe("parts", () => {
  const cases: readonly (readonly [number, unknown, unknown, string, string])[] = [
    [0, 2, "YWJj", "InvalidLayerPartException", "First byte of the layer part is 0 instead of 3"],
    [2, 4, "YWJj", "InvalidLayerPartException", "First byte of the layer part is 2 instead of 3"],
    [4, 6, "YWJj", "InvalidLayerPartException", "First byte of the layer part is 4 instead of 3"],
    [3, 4, "YWJj", "InvalidLayerPartException", "The layer part has 3 bytes instead of 2"],
    [3, 6, "YWJj", "InvalidLayerPartException", "The layer part has 3 bytes instead of 4"],
    [3, 5, "", "InvalidLayerPartException", "The layer part has 0 bytes instead of 3"],
    [3, 2 ** 53 - 1, "YWJj", "InvalidLayerPartException", "The layer part has 3 bytes instead of 9007199254740989"],
    [3, 2, "", "InvalidLayerPartException", "Last byte of the layer part is 2, before its first byte 3"],
    [3, 0, "YWJj", "InvalidLayerPartException", "Last byte of the layer part is 0, before its first byte 3"],
    [-1, 1, "YWJj", "InvalidParameterException", at("partFirstByte", "Member must have value greater than or equal to 0")],
    [3, 2 ** 53, "YWJj", "SerializationException", "partLastByte: NUMBER_VALUE can not be converted to a Long"],
    [3, 5.5, "YWJj", "SerializationException", "partLastByte: DECIMAL_VALUE can not be converted to a Long"],
    [3, "5", "YWJj", "SerializationException", "partLastByte: STRING_VALUE can not be converted to a Long"],
    [3, 5, "YWJ", "SerializationException", "layerPartBlob is not valid base64"],
    [3, 5, "YW*j", "SerializationException", "layerPartBlob is not valid base64"],
    [3, 5, " YWJj", "SerializationException", "layerPartBlob is not valid base64"],
    [3, 5, "YWJj\n", "SerializationException", "layerPartBlob is not valid base64"],
    [3, 6, "YWJ=YWJ=", "SerializationException", "layerPartBlob is not valid base64"],
    [3, 4, "YWK=", "SerializationException", "layerPartBlob is not valid base64"],
    [3, 5, 7, "SerializationException", "layerPartBlob must be a base64 string"],
    [3, 5, null, "InvalidParameterException", at("layerPartBlob", "Member must not be null")],
    [
      3,
      100_003,
      Buffer.alloc(100_001).toString("base64"),
      "InvalidParameterException",
      at("layerPartBlob", "Member must have length less than or equal to 100000"),
    ],
  ];
  for (const [partFirstByte, partLastByte, layerPartBlob, code, message] of cases) {
    test(`${partFirstByte}-${String(partLastByte)} of ${JSON.stringify(layerPartBlob).slice(0, 20)} on three bytes`, async () => {
      const { uploadId } = await ground.openUpload("012");
      await refused("UploadLayerPart", { ...app, uploadId, partFirstByte, partLastByte, layerPartBlob }, code, message);
    });
  }
  const part = { ...app, partFirstByte: 0, partLastByte: 2, layerPartBlob: "YWJj" };
  test("ids that nobody handed out", async () => {
    const pattern =
      "Member must satisfy regular expression pattern: [0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
    for (const uploadId of ["", "x", "../../etc/passwd", `${uuid}\n`, "%".repeat(36), "\0".repeat(36)])
      await invalid("UploadLayerPart", { ...part, uploadId }, "uploadId", pattern);
    const message = `The upload with id '${uuid}' does not exist in the repository with name 'team/app' in registry with id '123456789012'`;
    await refused("UploadLayerPart", { ...part, uploadId: uuid }, "UploadNotFoundException", message);
    await refused("CompleteLayerUpload", { ...app, uploadId: uuid, layerDigests: [absent] }, "UploadNotFoundException", message);
  });
  test("more of them than an upload can have", async () => {
    const { uploadId } = await ground.openUpload("0");
    for (const first of [1, 2])
      await callEcr(ground.server, "UploadLayerPart", {
        ...part,
        uploadId,
        partFirstByte: first,
        partLastByte: first,
        layerPartBlob: "YQ==",
      });
    const message = `The upload with id '${uploadId}' in the repository with name 'team/app' in registry with id '123456789012' exceeds the maximum allowed number of parts which is '3'`;
    await refused("UploadLayerPart", { ...part, uploadId, partFirstByte: 3, partLastByte: 5 }, "LimitExceededException", message);
  });
  test("ends that are none", async () => {
    const { uploadId } = await ground.openUpload();
    const where = "in the repository with name 'team/app' in registry with id '123456789012'";
    await refused(
      "CompleteLayerUpload",
      { ...app, uploadId, layerDigests: [absent] },
      "EmptyUploadException",
      `The upload with id '${uploadId}' ${where} cannot be completed because it does not have any parts`,
    );
    const small = await ground.openUpload("0");
    await ground.server.request("PATCH", small.path, { body: "1" });
    await refused(
      "CompleteLayerUpload",
      { ...app, uploadId: small.uploadId, layerDigests: [absent] },
      "LayerPartTooSmallException",
      "All layer parts except the last part should be at least 5MB",
    );
  });
});

describe("forms", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["", "MissingAction", "The request must contain the parameter Action."],
    ["Action=GetCallerIdentity", "InvalidAction", "Could not find operation GetCallerIdentity for version NO_VERSION_SPECIFIED"],
    ["Action=GetCallerIdentity&Version=2011-06-15&Version=1", "MalformedQueryString", "The request has a parameter more than once"],
    ["Action=a&Action=b", "MalformedQueryString", "The request has a parameter more than once"],
    ["Action=%FF", "MalformedQueryString", "The request is not percent-encoded UTF-8"],
    ["Action=%zz", "MalformedQueryString", "The request is not percent-encoded UTF-8"],
    ["x&".repeat(5_000), "MalformedQueryString", "The request has more than 4096 parameters"],
    ["Action=__proto__&Version=2011-06-15", "InvalidAction", "Could not find operation __proto__ for version 2011-06-15"],
    ["Action=%3Cscript%3E&Version=2011-06-15", "InvalidAction", "Could not find operation &lt;script&gt; for version 2011-06-15"],
  ];
  for (const [form, code, message] of cases) {
    test(form.slice(0, 40), () =>
      expectRefusal(ground, { send: () => callQuery(ground.server, form), verdict: { status: 400, code, message } }),
    );
  }
});
