/** What the registry may rely on, of the built-in keys and of those that another server keeps: there are really two servers. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { KeyService, KeyUse } from "#registry/key-service.ts";
import { KeyRefusal } from "#registry/key-service.ts";
import { silentLog } from "#std/log.ts";
import { callKms, makeKey } from "../../test/kms-client.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { RegistryServer } from "../../test/registry-server.ts";
import { createAwsKeyService } from "./aws-key-service.ts";
import { createKeyService } from "./key-service.ts";

let own: RegistryServer;
let other: RegistryServer;
before(async () => {
  [own, other] = [await startRegistryServer(), await startRegistryServer()];
});
after(async () => {
  await Promise.all([own.close(), other.close()]);
});

interface Setup {
  readonly keys: KeyService;
  /** Who keeps the keys. */
  readonly keeper: RegistryServer;
  /** What was opened may be known for this long. */
  readonly forget: () => void;
}

const setups: Readonly<Record<"built-in" | "elsewhere", () => Setup>> = {
  "built-in": () => ({ keys: own.core.keys, keeper: own, forget() {} }),
  elsewhere: () => {
    let now = 0;
    const { url: endpoint, credentials } = other;
    const clock = { now: () => now };
    const keys = createKeyService(own.core, createAwsKeyService({ endpoint, credentials, clock, log: silentLog }));
    return { keys, keeper: other, forget: () => void (now += 1_000) };
  },
};

const arnOf = (name: string): string => `arn:aws:ecr:eu-central-1:123456789012:repository/${name}`;

/** A repository's use of a key, as its creation leaves it. */
async function useOf({ keys, keeper }: Setup, reference: string, name = "team/shop"): Promise<KeyUse> {
  const registry = { accountId: keeper.accountId, region: keeper.region };
  const keyArn = await keys.resolve(registry, reference);
  const { contentGrantId } = await keys.grant(keyArn, registry, arnOf(name));
  return { keyArn, grantId: contentGrantId, region: keeper.region, repositoryArn: arnOf(name) };
}

const refusedAs =
  (kmsError: string, text = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KeyRefusal, String(error));
    assert.equal(error.kmsError, kmsError, error.message);
    assert.match(error.message === "" ? " " : error.message, text);
    return true;
  };

for (const [which, setUp] of Object.entries(setups)) {
  test(`${which}: a key is found by id, ARN and alias`, async () => {
    const { keys, keeper } = setUp();
    const made = await makeKey(keeper);
    const alias = `alias/${which}`;
    await callKms(keeper, "CreateAlias", { AliasName: alias, TargetKeyId: made.id });
    const registry = { accountId: keeper.accountId, region: keeper.region };
    for (const reference of [made.id, made.arn, alias]) assert.equal(await keys.resolve(registry, reference), made.arn);
    assert.match(await keys.resolve(registry, undefined), /^arn:aws:kms:eu-central-1:123456789012:key\//);
    await assert.rejects(keys.resolve(registry, "alias/none"), refusedAs("NotFoundException"));
    await assert.rejects(keys.resolve({ ...registry, region: "us-east-1" }, made.arn), refusedAs("NotFoundException"));
  });

  test(`${which}: what was wrapped opens for the same repository and key, and for nothing else`, async () => {
    const setup = setUp();
    const [key, another] = [await makeKey(setup.keeper), await makeKey(setup.keeper)];
    const use = await useOf(setup, key.id);
    const { plain, wrapped } = await setup.keys.wrap(use);
    assert.equal(plain.length, 32);
    assert.deepEqual(Buffer.from(await setup.keys.unwrap(use, wrapped)), Buffer.from(plain));
    const stranger = await useOf(setup, key.id, "team/other");
    await assert.rejects(setup.keys.unwrap(stranger, wrapped), refusedAs("InvalidCiphertextException"));
    const misplaced = await useOf(setup, another.id);
    await assert.rejects(setup.keys.unwrap(misplaced, wrapped), refusedAs("IncorrectKeyException"));
    const altered = Buffer.from(wrapped);
    altered.writeUInt8(altered.readUInt8(altered.length - 1) ^ 1, altered.length - 1);
    await assert.rejects(setup.keys.unwrap(use, altered), refusedAs("InvalidCiphertextException"));
  });

  test(`${which}: a key that is disabled or going to be deleted opens nothing, and is no key for a new repository`, async () => {
    const setup = setUp();
    const { keys, keeper, forget } = setup;
    const { id: KeyId, arn } = await makeKey(keeper);
    const registry = { accountId: keeper.accountId, region: keeper.region };
    const use = await useOf(setup, KeyId);
    const { wrapped } = await keys.wrap(use);
    await keys.unwrap(use, wrapped);
    const isRefused = async (code: string, state: RegExp): Promise<void> => {
      forget();
      await assert.rejects(keys.unwrap(use, wrapped), refusedAs(code, state));
      await assert.rejects(keys.wrap(use), refusedAs(code, state));
      const creation = keys.resolve(registry, KeyId).then((keyArn) => keys.grant(keyArn, registry, arnOf("team/new")));
      await assert.rejects(creation, refusedAs(code, state));
    };
    await callKms(keeper, "DisableKey", { KeyId });
    await isRefused("DisabledException", /is disabled\.$/);
    await callKms(keeper, "EnableKey", { KeyId });
    await keys.unwrap(use, wrapped);
    await callKms(keeper, "ScheduleKeyDeletion", { KeyId, PendingWindowInDays: 7 });
    await isRefused("KMSInvalidStateException", /pending deletion|PendingDeletion/);
    await keys.retire(arn, { contentGrantId: use.grantId, manageGrantId: use.grantId });
  });
}

test("when the setting changes, each repository stays with who wrapped its key", async () => {
  const [here, elsewhere] = [setups["built-in"](), setups.elsewhere()];
  const [ownUse, otherUse] = [await useOf(here, (await makeKey(own)).id), await useOf(elsewhere, (await makeKey(other)).id)];
  const [ownKey, otherKey] = [await here.keys.wrap(ownUse), await elsewhere.keys.wrap(otherUse)];
  assert.deepEqual(Buffer.from(await elsewhere.keys.unwrap(ownUse, ownKey.wrapped)), Buffer.from(ownKey.plain));
  const told = /is a key of another key management service, and SUPERCARGO_KMS is 'built-in'/;
  await assert.rejects(here.keys.unwrap(otherUse, otherKey.wrapped), refusedAs("KeyUnavailableException", told));
  // Even where the same key is known in both places: what says who wrapped it cannot be taken for a ciphertext.
  await assert.rejects(here.keys.unwrap(ownUse, otherKey.wrapped), refusedAs("KeyUnavailableException"));
});

test("elsewhere no grants are made, and an opened key is known for less than a second", async () => {
  const setup = setups.elsewhere();
  const { id: KeyId } = await makeKey(other);
  const use = await useOf(setup, KeyId);
  assert.equal((await callKms(other, "ListGrants", { KeyId })).Grants?.length, 0);
  const { plain, wrapped } = await setup.keys.wrap(use);
  const [one, two] = await Promise.all([setup.keys.unwrap(use, wrapped), setup.keys.unwrap(use, wrapped)]);
  assert.equal(one, two, "they share one answer");
  await callKms(other, "DisableKey", { KeyId });
  assert.deepEqual(Buffer.from(await setup.keys.unwrap(use, wrapped)), Buffer.from(plain));
  setup.forget();
  await assert.rejects(setup.keys.unwrap(use, wrapped), refusedAs("DisabledException"));
  await callKms(other, "EnableKey", { KeyId });
  await setup.keys.unwrap(use, wrapped);
});
