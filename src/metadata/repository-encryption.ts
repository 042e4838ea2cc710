/** What repositories that are encrypted under a key need to be read. Secrets come here encrypted, and nothing here can open them. */
import { assert } from "#std/assert.ts";
import type { Selectable, Transaction } from "kysely";
import type { Database } from "./database.ts";
import { preparedStatement } from "./prepared.ts";
import type { Repository } from "./repositories.ts";
import type { RepositoryEncryptionTable, Schema } from "./schema.ts";

/** The encryption of a new repository. */
export interface NewRepositoryEncryption {
  readonly keyArn: string;
  /** Lets the service use the key for what is in the repository. */
  readonly contentGrantId: string;
  readonly manageGrantId: string;
  /** Base64: the repository's own key, encrypted under the key of the ARN. */
  readonly wrappedKey: string;
  /** The secret of the protection domain, sealed under the repository's own key. */
  readonly sealedSecret: string;
  /** The second secret, sealed under the instance key; present exactly with `KMS_DSSE`. */
  readonly sealedInnerSecret: string | undefined;
}

/** The encryption of a repository, live or tombstoned. */
export interface RepositoryEncryption extends NewRepositoryEncryption {
  readonly repositoryId: number;
  readonly accountId: string;
  readonly region: string;
  readonly repositoryName: string;
  readonly protectionDomain: string;
}

/** Which encryptions are meant: those of one domain, or of all domains of a key. */
export type EncryptionFilter =
  | { readonly protectionDomain: string }
  | { readonly keyArn: string; readonly encryptionType: "KMS" | "KMS_DSSE" };

type Row = Selectable<RepositoryEncryptionTable> & { readonly region: string; readonly name: string };

const findByRepository = preparedStatement(
  "find_repository_encryption",
  `select e.*, r.region, r.name from repository_encryption e
   join repository r on r.repository_id = e.repository_id where e.repository_id = ?1`,
);

/** Undefined for a repository that has none, or is not there any more. */
export async function findRepositoryEncryption(db: Database, repositoryId: number): Promise<RepositoryEncryption | undefined> {
  const row = await db.prepared.one<Row>(findByRepository, [repositoryId]);
  return row === undefined ? undefined : encryptionOf(row);
}

/** Some encryptions of an account, newest repositories first: any of them that can be opened gives the secret of its domain. */
export async function listRepositoryEncryptions(
  db: Database,
  input: { readonly accountId: string; readonly filter: EncryptionFilter; readonly limit: number },
): Promise<readonly RepositoryEncryption[]> {
  const { accountId, filter, limit } = input;
  const query = db.read
    .selectFrom("repository_encryption as e")
    .innerJoin("repository as r", "r.repository_id", "e.repository_id")
    .selectAll("e")
    .select(["r.region", "r.name"])
    .where("e.account_id", "=", accountId)
    .orderBy("e.repository_id", "desc")
    .limit(limit);
  const rows = await (
    "protectionDomain" in filter
      ? query.where("e.protection_domain", "=", filter.protectionDomain)
      : query.where("e.key_arn", "=", filter.keyArn).where("e.encryption_type", "=", filter.encryptionType)
  ).execute();
  return rows.map(encryptionOf);
}

/** Belongs to the insertion of the repository. */
export async function insertEncryption(tx: Transaction<Schema>, repository: Repository, input: NewRepositoryEncryption): Promise<void> {
  const { encryptionType } = repository;
  assert(encryptionType !== "AES256", "a plain repository has no key");
  await tx
    .insertInto("repository_encryption")
    .values({
      repository_id: repository.repositoryId,
      account_id: repository.accountId,
      protection_domain: repository.protectionDomain,
      key_arn: input.keyArn,
      encryption_type: encryptionType,
      content_grant_id: input.contentGrantId,
      manage_grant_id: input.manageGrantId,
      wrapped_key: input.wrappedKey,
      sealed_secret: input.sealedSecret,
      sealed_inner_secret: input.sealedInnerSecret ?? null,
    })
    .execute();
}

/** Belongs to the end of repositories: their secrets go, and the grants that were made for them are retired. */
export async function removeEncryptions(db: Database, tx: Transaction<Schema>, repositoryIds: readonly number[]): Promise<void> {
  const gone = await tx
    .deleteFrom("repository_encryption")
    .where(db.dialect.integerIn("repository_id", repositoryIds))
    .returning(["content_grant_id", "manage_grant_id"])
    .execute();
  const grantIds = gone.flatMap((row) => [row.content_grant_id, row.manage_grant_id]);
  if (grantIds.length > 0) await tx.deleteFrom("kms_grant").where(db.dialect.textIn("grant_id", grantIds)).execute();
}

function encryptionOf(row: Row): RepositoryEncryption {
  return {
    repositoryId: row.repository_id,
    accountId: row.account_id,
    region: row.region,
    repositoryName: row.name,
    protectionDomain: row.protection_domain,
    keyArn: row.key_arn,
    contentGrantId: row.content_grant_id,
    manageGrantId: row.manage_grant_id,
    wrappedKey: row.wrapped_key,
    sealedSecret: row.sealed_secret,
    sealedInnerSecret: row.sealed_inner_secret ?? undefined,
  };
}
