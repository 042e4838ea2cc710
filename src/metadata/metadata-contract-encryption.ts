import assert from "node:assert/strict";
import { test } from "node:test";
import type { Database } from "./database.ts";
import { createKmsGrant, findKmsGrant } from "./kms-grants.ts";
import { createKmsKey } from "./kms-keys.ts";
import { purgeTombstones } from "./garbage.ts";
import { putManifest } from "./manifests.ts";
import { author, digestFor, keyOf, makeRepository, startAt, unique } from "./metadata-contract-fixture.ts";
import { deleteRepository, findRepository } from "./repositories.ts";
import { findRepositoryEncryption, listRepositoryEncryptions } from "./repository-encryption.ts";

/** What every database does with repositories that are encrypted under a key. */
export function encryptionContract(opened: () => Database): void {
  const encryption = (keyArn: string) => ({
    keyArn,
    contentGrantId: unique("grant"),
    manageGrantId: unique("grant"),
    wrappedKey: "wrapped",
    sealedSecret: "sealed",
    sealedInnerSecret: undefined,
  });

  test("the encryption of a repository is found with it, by its domain, and by its key", async () => {
    const db = opened();
    const accountId = unique("account");
    const [one, two] = [encryption("arn:one"), encryption("arn:one")];
    const shared = { accountId, encryptionType: "KMS", protectionDomain: "arn:one#1" } as const;
    const first = await makeRepository(db, { ...shared, encryption: one });
    const second = await makeRepository(db, { ...shared, encryption: two });
    assert.equal((await findRepository(db, keyOf(first)))?.kmsKeyArn, "arn:one");
    const found = await findRepositoryEncryption(db, first.repositoryId);
    const place = { accountId, region: first.region, protectionDomain: "arn:one#1" };
    assert.deepEqual(found, { ...one, ...place, repositoryId: first.repositoryId, repositoryName: first.name });
    const ids = async (filter: Parameters<typeof listRepositoryEncryptions>[1]["filter"], limit = 10) =>
      (await listRepositoryEncryptions(db, { accountId, filter, limit })).map(({ repositoryId }) => repositoryId);
    assert.deepEqual(await ids({ protectionDomain: "arn:one#1" }), [second.repositoryId, first.repositoryId]);
    assert.deepEqual(await ids({ keyArn: "arn:one", encryptionType: "KMS" }, 1), [second.repositoryId]);
    assert.deepEqual(await ids({ keyArn: "arn:one", encryptionType: "KMS_DSSE" }), []);
    assert.equal(await findRepositoryEncryption(db, (await makeRepository(db)).repositoryId), undefined);
  });

  test("an encrypted repository takes no manifest that is not sealed for it", async () => {
    const db = opened();
    const keyed = { encryptionType: "KMS", protectionDomain: "arn:two#1", encryption: encryption("arn:two") } as const;
    const { repositoryId, ...repository } = await makeRepository(db, keyed);
    const input = {
      key: { accountId: repository.accountId, region: repository.region, name: repository.name },
      digest: digestFor("sealed"),
      mediaType: "application/vnd.oci.image.index.v1+json",
      kind: "index" as const,
      bytes: Buffer.from("plain"),
      layers: [],
      children: [],
      contentSizeBytes: 0,
      tags: [],
      allowMissingChildren: false,
      whenSame: "accept" as const,
      maxManifests: 10,
      maxTagsPerManifest: 10,
      author: author(),
    };
    assert.deepEqual(await putManifest(db, input), { outcome: "unsealed", repositoryId });
    const foreign = { repositoryId: repositoryId + 1, bytes: Buffer.from("sealed") };
    assert.deepEqual(await putManifest(db, { ...input, sealed: foreign }), { outcome: "unsealed", repositoryId });
    const stored = await putManifest(db, { ...input, sealed: { repositoryId, bytes: Buffer.from("sealed, and longer") } });
    assert.ok(stored.outcome === "stored");
    assert.equal(stored.manifest.sizeBytes, 5);
  });

  test("the grants of a repository go when it is gone for good, and not before", async () => {
    const db = opened();
    const own = encryption("arn:three");
    const keyId = unique("key");
    const scope = { accountId: unique("account"), region: "eu-west-1" };
    const policy = { document: "{}", principals: {} };
    const key = { ...scope, keyId, description: "", manager: "CUSTOMER", policy, tags: {}, rotation: undefined, alias: undefined } as const;
    await createKmsKey(db, { ...key, materialId: "m", sealed: "s", now: startAt, limit: 10 });
    for (const grantId of [own.contentGrantId, own.manageGrantId]) {
      const nobody = { name: undefined, grantee: "s", granteeKey: "s", retiring: undefined, retiringKey: undefined };
      const grant = { ...nobody, grantId, keyId, issuingAccount: scope.accountId, operations: ["Decrypt"], constraint: undefined };
      await createKmsGrant(db, { ...grant, fingerprint: undefined, onlyIn: ["Enabled"], limit: 10, createdAt: startAt });
    }
    const repository = await makeRepository(db, { encryptionType: "KMS", protectionDomain: "arn:three#1", encryption: own });
    await deleteRepository(db, { key: keyOf(repository), force: true, author: author() });
    await purgeTombstones(db, { deletedBefore: startAt - 1, limit: 100 });
    assert.ok((await findKmsGrant(db, own.contentGrantId)) !== undefined);
    while ((await purgeTombstones(db, { deletedBefore: startAt, limit: 100 })) > 0);
    assert.equal(await findRepositoryEncryption(db, repository.repositoryId), undefined);
    assert.equal(await findKmsGrant(db, own.contentGrantId), undefined);
    assert.equal(await findKmsGrant(db, own.manageGrantId), undefined);
  });
}
