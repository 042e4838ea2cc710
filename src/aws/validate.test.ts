import { strict as assert } from "node:assert";
import { suite, test } from "node:test";
import ecr from "../../models/ecr-2015-09-21.json" with { type: "json" };
import sts from "../../models/sts-2011-06-15.json" with { type: "json" };
import type { Json } from "#std/json.ts";
import { loadServiceModel } from "./model.ts";
import { invalidParameterText, validationErrorText } from "./problem.ts";
import { validateShape } from "./validate.ts";

const ecrModel = loadServiceModel(ecr);
const stsModel = loadServiceModel(sts);
/** A model of every type, for what the services' own models do not have. */
const everyModel = loadServiceModel({
  metadata: { serviceId: "Every", protocol: "json", apiVersion: "1" },
  operations: {},
  shapes: {
    Input: {
      type: "structure",
      members: {
        text: { shape: "Text" },
        secret: { shape: "Secret" },
        integer: { shape: "Integer" },
        long: { shape: "Long" },
        double: { shape: "Double" },
        flag: { shape: "Flag" },
        at: { shape: "Moment" },
        blob: { shape: "Blob" },
        map: { shape: "Map" },
        list: { shape: "List" },
        self: { shape: "Input" },
      },
    },
    Text: { type: "string", min: 2, max: 4 },
    Secret: { type: "string", min: 2, sensitive: true },
    Integer: { type: "integer" },
    Long: { type: "long" },
    Double: { type: "double", min: 0, max: 1 },
    Flag: { type: "boolean" },
    Moment: { type: "timestamp" },
    Blob: { type: "blob", max: 4 },
    Map: { type: "map", key: { shape: "Text" }, value: { shape: "Text" }, max: 2 },
    List: { type: "list", member: { shape: "Text" }, max: 1000 },
  },
});

const repositoryPattern = ecr.shapes.RepositoryName.pattern;

/** The texts that an input of ECR is refused with. */
function ecrTexts(shape: string, value: Json): string[] {
  const result = validateShape(ecrModel, shape, value);
  return result.ok ? [] : result.problems.map(invalidParameterText);
}

const ecrCases: readonly (readonly [shape: string, value: Json, text: string])[] = [
  [
    "CreateRepositoryRequest",
    { repositoryName: "Shop" },
    `Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '${repositoryPattern}''`,
  ],
  [
    "CreateRepositoryRequest",
    { repositoryName: "a".repeat(257) },
    "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'Member must have length less than or equal to 256'",
  ],
  ["CreateRepositoryRequest", {}, "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'Member must not be null'"],
  [
    "CreateRepositoryRequest",
    { repositoryName: null },
    "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'Member must not be null'",
  ],
  [
    "CreateRepositoryRequest",
    { repositoryName: "shop", registryId: "1" },
    "Invalid parameter at 'registryId' failed to satisfy constraint: 'Member must satisfy regular expression pattern: [0-9]{12}'",
  ],
  [
    "CreateRepositoryRequest",
    { repositoryName: "shop", imageTagMutability: "mutable" },
    "Invalid parameter at 'imageTagMutability' failed to satisfy constraint: 'Member must satisfy enum value set: [MUTABLE, IMMUTABLE, IMMUTABLE_WITH_EXCLUSION, MUTABLE_WITH_EXCLUSION]'",
  ],
  [
    "GetAuthorizationTokenRequest",
    { registryIds: ["123456789012", "x", "y"] },
    "Invalid parameter at 'registryIds' failed to satisfy constraint: 'Member must satisfy constraint: [Member must satisfy regular expression pattern: [0-9]{12}]'",
  ],
  [
    "GetAuthorizationTokenRequest",
    { registryIds: [] },
    "Invalid parameter at 'registryIds' failed to satisfy constraint: 'Member must have length greater than or equal to 1'",
  ],
  [
    "DescribeRepositoriesRequest",
    { repositoryNames: ["A"] },
    `Invalid parameter at 'repositoryNames' failed to satisfy constraint: 'Member must satisfy constraint: [Member must have length less than or equal to 256, Member must have length greater than or equal to 2, Member must satisfy regular expression pattern: ${repositoryPattern}]'`,
  ],
  [
    "DescribeRepositoriesRequest",
    { maxResults: 1001 },
    "Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value less than or equal to 1000'",
  ],
  [
    "DescribeRepositoriesRequest",
    { maxResults: 0 },
    "Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value greater than or equal to 1'",
  ],
  [
    "BatchGetImageRequest",
    { repositoryName: "shop", imageIds: [{ imageTag: "a" }, { imageTag: "" }] },
    "Invalid parameter at 'imageIds.2.member.imageTag' failed to satisfy constraint: 'Member must have length greater than or equal to 1'",
  ],
  [
    "BatchGetImageRequest",
    { repositoryName: "shop", imageIds: Array.from({ length: 101 }, () => ({})) },
    "Invalid parameter at 'imageIds' failed to satisfy constraint: 'Member must have length less than or equal to 100'",
  ],
  [
    "PutLifecyclePolicyRequest",
    { repositoryName: "shop", lifecyclePolicyText: "{}" },
    "Invalid parameter at 'lifecyclePolicyText' failed to satisfy constraint: 'Member must have length greater than or equal to 100'",
  ],
];

