/** The certificates of signing profiles: one for each key that a profile has had, never replaced, so that who trusts one goes on to. */
import type { Database } from "./database.ts";

/** A certificate and what its private key is derived from. */
export interface SigningCertificate {
  readonly profileArn: string;
  readonly keyArn: string;
  readonly contentGrantId: string;
  readonly manageGrantId: string;
  /** A data key, encrypted under the key of `keyArn`. */
  readonly wrappedKey: Uint8Array;
  /** DER. */
  readonly certificate: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** The certificate of a profile while it has that key. */
export async function findSigningCertificate(
  db: Database,
  { profileArn, keyArn }: Pick<SigningCertificate, "profileArn" | "keyArn">,
): Promise<SigningCertificate | undefined> {
  const row = await db.read
    .selectFrom("signing_certificate")
    .selectAll()
    .where("profile_arn", "=", profileArn)
    .where("key_arn", "=", keyArn)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    profileArn: row.profile_arn,
    keyArn: row.key_arn,
    contentGrantId: row.content_grant_id,
    manageGrantId: row.manage_grant_id,
    wrappedKey: Buffer.from(row.wrapped_key, "base64"),
    certificate: Buffer.from(row.certificate, "base64"),
    createdAt: row.created_at,
  };
}

/** Keeps a certificate. False when another one was kept first. */
export async function addSigningCertificate(db: Database, certificate: SigningCertificate): Promise<boolean> {
  return db.transaction(async (tx) => {
    const result = await tx
      .insertInto("signing_certificate")
      .values({
        profile_arn: certificate.profileArn,
        key_arn: certificate.keyArn,
        content_grant_id: certificate.contentGrantId,
        manage_grant_id: certificate.manageGrantId,
        wrapped_key: Buffer.from(certificate.wrappedKey).toString("base64"),
        certificate: Buffer.from(certificate.certificate).toString("base64"),
        created_at: certificate.createdAt,
      })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
  });
}
