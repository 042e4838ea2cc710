/** Secrets Manager's quotas (AWS Secrets Manager User Guide, "AWS Secrets Manager quotas"). */
export const secretLimits = {
  /** Of an account in a region, marked deleted or not. */
  secrets: 500_000,
  /** Of a secret; those with labels are kept beyond it. */
  versions: 100,
  /** On all versions of a secret together. */
  stages: 20,
  tags: 50,
  valueBytes: 65_536,
  recoveryDays: { least: 7, most: 30, usual: 30 },
} as const;