suite("ECR's texts", () => {
  for (const [shape, value, text] of ecrCases) test(text, () => assert.deepEqual(ecrTexts(shape, value), [text]));
});

suite("texts of the Query services", () => {
  const cases: readonly (readonly [shape: string, value: Json, text: string])[] = [
    [
      "GetAccessKeyInfoRequest",
      { AccessKeyId: "AKIA" },
      "1 validation error detected: Value 'AKIA' at 'accessKeyId' failed to satisfy constraint: Member must have length greater than or equal to 16",
    ],
    [
      "GetAccessKeyInfoRequest",
      {},
      "1 validation error detected: Value null at 'accessKeyId' failed to satisfy constraint: Member must not be null",
    ],
    [
      "AssumeRoleRequest",
      { RoleArn: "x", RoleSessionName: "a b" },
      "2 validation errors detected: Value 'x' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20; Value 'a b' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*",
    ],
  ];
  for (const [shape, value, text] of cases) {
    test(text, () => {
      const result = validateShape(stsModel, shape, value);
      assert.equal(result.ok ? "" : validationErrorText(result.problems), text);
    });
  }

  test("a secret is not repeated, and a long value is cut", () => {
    const result = validateShape(everyModel, "Input", { secret: "s", text: "long".repeat(100) });
    assert.equal(
      result.ok ? "" : validationErrorText(result.problems),
      `2 validation errors detected: Value '${"long".repeat(64)}…' at 'text' failed to satisfy constraint: Member must have length less than or equal to 4; Value at 'secret' failed to satisfy constraint: Member must have length greater than or equal to 2`,
    );
  });
});

suite("wrong JSON types", () => {
  const cases: readonly (readonly [Json, string])[] = [
    ["x", "STRING_VALUE can not be converted to a Structure"],
    [[], "START_ARRAY can not be converted to a Structure"],
    [{ text: 1 }, "text: NUMBER_VALUE can not be converted to a String"],
    [{ text: true }, "text: TRUE_VALUE can not be converted to a String"],
    [{ text: {} }, "text: START_OBJECT can not be converted to a String"],
    [{ integer: "1" }, "integer: STRING_VALUE can not be converted to an Integer"],
    [{ integer: 1.5 }, "integer: DECIMAL_VALUE can not be converted to an Integer"],
    [{ integer: 2 ** 31 }, "integer: NUMBER_VALUE can not be converted to an Integer"],
    [{ long: 2 ** 53 }, "long: NUMBER_VALUE can not be converted to a Long"],
    [{ double: "1" }, "double: STRING_VALUE can not be converted to a Double"],
    [{ flag: "true" }, "flag: STRING_VALUE can not be converted to a Boolean"],
    [{ at: "2026-11-02" }, "at: STRING_VALUE can not be converted to a Timestamp"],
    [{ at: 1e300 }, "at: NUMBER_VALUE can not be converted to a Timestamp"],
    [{ blob: "AA" }, "blob: the value is not valid base64"],
    [{ blob: "AB==" }, "blob: the value is not valid base64"],
    [{ blob: "A-_A" }, "blob: the value is not valid base64"],
    [{ blob: "AA AA" }, "blob: the value is not valid base64"],
    [{ map: [] }, "map: START_ARRAY can not be converted to a Map"],
    [{ list: {} }, "list: START_OBJECT can not be converted to a List"],
    [{ list: [null] }, "list.1.member: NULL_VALUE can not be converted to a String"],
    [{ self: { self: { text: 1 } } }, "self.self.text: NUMBER_VALUE can not be converted to a String"],
    // Such an input is refused for its form alone, wherever else it breaks a constraint.
    [{ text: "x", integer: "1" }, "integer: STRING_VALUE can not be converted to an Integer"],
  ];
  for (const [value, text] of cases) {
    test(text, () => {
      const result = validateShape(everyModel, "Input", value);
      assert.ok(!result.ok);
      assert.deepEqual(
        result.problems.map(({ rule, constraint }) => [rule, constraint]),
        [["type", text]],
      );
    });
  }
});

