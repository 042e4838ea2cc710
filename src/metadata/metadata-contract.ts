/** What the metadata room promises, as a suite: SQLite and Postgres keep every line of it. */
import { after, before, suite } from "node:test";
import type { Database } from "./database.ts";
import { accountContract } from "./metadata-contract-accounts.ts";
import { blobContract, uploadContract } from "./metadata-contract-blobs.ts";
import { fullContract } from "./metadata-contract-full.ts";
import { garbageContract, tombstoneContract } from "./metadata-contract-garbage.ts";
import { manifestDeleteContract, manifestPutContract } from "./metadata-contract-manifests.ts";
import { pagingContract } from "./metadata-contract-paging.ts";
import { raceContract } from "./metadata-contract-races.ts";
import { repositoryContract } from "./metadata-contract-repositories.ts";

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
    suite("pushing manifests", () => manifestPutContract(opened));
    suite("deleting manifests", () => manifestDeleteContract(opened));
    suite("blobs", () => blobContract(opened));
    suite("uploads", () => uploadContract(opened));
    suite("tombstones", () => tombstoneContract(opened));
    suite("garbage", () => garbageContract(opened));
    suite("paging", () => pagingContract(opened));
    suite("accounts, jobs and the log", () => accountContract(opened));
    suite("a full disk", () => fullContract(opened));
    suite("races", () => raceContract(opened));
  });
}
