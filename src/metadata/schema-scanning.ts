/** The tables of what scans found and of signing certificates, as Kysely sees them. */

/** One finding of a scan. */
export interface ScanFindingTable {
  manifest_id: number;
  /** Of the follow-up that found it. */
  target: string;
  /** Its place in the scanner's order. */
  ordinal: number;
  /** JSON. */
  finding: string;
}

/** The certificate of a signing profile: one for each key that the profile has had. */
export interface SigningCertificateTable {
  profile_arn: string;
  key_arn: string;
  content_grant_id: string;
  manage_grant_id: string;
  /** Base64: the data key that the private key is derived from, encrypted under the key of `key_arn`. */
  wrapped_key: string;
  /** Base64 of DER. */
  certificate: string;
  created_at: number;
}
