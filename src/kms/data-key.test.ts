import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { kmsKeyArn } from "./arn.ts";
import { encrypt } from "./crypt.ts";
import { unwrapDataKey, wrapDataKey } from "./data-key.ts";
import type { ServiceUse } from "./data-key.ts";
import type { EncryptionContext } from "./encryption-context.ts";
import { deleteGrant, grantToService } from "./grant.ts";
import { disableKey, enableKey, scheduleKeyDeletion } from "./key.ts";
import { openTestKms, refused } from "./testing/test-kms.ts";
import type { TestKms } from "./testing/test-kms.ts";

const service = "ecr.eu-west-1.amazonaws.com";
const context: EncryptionContext = { "aws:ecr:arn": "arn:aws:ecr:eu-west-1:111111111111:repository/a" };

let kms: TestKms;
before(async () => {
  kms = await openTestKms();
});
after(() => kms.close());

async function granted(): Promise<{ readonly key: Awaited<ReturnType<TestKms["createKey"]>>; readonly use: ServiceUse }> {
  const key = await kms.createKey();
  const request = { service, issuingAccount: "111111111111", operations: ["GenerateDataKey", "Decrypt"], context };
  const { grantId } = await grantToService(kms.core, key, request);
  return { key, use: { keyArn: kmsKeyArn(key), service, grantId, context: { ...context, digest: "sha256:1" } } };
}

test("a data key opens again with its context", async () => {
  const { use } = await granted();
  const { plain, wrapped } = await wrapDataKey(kms.core, use);
  assert.equal(plain.length, 32);
  assert.deepEqual(await unwrapDataKey(kms.core, use, wrapped), plain);
  const elsewhere = { ...use, context: { ...context, digest: "sha256:2" } };
  await assert.rejects(unwrapDataKey(kms.core, elsewhere, wrapped), refused("ciphertext-invalid"));
});

test("without the grant there is no data key", async () => {
  const { key, use } = await granted();
  const other = await granted();
  const { wrapped } = await wrapDataKey(kms.core, use);
  const refusals: readonly ServiceUse[] = [
    { ...use, service: "s3.eu-west-1.amazonaws.com" },
    { ...use, grantId: other.use.grantId },
    { ...use, grantId: "0".repeat(64) },
    { ...use, context: { digest: "sha256:1" } },
  ];
  for (const wrong of refusals) {
    await assert.rejects(wrapDataKey(kms.core, wrong), refused("not-granted"));
    await assert.rejects(unwrapDataKey(kms.core, wrong, wrapped), refused("not-granted"));
  }
  await deleteGrant(kms.core, key, use.grantId);
  await assert.rejects(unwrapDataKey(kms.core, use, wrapped), refused("not-granted"));
});

test("without the key there is no data key", async () => {
  const { key, use } = await granted();
  const { plain, wrapped } = await wrapDataKey(kms.core, use);
  await disableKey(kms.ctx, key);
  await assert.rejects(unwrapDataKey(kms.core, use, wrapped), refused("key-disabled"));
  await assert.rejects(wrapDataKey(kms.core, use), refused("key-disabled"));
  await enableKey(kms.ctx, key);
  assert.deepEqual(await unwrapDataKey(kms.core, use, wrapped), plain);
  await assert.rejects(unwrapDataKey(kms.strangers, use, wrapped), refused("material-unavailable"));
  await scheduleKeyDeletion(kms.ctx, key, 7);
  await assert.rejects(unwrapDataKey(kms.core, use, wrapped), refused("key-pending-deletion"));
  for (const keyArn of [
    key.keyId,
    "alias/x",
    use.keyArn.replace("111111111111", "222222222222"),
    use.keyArn.replace("eu-west-1", "eu-west-2"),
  ])
    await assert.rejects(unwrapDataKey(kms.core, { ...use, keyArn }, wrapped), refused("key-not-found"));
});

test("what is no data key of the key is refused", async () => {
  const { key, use } = await granted();
  const other = await granted();
  const { wrapped } = await wrapDataKey(kms.core, other.use);
  await assert.rejects(unwrapDataKey(kms.core, use, wrapped), refused("key-incorrect"));
  const { ciphertext } = await encrypt(kms.core, key, Buffer.from("short"), use.context);
  await assert.rejects(unwrapDataKey(kms.core, use, ciphertext), refused("ciphertext-invalid"));
});
