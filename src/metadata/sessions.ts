/** Temporary credentials. A row is written once and never changed; it goes with the user or role behind it, or some time after it expired. */
import { readJson } from "#std/json.ts";
import type { Transaction } from "kysely";
import type { KeyOwner } from "./accounts.ts";
import type { Database } from "./database.ts";
import { preparedStatement } from "./prepared.ts";
import type { Schema } from "./schema.ts";

/** What a session is, whoever it belongs to. Times are milliseconds since the epoch. */
interface SessionFacts {
  readonly accessKeyId: string;
  readonly accountId: string;
  /** `role` AssumeRole…, `federated` GetFederationToken, `user` and `root` GetSessionToken. */
  readonly kind: "role" | "federated" | "user" | "root";
  /** Empty where the operation takes no name. */
  readonly sessionName: string;
  readonly secretSealed: string;
  /** SHA-256 of the session token, base64url. */
  readonly tokenHash: string;
  /** Documents that limit the session; undefined when it is not limited, and an empty list leaves nothing. */
  readonly policies: readonly string[] | undefined;
  readonly tags: Readonly<Record<string, string>>;
  /** Keys of those tags that the next role in a chain inherits. */
  readonly transitiveKeys: readonly string[];
  readonly sourceIdentity: string | undefined;
  /** Further condition keys of the session, such as `aws:FederatedProvider`. */
  readonly context: Readonly<Record<string, string | readonly string[]>>;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** Temporary credentials, expired or not. */
export interface Session extends SessionFacts {
  /** The role, or the user who asked; undefined when root asked. */
  readonly owner: KeyOwner | undefined;
}

/** Temporary credentials as they are stored. */
export interface NewSession extends SessionFacts {
  /** The row of the role, or of the user who asked; undefined when root asked. */
  readonly identityId: number | undefined;
  /** Where root asked: the key that it asked with, without which nothing is stored. Undefined for a key that exists only in the words of a `--dev` client. */
  readonly rootKeyId?: string | undefined;
}

interface SessionRow {
  readonly access_key_id: string;
  readonly account_id: string;
  readonly kind: Session["kind"];
  readonly identity_id: number | null;
  readonly unique_id: string | null;
  readonly path: string | null;
  readonly name: string | null;
  readonly session_name: string;
  readonly secret_sealed: string;
  readonly token_hash: string;
  readonly policies: string | null;
  readonly tags: string;
  readonly transitive_keys: string;
  readonly source_identity: string | null;
  readonly context: string;
  readonly issued_at: number;
  readonly expires_at: number;
}

const find = preparedStatement(
  "find_session",
  `select s.*, i.unique_id, i.path, i.name from session s left join identity i on i.identity_id = s.identity_id where s.access_key_id = ?1`,
);

/**
 * Stores temporary credentials. False when the user or role behind them, or the root key, is gone. No cache has to hear of it: nobody remembers that a key
 * does not exist, so the identity epoch stays where it is.
 */
export async function putSession(db: Database, session: NewSession): Promise<boolean> {
  return db.transaction(async (tx) => {
    // The epoch's row, which every change of identities begins with: whoever deletes the identity or the key has done so by now, or finds
    // the row that is written here among those to delete.
    await tx.selectFrom("epoch").select("value").where("name", "=", "identity").$call(db.dialect.lockForShare).execute();
    if (!(await isBacked(tx, session))) return false;
    await tx
      .insertInto("session")
      .values({
        access_key_id: session.accessKeyId,
        account_id: session.accountId,
        kind: session.kind,
        identity_id: session.identityId ?? null,
        session_name: session.sessionName,
        secret_sealed: session.secretSealed,
        token_hash: session.tokenHash,
        policies: session.policies === undefined ? null : JSON.stringify(session.policies),
        tags: JSON.stringify(session.tags),
        transitive_keys: JSON.stringify(session.transitiveKeys),
        source_identity: session.sourceIdentity ?? null,
        context: JSON.stringify(session.context),
        issued_at: session.issuedAt,
        expires_at: session.expiresAt,
      })
      .execute();
    return true;
  });
}

/** Is what the credentials come from still there? */
async function isBacked(tx: Transaction<Schema>, { accountId, identityId, rootKeyId }: NewSession): Promise<boolean> {
  if (identityId !== undefined) {
    const owner = tx.selectFrom("identity").select("identity_id").where("identity_id", "=", identityId).where("account_id", "=", accountId);
    return (await owner.executeTakeFirst()) !== undefined;
  }
  if (rootKeyId === undefined) return true;
  const key = tx
    .selectFrom("access_key")
    .select("access_key_id")
    .where("access_key_id", "=", rootKeyId)
    .where("account_id", "=", accountId);
  return (await key.executeTakeFirst()) !== undefined;
}

/** The temporary credentials of that key id, expired or not. */
export async function findSession(db: Database, accessKeyId: string): Promise<Session | undefined> {
  const row = await db.prepared.one<SessionRow>(find, [accessKeyId]);
  return row === undefined ? undefined : sessionOf(row);
}

/** Removes sessions that expired before a time, at most `limit` of them, and answers how many. Nothing is written when there are none. */
export async function deleteExpiredSessions(
  db: Database,
  { before, limit }: { readonly before: number; readonly limit: number },
): Promise<number> {
  const rows = await db.read
    .selectFrom("session")
    .select("access_key_id")
    .where("expires_at", "<", before)
    .orderBy("expires_at")
    .limit(limit)
    .execute();
  if (rows.length === 0) return 0;
  const ids = rows.map((row) => row.access_key_id);
  return db.transaction(async (tx) => {
    const gone = await tx.deleteFrom("session").where(db.dialect.textIn("access_key_id", ids)).returning("access_key_id").execute();
    return gone.length;
  });
}

function sessionOf(row: SessionRow): Session {
  return {
    accessKeyId: row.access_key_id,
    accountId: row.account_id,
    kind: row.kind,
    owner:
      row.identity_id === null
        ? undefined
        : { identityId: row.identity_id, uniqueId: row.unique_id ?? "", path: row.path ?? "/", name: row.name ?? "" },
    sessionName: row.session_name,
    secretSealed: row.secret_sealed,
    tokenHash: row.token_hash,
    policies: row.policies === null ? undefined : (readJson(row.policies) as string[]),
    tags: readJson(row.tags) as Record<string, string>,
    transitiveKeys: readJson(row.transitive_keys) as string[],
    sourceIdentity: row.source_identity ?? undefined,
    context: readJson(row.context) as Record<string, string | readonly string[]>,
    issuedAt: row.issued_at,
    expiresAt: row.expires_at,
  };
}
