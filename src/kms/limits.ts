/** Numbers of AWS KMS ("Quotas", and the constraints of its API Reference). */

/** Keys that an account may have in a region, those that the service made not counted. */
export const maxKeys = 100_000;
/** Aliases of one key. */
export const maxAliasesPerKey = 50;
/** Grants of one key. */
export const maxGrantsPerKey = 50_000;
/** Tags of one key. */
export const maxTagsPerKey = 50;
/** Rotations of one key by hand. */
export const maxOnDemandRotations = 25;
/** Pairs in the constraint of a grant. */
export const maxConstraintPairs = 8;
/** How long an encryption context may be, keys and values together, in UTF-8 bytes. */
export const maxContextBytes = 8_192;
/** The days between asking for a key's deletion and the end of its secrets. */
export const pendingWindowDays = { min: 7, default: 30, max: 30 };
/** The days between two rotations of a key, where nothing is said. */
export const defaultRotationDays = 365;
/** A day in milliseconds. */
export const dayMs = 86_400_000;
