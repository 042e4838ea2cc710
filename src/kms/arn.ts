/** ARNs of keys and aliases. */
import type { KmsScope } from "#metadata/kms-keys.ts";

const keyIdForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const aliasForm = /^alias\/[a-zA-Z0-9/_-]{1,250}$/;
const arnForm = /^arn:aws:kms:([a-z0-9-]{1,64}):([0-9]{12}):(key\/|alias\/)([!-~]{1,256})$/;

/** `arn:aws:kms:<region>:<account>:key/<id>` */
export function kmsKeyArn(key: KmsScope & { readonly keyId: string }): string {
  return `arn:aws:kms:${key.region}:${key.accountId}:key/${key.keyId}`;
}

/** `arn:aws:kms:<region>:<account>:alias/<name>`; `name` begins with `alias/`. */
export function kmsAliasArn(alias: KmsScope & { readonly name: string }): string {
  return `arn:aws:kms:${alias.region}:${alias.accountId}:${alias.name}`;
}

/** How a caller may name a key. */
export type KeyName =
  | { readonly kind: "id"; readonly keyId: string }
  | { readonly kind: "alias"; readonly name: string }
  | { readonly kind: "key-arn"; readonly scope: KmsScope; readonly keyId: string }
  | { readonly kind: "alias-arn"; readonly scope: KmsScope; readonly name: string };

/** Reads any of the four ways to name a key; undefined for any other text. */
export function parseKeyName(text: string): KeyName | undefined {
  if (keyIdForm.test(text)) return { kind: "id", keyId: text };
  if (isAliasName(text)) return { kind: "alias", name: text };
  const [, region, accountId, prefix, rest] = arnForm.exec(text) ?? [];
  if (region === undefined || accountId === undefined || rest === undefined) return undefined;
  const scope = { accountId, region };
  if (prefix === "key/") return keyIdForm.test(rest) ? { kind: "key-arn", scope, keyId: rest } : undefined;
  const name = `alias/${rest}`;
  return isAliasName(name) ? { kind: "alias-arn", scope, name } : undefined;
}

/** Is it `alias/` and a name in the letters that names have? */
export function isAliasName(text: string): boolean {
  return aliasForm.test(text);
}