suite("what comes out", () => {
  test("the model's members, as it means them", () => {
    const value = {
      text: "ab",
      integer: -(2 ** 31),
      long: 2 ** 53 - 1,
      double: 0.5,
      flag: false,
      at: 1762070400.123,
      blob: "AQI=",
      map: { ab: "cd", ef: null },
      list: [],
      self: {},
      unknown: 1,
      secret: null,
    };
    assert.deepEqual(validateShape(everyModel, "Input", value), {
      ok: true,
      value: {
        text: "ab",
        integer: -(2 ** 31),
        long: 2 ** 53 - 1,
        double: 0.5,
        flag: false,
        at: 1762070400123,
        blob: Buffer.from([1, 2]),
        map: { ab: "cd" },
        list: [],
        self: {},
      },
    });
  });

  test("members that come another way are not asked for", () => {
    const value = { repositoryName: "shop", uploadId: "12345678-1234-1234-1234-123456789012", partFirstByte: 0, partLastByte: 1 };
    const result = validateShape(ecrModel, "UploadLayerPartRequest", value, { omit: ["layerPartBlob"] });
    assert.deepEqual(result, { ok: true, value });
    assert.equal(validateShape(ecrModel, "UploadLayerPartRequest", value).ok, false);
  });

  test("characters are counted, not their halves", () => {
    const ok = (text: string): boolean => validateShape(everyModel, "Input", { text }).ok;
    assert.deepEqual(["😀", "😀😀", "😀😀😀😀", "😀😀😀😀😀", "a😀"].map(ok), [false, true, true, false, true]);
  });

  test("names that every object has are no members, and __proto__ is a key like any other", () => {
    assert.deepEqual(validateShape(everyModel, "Input", JSON.parse('{"constructor":1,"__proto__":{"text":"x"}}') as Json), {
      ok: true,
      value: {},
    });
    const looseKeys = loadServiceModel({ ...ecr });
    const model = {
      ...looseKeys,
      shapes: new Map([...looseKeys.shapes, ["Map", { type: "map", key: { shape: "String" }, value: { shape: "String" } } as const]]),
    };
    const wrapped = new Map([
      ...model.shapes,
      ["Wrap", { type: "structure", members: { map: { shape: "Map" } }, required: [], isException: false } as const],
    ]);
    const result = validateShape({ ...model, shapes: wrapped }, "Wrap", JSON.parse('{"map":{"__proto__":"x"}}') as Json);
    assert.ok(result.ok);
    assert.deepEqual(Object.keys(result.value["map"] as object), ["__proto__"]);
  });

  test("a map's keys and values are checked, and their number", () => {
    const problems = (map: Json): string[] => {
      const result = validateShape(everyModel, "Input", { map });
      return result.ok ? [] : result.problems.map(({ path, rule }) => `${path} ${rule}`);
    };
    assert.deepEqual(problems({ ab: "ab", x: "too long" }), ["map.2.key length-min", "map.2.value length-max"]);
    assert.deepEqual(problems({ ab: "ab", cd: "ab", ef: "ab" }), ["map length-max"]);
  });

  test("the number of problems is bounded", () => {
    const imageIds = Array.from({ length: 100 }, () => ({ imageTag: "" }));
    const result = validateShape(ecrModel, "BatchGetImageRequest", { repositoryName: "shop", imageIds });
    assert.equal(result.ok ? 0 : result.problems.length, 20);
  });

  test("a caller's own test replaces a pattern", () => {
    const model = loadServiceModel(ecr, { patternTests: { RepositoryName: (text) => text === "ONLY" } });
    assert.equal(validateShape(model, "CreateRepositoryRequest", { repositoryName: "ONLY" }).ok, true);
    assert.equal(validateShape(model, "CreateRepositoryRequest", { repositoryName: "shop" }).ok, false);
  });
});
