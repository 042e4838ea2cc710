import assert from "node:assert/strict";
import test from "node:test";
import { makeInstanceKey } from "#sealing/instance-key.ts";
import { createSealer } from "#sealing/sealer.ts";
import { systemRandom } from "#std/random.ts";
import { openToken, readCredentials, sealToken } from "./token.ts";

const sealer = createSealer([makeInstanceKey(systemRandom)], systemRandom);
const claims = {
  accessKeyId: "AKIARZPUZDIKLZYHJPTQ",
  principalId: "123456789012",
  keyVersion: "abcdefghijkl",
  region: "us-east-1",
  expiresAt: 1_800_000_000_000,
};

test("a token opens to what was put in", () => assert.deepEqual(openToken(sealer, sealToken(sealer, claims)), claims));

test("a token is short and has no colon, even with the longest key id", () => {
  for (const accessKeyId of [claims.accessKeyId, "A".repeat(128)]) {
    const token = sealToken(sealer, { ...claims, accessKeyId, region: "us-isob-northeast-1" });
    assert.ok(token.length < 400, String(token.length));
    assert.match(token, /^[A-Za-z0-9_-]+$/);
  }
});

test("what was sealed for another purpose, or in a later form, is no token", () => {
  const plain = Buffer.from(JSON.stringify([1, "a", "b", "c", "d", 1]));
  assert.equal(openToken(sealer, sealer.seal("page-token", plain)), undefined);
  assert.equal(openToken(sealer, sealer.seal("registry-token", Buffer.from('[2,"a"]'))), undefined);
  assert.equal(openToken(sealer, "nonsense"), undefined);
});

test("credentials in an Authorization header", () => {
  const encode = (text: string): string => Buffer.from(text).toString("base64");
  const rows: readonly (readonly [string, object])[] = [
    [`Basic ${encode("AWS:secret")}`, { kind: "password", password: "secret" }],
    [`basic ${encode("AWS:secret")}`, { kind: "password", password: "secret" }],
    [`BASIC   ${encode("AWS:secret")}`, { kind: "password", password: "secret" }],
    [`Bearer ${encode("AWS:secret")}`, { kind: "password", password: "secret" }],
    [`Basic ${encode("AWS:secret").replace(/=+$/, "")}`, { kind: "password", password: "secret" }],
    [`Basic ${encode("AWS:a:b")}`, { kind: "password", password: "a:b" }],
    [`Basic ${encode("AWS:")}`, { kind: "password", password: "" }],
    [`Basic ${encode("aws:secret")}`, { kind: "other-user" }],
    [`Basic ${encode("root:secret")}`, { kind: "other-user" }],
    [`Basic ${encode(":secret")}`, { kind: "other-user" }],
    [`Basic ${encode("AWS")}`, { kind: "malformed" }],
    ["Basic", { kind: "malformed" }],
    ["Basic ", { kind: "malformed" }],
    ["Basic !!!", { kind: "malformed" }],
    [`Basic ${encode("AWS:secret")} more`, { kind: "malformed" }],
    [`Digest ${encode("AWS:secret")}`, { kind: "malformed" }],
    [encode("AWS:secret"), { kind: "malformed" }],
    ["AWS4-HMAC-SHA256 Credential=x", { kind: "malformed" }],
    [`Basic ${encode(`AWS:${"x".repeat(4096)}`)}`, { kind: "malformed" }],
    [`Basic ${" ".repeat(4000)}!`, { kind: "malformed" }],
  ];
  for (const [header, expected] of rows) assert.deepEqual(readCredentials(header), expected, header);
});
