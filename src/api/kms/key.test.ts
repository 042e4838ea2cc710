import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { callJson } from "../../../test/signed-call.ts";
import { addRoot, allow, base64, callKms, makeKey, policyOf } from "../../../test/kms-client.ts";

const account = "123456789012";
const root = `arn:aws:iam::${account}:root`;
const nowhere = "11111111-2222-4333-8444-555555555555";
const keyArn = (id: string, region = "eu-central-1"): string => `arn:aws:kms:${region}:${account}:key/${id}`;

let server: RegistryServer;
before(async () => {
  server = await startRegistryServer();
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

test("a key is made and described, and found by id and ARN", async () => {
  const Tags = [{ TagKey: "team", TagValue: "a" }];
  const { KeyMetadata: made } = await callKms(server, "CreateKey", { Description: "d", Tags });
  assert.ok(made !== undefined);
  const { CreationDate: at = 0, CurrentKeyMaterialId: material = "", ...rest } = made;
  assert.ok(Math.abs(at - server.core.clock.now() / 1000) < 60);
  assert.match(material, /^[0-9a-f]{64}$/);
  assert.deepEqual(rest, {
    AWSAccountId: account,
    KeyId: made.KeyId,
    Arn: keyArn(made.KeyId),
    Enabled: true,
    Description: "d",
    KeyUsage: "ENCRYPT_DECRYPT",
    KeyState: "Enabled",
    Origin: "AWS_KMS",
    KeyManager: "CUSTOMER",
    CustomerMasterKeySpec: "SYMMETRIC_DEFAULT",
    KeySpec: "SYMMETRIC_DEFAULT",
    EncryptionAlgorithms: ["SYMMETRIC_DEFAULT"],
    MultiRegion: false,
  });
  for (const KeyId of [made.KeyId, keyArn(made.KeyId)])
    assert.deepEqual((await callKms(server, "DescribeKey", { KeyId })).KeyMetadata, made);
  assert.deepEqual((await callKms(server, "ListResourceTags", { KeyId: made.KeyId })).Tags, Tags);
  await callKms(server, "UpdateKeyDescription", { KeyId: made.KeyId, Description: "" });
  assert.equal((await callKms(server, "DescribeKey", { KeyId: made.KeyId })).KeyMetadata?.Description, "");
});

test("what names no key says so", async () => {
  const { id } = await makeKey(server);
  const cases: readonly (readonly [string, string])[] = [
    [nowhere, `NotFoundException: Key '${keyArn(nowhere)}' does not exist`],
    [keyArn(nowhere), `NotFoundException: Key '${keyArn(nowhere)}' does not exist`],
    ["alias/none", `NotFoundException: Alias arn:aws:kms:eu-central-1:${account}:alias/none is not found.`],
    ["none", "NotFoundException: Invalid keyId 'none'"],
    [id.toUpperCase(), `NotFoundException: Invalid keyId '${id.toUpperCase()}'`],
    [`arn:aws:s3:::${id}`, `NotFoundException: Invalid keyId 'arn:aws:s3:::${id}'`],
    [keyArn(id, "us-east-1"), "NotFoundException: Invalid arn us-east-1"],
  ];
  for (const [KeyId, expected] of cases) assert.equal((await callKms(server, "DescribeKey", { KeyId })).refusal, expected);
  // Keys are of one region.
  assert.equal(
    (await callKms(server, "DescribeKey", { KeyId: id }, { region: "us-east-1" })).refusal,
    `NotFoundException: Key '${keyArn(id, "us-east-1")}' does not exist`,
  );
  await callKms(server, "CreateAlias", { AliasName: "alias/for-names", TargetKeyId: id });
  assert.equal(
    (await callKms(server, "DisableKey", { KeyId: "alias/for-names" })).refusal,
    "NotFoundException: Invalid keyId 'alias/for-names'",
  );
});

test("a stranger reads the same whether a key exists or not", async () => {
  const { arn } = await makeKey(server);
  const other = await addRoot(server, "210987654321");
  for (const KeyId of [arn, keyArn(nowhere)])
    assert.equal(
      (await callKms(server, "Encrypt", { KeyId, Plaintext: base64("x") }, { credentials: other })).refusal,
      `AccessDeniedException: User: arn:aws:iam::210987654321:root is not authorized to perform: kms:Encrypt on resource: ${KeyId} because no resource-based policy allows the kms:Encrypt action`,
    );
  // What manages keys takes those of the own account only.
  assert.equal(
    (await callKms(server, "DisableKey", { KeyId: arn }, { credentials: other })).refusal,
    `NotFoundException: Key '${arn}' does not exist`,
  );
});

test("only symmetric keys of one region are made", async () => {
  for (const input of [
    { KeySpec: "RSA_2048" },
    { CustomerMasterKeySpec: "HMAC_256" },
    { KeyUsage: "SIGN_VERIFY" },
    { Origin: "EXTERNAL" },
    { MultiRegion: true },
    { CustomKeyStoreId: "cks-1" },
  ] as const)
    assert.match(
      (await callKms(server, "CreateKey", input)).refusal ?? "",
      /^UnsupportedOperationException: This key management service does not support /,
    );
  assert.match(
    (
      await callKms(server, "CreateKey", {
        Tags: [
          { TagKey: "a", TagValue: "" },
          { TagKey: "a", TagValue: "" },
        ],
      })
    ).refusal ?? "",
    /^TagException: Duplicate tag keys/,
  );
});

test("keys are listed page by page, and markers belong to their listing", async () => {
  const region = "us-east-1";
  const made = new Set<string>();
  for (let at = 0; at < 5; at += 1) made.add((await makeKey(server, {}, { region })).arn);
  const seen = new Set<string>();
  let Marker: string | undefined;
  do {
    const page = await callKms(server, "ListKeys", { Limit: 2, ...(Marker !== undefined && { Marker }) }, { region });
    for (const key of page.Keys ?? []) seen.add(key.KeyArn ?? "");
    assert.equal(page.Truncated, page.NextMarker !== undefined);
    Marker = page.NextMarker;
    if (Marker !== undefined) {
      const foreign = [await callKms(server, "ListKeys", { Marker }), await callKms(server, "ListAliases", { Marker }, { region })];
      for (const { refusal } of foreign) assert.equal(refusal, "InvalidMarkerException: Could not deserialize marker");
    }
  } while (Marker !== undefined);
  assert.deepEqual(seen, made);
  assert.match((await callKms(server, "ListKeys", { Limit: 1001 })).refusal ?? "", /^ValidationException: 1 validation error detected/);
});

test("a deletion is scheduled and called off", async () => {
  const { id, arn } = await makeKey(server);
  const range = "1 validation error detected: Value '%' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value";
  for (const [days, bound] of [
    [6, "greater than or equal to 7"],
    [31, "less than or equal to 30"],
  ] as const)
    assert.equal(
      (await callKms(server, "ScheduleKeyDeletion", { KeyId: id, PendingWindowInDays: days })).refusal,
      `ValidationException: ${range.replace("%", String(days))} ${bound}`,
    );
  const { DeletionDate: at = 0, ...scheduled } = await callKms(server, "ScheduleKeyDeletion", { KeyId: id });
  assert.deepEqual(scheduled, { KeyId: arn, KeyState: "PendingDeletion", PendingWindowInDays: 30 });
  assert.ok(Math.abs(at - server.core.clock.now() / 1000 - 30 * 86_400) < 60);
  const { KeyMetadata: pending } = await callKms(server, "DescribeKey", { KeyId: id });
  assert.deepEqual([pending?.KeyState, pending?.Enabled, pending?.DeletionDate], ["PendingDeletion", false, at]);
  const refused = `KMSInvalidStateException: ${arn} is pending deletion.`;
  assert.equal((await callKms(server, "Encrypt", { KeyId: id, Plaintext: base64("x") })).refusal, refused);
  assert.equal((await callKms(server, "EnableKey", { KeyId: id })).refusal, refused);
  assert.equal((await callKms(server, "TagResource", { KeyId: id, Tags: [] })).refusal, refused);
  assert.equal((await callKms(server, "CreateAlias", { AliasName: "alias/late", TargetKeyId: id })).refusal, refused);
  assert.deepEqual(await callKms(server, "CancelKeyDeletion", { KeyId: id }), { KeyId: arn });
  assert.equal(
    (await callKms(server, "CancelKeyDeletion", { KeyId: id })).refusal,
    `KMSInvalidStateException: ${arn} is not pending deletion.`,
  );
  assert.equal((await callKms(server, "Encrypt", { KeyId: id, Plaintext: base64("x") })).refusal, `DisabledException: ${arn} is disabled.`);
  await callKms(server, "EnableKey", { KeyId: id });
  assert.equal((await callKms(server, "Encrypt", { KeyId: id, Plaintext: base64("x") })).refusal, undefined);
});

test("the service's own key is there when it is named, and its settings are nobody's", async () => {
  const KeyId = "alias/aws/ecr";
  const { KeyMetadata: key } = await callKms(server, "DescribeKey", { KeyId });
  assert.equal(key?.KeyManager, "AWS");
  assert.deepEqual((await callKms(server, "DescribeKey", { KeyId })).KeyMetadata, key);
  const id = key?.KeyId ?? "";
  for (const { refusal } of [
    await callKms(server, "DisableKey", { KeyId: id }),
    await callKms(server, "ScheduleKeyDeletion", { KeyId: id }),
    await callKms(server, "PutKeyPolicy", { KeyId: id, Policy: policyOf(allow(root, "kms:*")) }),
    await callKms(server, "Encrypt", { KeyId, Plaintext: base64("x") }),
    await callKms(server, "CreateGrant", { KeyId: id, GranteePrincipal: root, Operations: ["Decrypt"] }),
    await callKms(server, "CreateAlias", { AliasName: "alias/mine", TargetKeyId: id }),
  ])
    assert.match(refusal ?? "", /^AccessDeniedException: User: .* because no resource-based policy allows/);
  assert.equal((await callKms(server, "GetKeyRotationStatus", { KeyId: id })).KeyRotationEnabled, true);
});

test("rotation is switched, asked for by hand, and listed", async () => {
  const { id } = await makeKey(server);
  assert.deepEqual(await callKms(server, "GetKeyRotationStatus", { KeyId: id }), { KeyId: id, KeyRotationEnabled: false });
  await callKms(server, "EnableKeyRotation", { KeyId: id, RotationPeriodInDays: 90 });
  const { NextRotationDate: next = 0, ...status } = await callKms(server, "GetKeyRotationStatus", { KeyId: id });
  assert.deepEqual(status, { KeyId: id, KeyRotationEnabled: true, RotationPeriodInDays: 90 });
  assert.ok(Math.abs(next - server.core.clock.now() / 1000 - 90 * 86_400) < 60);
  await callKms(server, "DisableKeyRotation", { KeyId: id });
  assert.equal((await callKms(server, "GetKeyRotationStatus", { KeyId: id })).KeyRotationEnabled, false);
  for (let turn = 0; turn < 3; turn += 1) assert.deepEqual(await callKms(server, "RotateKeyOnDemand", { KeyId: id }), { KeyId: id });
  const first = await callKms(server, "ListKeyRotations", { KeyId: id, Limit: 2 });
  const second = await callKms(server, "ListKeyRotations", { KeyId: id, Limit: 2, Marker: first.NextMarker ?? "" });
  const rotations = [...(first.Rotations ?? []), ...(second.Rotations ?? [])];
  assert.deepEqual(
    rotations.map(({ RotationType, KeyMaterialState }) => `${RotationType} ${KeyMaterialState}`),
    ["ON_DEMAND NON_CURRENT", "ON_DEMAND NON_CURRENT", "ON_DEMAND CURRENT"],
  );
  assert.equal(second.Truncated, false);
  const all = await callKms(server, "ListKeyRotations", { KeyId: id, IncludeKeyMaterial: "ALL_KEY_MATERIAL" });
  assert.equal(all.Rotations?.length, 4);
});

test("tags and aliases are read and written", async () => {
  const [one, two] = [await makeKey(server), await makeKey(server)];
  await callKms(server, "TagResource", {
    KeyId: one.id,
    Tags: [
      { TagKey: "b", TagValue: "1" },
      { TagKey: "a", TagValue: "" },
    ],
  });
  await callKms(server, "UntagResource", { KeyId: one.arn, TagKeys: ["b", "missing"] });
  assert.deepEqual(await callKms(server, "ListResourceTags", { KeyId: one.id }), {
    Tags: [{ TagKey: "a", TagValue: "" }],
    Truncated: false,
  });
  const AliasName = "alias/team/web_1";
  await callKms(server, "CreateAlias", { AliasName, TargetKeyId: one.id });
  assert.match(
    (await callKms(server, "CreateAlias", { AliasName, TargetKeyId: two.id })).refusal ?? "",
    /^AlreadyExistsException: An alias with the name arn:/,
  );
  assert.equal((await callKms(server, "DescribeKey", { KeyId: AliasName })).KeyMetadata?.KeyId, one.id);
  await callKms(server, "UpdateAlias", { AliasName, TargetKeyId: two.arn });
  const [alias] = (await callKms(server, "ListAliases", { KeyId: two.id })).Aliases ?? [];
  const aliasArn = `arn:aws:kms:eu-central-1:${account}:${AliasName}`;
  assert.deepEqual([alias?.AliasName, alias?.AliasArn, alias?.TargetKeyId], [AliasName, aliasArn, two.id]);
  assert.equal((await callKms(server, "DescribeKey", { KeyId: aliasArn })).KeyMetadata?.KeyId, two.id);
  for (const name of ["alias/aws/ecr", "alias/", "web", "alias/a:b"])
    assert.match(
      (await callKms(server, "CreateAlias", { AliasName: name, TargetKeyId: one.id })).refusal ?? "",
      /^InvalidAliasNameException: /,
    );
  await callKms(server, "DeleteAlias", { AliasName });
  assert.equal((await callKms(server, "DeleteAlias", { AliasName })).refusal, `NotFoundException: Alias ${aliasArn} is not found.`);
});

test("signatures for other services are not for this one", async () => {
  const answer = await callJson(server, "TrentService.ListKeys", {}, { service: "ecr" });
  assert.equal(answer.json<{ readonly __type: string }>().__type, "InvalidSignatureException");
});
