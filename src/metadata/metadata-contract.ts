/** What the metadata room promises, as a suite: SQLite and Postgres keep every line of it. */
import { after, before, suite } from "node:test";
import type { Database } from "./database.ts";
import { accountContract } from "./metadata-contract-accounts.ts";
import { blobContract, uploadContract } from "./metadata-contract-blobs.ts";
import { creationTemplateContract, pullTimeContract } from "./metadata-contract-creation-templates.ts";
import { eventContract } from "./metadata-contract-events.ts";
import { fullContract } from "./metadata-contract-full.ts";
import { garbageContract, tombstoneContract } from "./metadata-contract-garbage.ts";
import { encryptionContract } from "./metadata-contract-encryption.ts";
import { kmsContract } from "./metadata-contract-kms.ts";
import { lifecycleContract } from "./metadata-contract-lifecycle.ts";
import { manifestDeleteContract, manifestPutContract } from "./metadata-contract-manifests.ts";
import { pagingContract } from "./metadata-contract-paging.ts";
import { policyContract } from "./metadata-contract-policies.ts";
import { pullThroughContract } from "./metadata-contract-pull-through.ts";
import { raceContract } from "./metadata-contract-races.ts";
import { replicationContract } from "./metadata-contract-replication.ts";
import { repositoryContract } from "./metadata-contract-repositories.ts";
import { resourcePolicyContract } from "./metadata-contract-resource-policies.ts";
import { roleContract } from "./metadata-contract-roles.ts";
import { scanContract } from "./metadata-contract-scans.ts";
import { secretContract } from "./metadata-contract-secrets.ts";
import { sessionContract } from "./metadata-contract-sessions.ts";
import { storageClassContract } from "./metadata-contract-storage-class.ts";
import { userContract } from "./metadata-contract-users.ts";

/** Runs the suite on an empty database that `open` makes; it is closed afterwards. */
export function metadataContract(name: string, open: () => Promise<Database>): void {
  suite(`metadata on ${name}`, () => {
    let db: Database | undefined;
    const opened = (): Database => {
      if (db === undefined) throw new Error("the database is not open");
      return db;
    };
    before(async () => {
      db = await open();
    });
    after(() => db?.close());
    suite("repositories", () => repositoryContract(opened));
    suite("resource policies", () => resourcePolicyContract(opened));
    suite("creation templates", () => creationTemplateContract(opened));
    suite("pull-through cache rules", () => pullThroughContract(opened));
    suite("pull times", () => pullTimeContract(opened));
    suite("pushing manifests", () => manifestPutContract(opened));
    suite("deleting manifests", () => manifestDeleteContract(opened));
    suite("blobs", () => blobContract(opened));
    suite("uploads", () => uploadContract(opened));
    suite("tombstones", () => tombstoneContract(opened));
    suite("lifecycle policies", () => lifecycleContract(opened));
    suite("garbage", () => garbageContract(opened));
    suite("paging", () => pagingContract(opened));
    suite("accounts, jobs and the log", () => accountContract(opened));
    suite("keys of the key management service", () => kmsContract(opened));
    suite("repositories under keys", () => encryptionContract(opened));
    suite("temporary credentials", () => sessionContract(opened));
    suite("users", () => userContract(opened));
    suite("secrets", () => secretContract(opened));
    suite("policies", () => policyContract(opened));
    suite("roles, instance profiles and identity providers", () => roleContract(opened));
    suite("storage classes", () => storageClassContract(opened));
    suite("scans and signatures", () => scanContract(opened));
    suite("replication", () => replicationContract(opened));
    suite("a full disk", () => fullContract(opened));
    suite("races", () => raceContract(opened));
  });
  // On a database of its own: it reads the whole log, and trims it.
  suite(`events and history on ${name}`, () => {
    let db: Database | undefined;
    before(async () => {
      db = await open();
    });
    after(() => db?.close());
    eventContract(() => {
      if (db === undefined) throw new Error("the database is not open");
      return db;
    });
  });
}
