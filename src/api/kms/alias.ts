import { checkAliasName, createAlias, deleteAlias, listAliases, updateAlias } from "#kms/alias.ts";
import { kmsAliasArn, kmsKeyArn } from "#kms/arn.ts";
import { getKey } from "#kms/key-lookup.ts";
import type { ApiCall, AskedPermission } from "../call.ts";
import type { AliasListEntry } from "./model/shapes.ts";
import { readPage } from "./page.ts";
import { keyConditions, kmsOf, namedKeys, ownKeys } from "./scope.ts";
import type { Key } from "./scope.ts";
import type { KmsRows } from "./table.ts";

interface AliasInput {
  readonly AliasName: string;
}

interface TargetInput extends AliasInput {
  readonly TargetKeyId: string;
}

type Alias = Awaited<ReturnType<typeof listAliases>>[number];

/** Names of keys. Whoever gives or takes one needs permission on the name and on the key that has it or gets it. */
export const aliasOperations: KmsRows<"CreateAlias" | "UpdateAlias" | "DeleteAlias" | "ListAliases"> = {
  CreateAlias: {
    action: "kms:CreateAlias",
    resource: aliasArn,
    conditionKeys: aliasConditions,
    alsoAsks: async (call, input) => [await onTarget("kms:CreateAlias", call, input)],
    check: (input) => checkAliasName(input.AliasName),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      await createAlias(ctx, input.AliasName, await getKey(ctx, input.TargetKeyId, ownKeys));
      return {};
    },
  },

  UpdateAlias: {
    action: "kms:UpdateAlias",
    resource: aliasArn,
    conditionKeys: aliasConditions,
    alsoAsks: async (call, input) => [await onHolder("kms:UpdateAlias", call, input), await onTarget("kms:UpdateAlias", call, input)],
    check: (input) => checkAliasName(input.AliasName),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      await updateAlias(ctx, input.AliasName, await getKey(ctx, input.TargetKeyId, ownKeys));
      return {};
    },
  },

  DeleteAlias: {
    action: "kms:DeleteAlias",
    resource: aliasArn,
    conditionKeys: aliasConditions,
    alsoAsks: async (call, input) => [await onHolder("kms:DeleteAlias", call, input)],
    check: (input) => checkAliasName(input.AliasName),
    handle: async (call, input) => {
      await deleteAlias(kmsOf(call), input.AliasName);
      return {};
    },
  },

  ListAliases: {
    action: "kms:ListAliases",
    resource: () => "*",
    conditionKeys: aliasConditions,
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      const key = input.KeyId === undefined ? undefined : await getKey(ctx, input.KeyId, ownKeys);
      const { items, end } = await readPage(
        call,
        ["ListAliases", ctx.region, key?.keyId ?? ""],
        { ...input, defaultLimit: 50 },
        { start: undefined, items: (page) => listAliases(ctx, key, page), positionOf: (alias: Alias) => alias.name },
      );
      return { Aliases: items.map(aliasShape), ...end };
    },
  },
};

function aliasArn(call: ApiCall, input: AliasInput): string {
  return kmsAliasArn({ accountId: call.principal.accountId, region: call.region, name: input.AliasName });
}

function aliasConditions(call: ApiCall): { readonly "kms:CallerAccount": string } {
  return { "kms:CallerAccount": call.principal.accountId };
}

/** The key that is to have the name. */
async function onTarget(action: string, call: ApiCall, input: TargetInput): Promise<AskedPermission> {
  const key = await getKey(kmsOf(call), input.TargetKeyId, ownKeys);
  return onOne(action, call, key, input.TargetKeyId);
}

/** The key that has the name now. */
async function onHolder(action: string, call: ApiCall, input: AliasInput): Promise<AskedPermission> {
  const key = await getKey(kmsOf(call), input.AliasName, namedKeys);
  return onOne(action, call, key, input.AliasName);
}

async function onOne(action: string, call: ApiCall, key: Key, reference: string): Promise<AskedPermission> {
  return { action, resource: kmsKeyArn(key), keys: await keyConditions(call, reference, key) };
}

function aliasShape(alias: Alias): AliasListEntry {
  return {
    AliasName: alias.name,
    AliasArn: kmsAliasArn(alias),
    TargetKeyId: alias.keyId,
    CreationDate: alias.createdAt,
    LastUpdatedDate: alias.updatedAt,
  };
}
