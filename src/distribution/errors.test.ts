import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RegistryError, refuse } from "#registry/errors.ts";
import type { RegistryErrorDetails, RegistryErrorKind } from "#registry/errors.ts";
import { registryFault, registryFaults } from "./errors.ts";

const repository = { registryId: "123456789012", repositoryName: "team/app" };
const digest = `sha256:${"0".repeat(64)}`;

type Case = { [K in RegistryErrorKind]: readonly [K, RegistryErrorDetails[K], number, string, RegExp] }[RegistryErrorKind];

const cases: readonly Case[] = [
  [
    "repository-not-found",
    repository,
    404,
    "NAME_UNKNOWN",
    /^The repository with name 'team\/app' does not exist in the registry with id '123456789012'$/,
  ],
  ["manifest-not-found", { ...repository, tag: "v1" }, 404, "MANIFEST_UNKNOWN", /^Requested image not found$/],
  [
    "manifest-archived",
    { ...repository, tag: "v1", status: "ARCHIVED" },
    404,
    "MANIFEST_UNKNOWN",
    /is archived in the repository .* Restore it/,
  ],
  ["manifest-archived", { ...repository, tag: "v1", status: "ACTIVATING" }, 404, "MANIFEST_UNKNOWN", /is being restored from the archive/],
  ["storage-class-refused", { ...repository, digest: "sha256:1", reason: "no" }, 400, "UNSUPPORTED", /cannot be updated: no$/],
  [
    "tag-immutable",
    { ...repository, tag: "v1" },
    400,
    "TAG_INVALID",
    /^The image tag 'v1' already exists in the 'team\/app' repository and cannot be overwritten because the tag is immutable\.$/,
  ],
  [
    "manifest-blobs-missing",
    { ...repository, digests: ["sha256:a", "sha256:b"] },
    404,
    "MANIFEST_BLOB_UNKNOWN",
    /^Layers with digests '\[sha256:a, sha256:b\]' required for pushing image into repository with name 'team\/app' in the registry with id '123456789012' do not exist$/,
  ],
  [
    "manifest-children-missing",
    { ...repository, digests: ["sha256:a"] },
    404,
    "MANIFEST_BLOB_UNKNOWN",
    /^Images with digests '\[sha256:a\]'/,
  ],
  ["manifest-referenced", { ...repository, digest, parents: ["sha256:p"] }, 405, "UNSUPPORTED", /manifest list: \[sha256:p\]$/],
  ["manifest-too-large", { limitBytes: 4_194_304 }, 413, "SIZE_INVALID", /4194304/],
  ["manifest-invalid", { problem: "bad" }, 400, "MANIFEST_INVALID", /bad/],
  ["digest-mismatch", { expected: "sha256:a", actual: "sha256:b" }, 400, "DIGEST_INVALID", /sha256:a.*sha256:b/],
  [
    "blob-not-found",
    { ...repository, digest },
    404,
    "BLOB_UNKNOWN",
    /^The layer with digest 'sha256:0+' does not exist within the repository/,
  ],
  ["blob-referenced", { ...repository, digest }, 405, "UNSUPPORTED", /referenced/],
  ["upload-not-found", { ...repository, uploadId: "u" }, 404, "BLOB_UPLOAD_UNKNOWN", /'u'/],
  ["upload-size", { announcedBytes: 5, receivedBytes: 4 }, 400, "SIZE_INVALID", /4 bytes instead of 5/],
  ["upload-busy", { ...repository, uploadId: "u" }, 429, "TOOMANYREQUESTS", /^Rate exceeded/],
  ["limit-exceeded", { message: "Too much" }, 403, "DENIED", /^Too much$/],
  [
    "key-unusable",
    { ...repository, kmsError: "InvalidCiphertextException", reason: "" },
    403,
    "DENIED",
    /cannot be used: InvalidCiphertextException$/,
  ],
  ["storage-full", {}, 507, "UNKNOWN", /disk is full/],
];

describe("refusals in OCI's codes and ECR's words", () => {
  for (const [kind, detail, status, code, message] of cases) {
    test(kind, () => {
      const fault = registryFault(caught(kind, detail as never));
      assert.deepEqual([fault.status, fault.code], [status, code]);
      assert.match(fault.message, message);
    });
  }
});

test("a wrong offset says where to go on", () => {
  const fault = registryFault(caught("upload-range", { ...repository, uploadId: "u-1", firstByte: 9, receivedBytes: 5 }));
  assert.equal(fault.status, 416);
  assert.equal(fault.message, "First byte of the layer part is 9 instead of 5");
  assert.deepEqual(fault.headers, ["Location", "/v2/team/app/blobs/uploads/u-1", "Range", "0-4", "Docker-Upload-UUID", "u-1"]);
});

test("every row has an error status and a code of upper-case letters and underscores", () => {
  for (const [kind, row] of Object.entries(registryFaults)) {
    assert.ok(row.status >= 400 && row.status < 600, kind);
    assert.match(row.code, /^[A-Z_]+$/, kind);
  }
});

test("long text from a client is cut", () => {
  const fault = registryFault(caught("digest-invalid", { digest: "x".repeat(10_000), problem: "no" }));
  assert.ok(fault.message.length < 400);
});

function caught<K extends RegistryErrorKind>(kind: K, detail: RegistryErrorDetails[K]): RegistryError["refusal"] {
  try {
    return refuse(kind, detail);
  } catch (error) {
    assert.ok(error instanceof RegistryError);
    return error.refusal;
  }
}
