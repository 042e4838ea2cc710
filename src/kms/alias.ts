/** Names of keys that people give, and may move to another key. */
import { createKmsAlias, deleteKmsAlias, listKmsAliases, updateKmsAlias } from "#metadata/kms-aliases.ts";
import type { KmsAlias, PutKmsAliasOutcome } from "#metadata/kms-aliases.ts";
import type { KmsKey } from "#metadata/kms-keys.ts";
import { isAliasName, kmsAliasArn, kmsKeyArn } from "./arn.ts";
import type { KmsContext } from "./context.ts";
import { refuse } from "./errors.ts";
import { changeableStates, requireCustomers, stateRefusal } from "./key-state.ts";
import { maxAliasesPerKey } from "./limits.ts";

const reservedPrefix = "alias/aws/";

/** Throws `alias-name-invalid` for what is no name of an alias, or one that only the service gives. */
export function checkAliasName(name: string): void {
  const reserved = name.startsWith(reservedPrefix);
  if (reserved || !isAliasName(name)) throw refuse("alias-name-invalid", { name, reserved });
}

/** Gives a key a name. Throws `alias-name-invalid`, `alias-exists`, `limit`, `key-pending-deletion`, `key-managed`. */
export async function createAlias(ctx: KmsContext, name: string, key: KmsKey): Promise<void> {
  const input = putOf(ctx, name, key);
  refuseOutcome(ctx, name, key, await createKmsAlias(ctx.core.metadata, input));
}

/** Moves a name to another key of the account and region. Throws as {@link createAlias}, and `alias-not-found`. */
export async function updateAlias(ctx: KmsContext, name: string, key: KmsKey): Promise<void> {
  const input = putOf(ctx, name, key);
  refuseOutcome(ctx, name, key, await updateKmsAlias(ctx.core.metadata, input));
}

/** Takes a name away; the key stays. Throws `alias-name-invalid`, `alias-not-found`. */
export async function deleteAlias(ctx: KmsContext, name: string): Promise<void> {
  checkAliasName(name);
  const alias = { accountId: ctx.accountId, region: ctx.region, name };
  if (!(await deleteKmsAlias(ctx.core.metadata, alias))) throw refuse("alias-not-found", { aliasArn: kmsAliasArn(alias) });
}

/** A page of aliases by name: those of a key, or all of the account in the region. */
export async function listAliases(
  ctx: KmsContext,
  key: KmsKey | undefined,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<readonly KmsAlias[]> {
  const { accountId, region } = ctx;
  return listKmsAliases(ctx.core.metadata, { accountId, region, keyId: key?.keyId, ...page });
}

/** The names of a key, all of them: there are few. */
export async function aliasesOf(ctx: KmsContext, key: KmsKey): Promise<readonly string[]> {
  const { accountId, region, keyId } = key;
  const page = { accountId, region, keyId, after: undefined, limit: maxAliasesPerKey };
  return (await listKmsAliases(ctx.core.metadata, page)).map((alias) => alias.name);
}

function putOf(ctx: KmsContext, name: string, key: KmsKey) {
  checkAliasName(name);
  requireCustomers(key);
  const { accountId, region, core } = ctx;
  return { accountId, region, name, keyId: key.keyId, onlyIn: changeableStates, now: core.clock.now(), limit: maxAliasesPerKey };
}

function refuseOutcome({ accountId, region }: KmsContext, name: string, key: KmsKey, result: PutKmsAliasOutcome): void {
  const aliasArn = kmsAliasArn({ accountId, region, name });
  switch (result.outcome) {
    case "put":
      return;
    case "exists":
      throw refuse("alias-exists", { aliasArn });
    case "alias-not-found":
      throw refuse("alias-not-found", { aliasArn });
    case "limit":
      throw refuse("limit", { quota: "aliases", limit: maxAliasesPerKey });
    case "wrong-state":
      throw stateRefusal(result.key);
    case "key-not-found":
    default:
      throw refuse("key-not-found", { keyArn: kmsKeyArn(key) });
  }
}
