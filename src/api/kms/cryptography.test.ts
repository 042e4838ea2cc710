import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { base64, callKms, makeKey } from "../../../test/kms-client.ts";

const Plaintext = base64("attack at dawn");
const EncryptionContext = { purpose: "test", "aws:ecr:arn": "arn" };

let server: RegistryServer;
let key: { readonly id: string; readonly arn: string };
let other: typeof key;
before(async () => {
  server = await startRegistryServer();
  key = await makeKey(server);
  other = await makeKey(server);
  await callKms(server, "CreateAlias", { AliasName: "alias/crypt", TargetKeyId: key.id });
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

async function seal(more: object = {}): Promise<string> {
  return (await callKms(server, "Encrypt", { KeyId: "alias/crypt", Plaintext, ...more })).CiphertextBlob ?? "";
}

test("what is encrypted is decrypted, with or without the key named", async () => {
  const sealed = await callKms(server, "Encrypt", { KeyId: "alias/crypt", Plaintext, EncryptionContext });
  assert.deepEqual([sealed.KeyId, sealed.EncryptionAlgorithm], [key.arn, "SYMMETRIC_DEFAULT"]);
  const CiphertextBlob = sealed.CiphertextBlob ?? "";
  for (const more of [{}, { KeyId: key.id }, { KeyId: key.arn }, { KeyId: "alias/crypt" }]) {
    const opened = await callKms(server, "Decrypt", { CiphertextBlob, EncryptionContext, ...more });
    assert.deepEqual([opened.Plaintext, opened.KeyId], [Plaintext, key.arn]);
  }
});

test("what is not whole, or not of the context, or of another key, is refused", async () => {
  const CiphertextBlob = await seal({ EncryptionContext });
  const invalid = "InvalidCiphertextException: ";
  const bytes = Buffer.from(CiphertextBlob, "base64");
  const changed = Buffer.from(bytes);
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
  const elsewhere = Buffer.from(bytes);
  elsewhere.fill(7, 1, 17);
  const unknown =
    "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.";
  const cases: readonly (readonly [Parameters<typeof callKms<"Decrypt">>[2], string])[] = [
    [{ CiphertextBlob }, invalid],
    [{ CiphertextBlob, EncryptionContext: { ...EncryptionContext, more: "" } }, invalid],
    [{ CiphertextBlob: changed.toString("base64"), EncryptionContext }, invalid],
    [{ CiphertextBlob: bytes.subarray(0, 60).toString("base64"), EncryptionContext }, invalid],
    [{ CiphertextBlob: base64("nonsense") }, invalid],
    [{ CiphertextBlob: elsewhere.toString("base64"), EncryptionContext }, `AccessDeniedException: ${unknown}`],
    [
      { CiphertextBlob, EncryptionContext, KeyId: other.id },
      "IncorrectKeyException: The key ID in the request does not identify a CMK that can perform this operation.",
    ],
    [
      {},
      "ValidationException: 1 validation error detected: Value at 'ciphertextBlob' failed to satisfy constraint: Member must not be null",
    ],
  ];
  for (const [input, expected] of cases) assert.equal((await callKms(server, "Decrypt", input)).refusal, expected, JSON.stringify(input));
  const abroad = await callKms(server, "Decrypt", { CiphertextBlob, EncryptionContext }, { region: "us-east-1" });
  assert.equal(abroad.refusal, `AccessDeniedException: ${unknown}`);
});

test("what was encrypted before a rotation is still decrypted", async () => {
  const CiphertextBlob = await seal();
  await callKms(server, "RotateKeyOnDemand", { KeyId: key.id });
  const before_ = await callKms(server, "Decrypt", { CiphertextBlob });
  const after_ = await callKms(server, "Decrypt", { CiphertextBlob: await seal() });
  assert.deepEqual([before_.Plaintext, after_.Plaintext], [Plaintext, Plaintext]);
  assert.notEqual(before_.KeyMaterialId, after_.KeyMaterialId);
});

test("data keys are as long as asked, and open again", async () => {
  for (const [ask, bytes] of [
    [{ KeySpec: "AES_128" }, 16],
    [{ KeySpec: "AES_256" }, 32],
    [{ NumberOfBytes: 1024 }, 1024],
  ] as const) {
    const made = await callKms(server, "GenerateDataKey", { KeyId: key.id, EncryptionContext, ...ask });
    assert.equal(Buffer.from(made.Plaintext ?? "", "base64").length, bytes);
    assert.equal(made.KeyId, key.arn);
    const opened = await callKms(server, "Decrypt", { CiphertextBlob: made.CiphertextBlob ?? "", EncryptionContext });
    assert.equal(opened.Plaintext, made.Plaintext);
    const hidden = await callKms(server, "GenerateDataKeyWithoutPlaintext", { KeyId: key.id, ...ask });
    assert.deepEqual(Object.keys(hidden).toSorted(), ["CiphertextBlob", "KeyId", "KeyMaterialId"]);
  }
  for (const ask of [{}, { KeySpec: "AES_128", NumberOfBytes: 16 }] as const)
    assert.equal(
      (await callKms(server, "GenerateDataKey", { KeyId: key.id, ...ask })).refusal,
      "ValidationException: Please specify either number of bytes or key spec.",
    );
});

test("random bytes are as many as asked", async () => {
  const made = await Promise.all(Array.from({ length: 3 }, () => callKms(server, "GenerateRandom", { NumberOfBytes: 1024 })));
  assert.equal(new Set(made.map(({ Plaintext: bytes }) => bytes)).size, 3);
  for (const { Plaintext: bytes = "" } of made) assert.equal(Buffer.from(bytes, "base64").length, 1024);
  assert.match((await callKms(server, "GenerateRandom", {})).refusal ?? "", /^ValidationException: /);
});

test("re-encrypting moves a text to another key and context", async () => {
  const CiphertextBlob = await seal({ EncryptionContext });
  const DestinationEncryptionContext = { now: "here" };
  const moved = await callKms(server, "ReEncrypt", {
    CiphertextBlob,
    SourceEncryptionContext: EncryptionContext,
    DestinationKeyId: other.id,
    DestinationEncryptionContext,
  });
  assert.deepEqual([moved.SourceKeyId, moved.KeyId], [key.arn, other.arn]);
  const opened = await callKms(server, "Decrypt", {
    CiphertextBlob: moved.CiphertextBlob ?? "",
    EncryptionContext: DestinationEncryptionContext,
    KeyId: other.id,
  });
  assert.equal(opened.Plaintext, Plaintext);
  const wrong = await callKms(server, "ReEncrypt", { CiphertextBlob, DestinationKeyId: other.id });
  assert.equal(wrong.refusal, "InvalidCiphertextException: ");
});

test("a dry run says what would be, and answers nothing", async () => {
  const CiphertextBlob = await seal();
  const dry = "DryRunOperationException: The request would have succeeded, but the DryRun option is set.";
  const DryRun = true;
  for (const { refusal } of [
    await callKms(server, "Encrypt", { KeyId: key.id, Plaintext, DryRun }),
    await callKms(server, "Decrypt", { CiphertextBlob, DryRun }),
    await callKms(server, "Decrypt", { KeyId: key.id, DryRun, DryRunModifiers: ["IGNORE_CIPHERTEXT"] }),
    await callKms(server, "ReEncrypt", { CiphertextBlob, DestinationKeyId: other.id, DryRun }),
    await callKms(server, "GenerateDataKey", { KeyId: key.id, KeySpec: "AES_256", DryRun }),
    await callKms(server, "GenerateDataKeyWithoutPlaintext", { KeyId: key.id, KeySpec: "AES_256", DryRun }),
  ])
    assert.equal(refusal, dry);
  assert.equal((await callKms(server, "Decrypt", { CiphertextBlob: base64("no"), DryRun })).refusal, "InvalidCiphertextException: ");
});

test("what this service does not do is said", async () => {
  const algorithm = await callKms(server, "Encrypt", { KeyId: key.id, Plaintext, EncryptionAlgorithm: "RSAES_OAEP_SHA_256" });
  assert.match(algorithm.refusal ?? "", /^InvalidKeyUsageException: /);
  const recipient = await callKms(server, "GenerateRandom", { NumberOfBytes: 1, Recipient: {} });
  assert.match(recipient.refusal ?? "", /^UnsupportedOperationException: /);
  const folded = await callKms(server, "Encrypt", { KeyId: key.id, Plaintext, EncryptionContext: { team: "a", TEAM: "b" } });
  assert.match(folded.refusal ?? "", /^ValidationException: The encryption context is not valid/);
  const token = await callKms(server, "Encrypt", { KeyId: key.id, Plaintext, GrantTokens: ["nonsense"] });
  assert.equal(token.refusal, "InvalidGrantTokenException: The grant token is not valid.");
});
