/** From how a caller names a key to the key. */
import { findKmsKeyByAlias } from "#metadata/kms-aliases.ts";
import { findKmsKey } from "#metadata/kms-keys.ts";
import type { KmsKey, KmsScope } from "#metadata/kms-keys.ts";
import { kmsAliasArn, kmsKeyArn, parseKeyName } from "./arn.ts";
import type { KmsContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { ensureManagedKey, isManagedAlias } from "./managed-key.ts";

/** How an operation takes its key. */
export interface KeyNaming {
  /** Also by alias. */
  readonly byAlias: boolean;
  /** Also of another account, by ARN. */
  readonly ofOthers: boolean;
}

/** What a name stands for: the key; or for what is not there, in another account, the ARN alone. */
export interface NamedKey {
  /** Of the key. */
  readonly arn: string;
  readonly key: KmsKey | undefined;
}

/**
 * The key that a name means. Throws `key-not-found`, `alias-not-found`, `key-reference-invalid`, and `arn-elsewhere` for an ARN of another
 * region. The alias of a managed key makes the key, in the caller's own account.
 */
export async function getKey(ctx: KmsContext, reference: string, naming: KeyNaming): Promise<KmsKey> {
  const { arn, key } = await lookUpKey(ctx, reference, naming);
  if (key !== undefined) return key;
  throw arn.includes(":alias/") ? refuse("alias-not-found", { aliasArn: arn }) : refuse("key-not-found", { keyArn: arn });
}

/**
 * As {@link getKey}, for asking whether the caller may. What is not there in another account is no error yet: strangers are refused with the
 * same words whether a key exists or not.
 */
export async function lookUpKey(ctx: KmsContext, reference: string, naming: KeyNaming): Promise<NamedKey> {
  const name = parseKeyName(reference);
  if (name === undefined) throw refuse("key-reference-invalid", { reference });
  const scope: KmsScope = "scope" in name ? name.scope : { accountId: ctx.accountId, region: ctx.region };
  if ("name" in name && !naming.byAlias) throw refuse("key-reference-invalid", { reference });
  if (scope.region !== ctx.region) throw refuse("arn-elsewhere", { arn: reference });
  const isOwn = scope.accountId === ctx.accountId;
  if ("name" in name) return lookUpAlias(ctx, scope, name.name, isOwn);
  const { keyId } = name;
  const arn = kmsKeyArn({ ...scope, keyId });
  const key = isOwn || naming.ofOthers ? await findKmsKey(ctx.core.metadata, keyId) : undefined;
  if (key?.accountId === scope.accountId && key.region === scope.region) return { arn, key };
  if (isOwn || !naming.ofOthers) throw refuse("key-not-found", { keyArn: arn });
  return { arn, key: undefined };
}

async function lookUpAlias(ctx: KmsContext, scope: KmsScope, name: string, isOwn: boolean): Promise<NamedKey> {
  const managed = isOwn && isManagedAlias(name) ? await ensureManagedKey(ctx.core, scope, name) : undefined;
  const key = managed ?? (await findKmsKeyByAlias(ctx.core.metadata, { ...scope, name }));
  if (key !== undefined) return { arn: kmsKeyArn(key), key };
  const arn = kmsAliasArn({ ...scope, name });
  if (isOwn) throw refuse("alias-not-found", { aliasArn: arn });
  return { arn, key: undefined };
}
