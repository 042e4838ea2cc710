import type { ConditionKeys } from "#access/condition-keys.ts";
import { kmsKeyArn } from "#kms/arn.ts";
import { refuse } from "#kms/errors.ts";
import { checkGrant, createGrant, deleteGrant, getGrant, listGrants, listRetirableGrants, openGrantToken } from "#kms/grant.ts";
import type { GrantOfKey, GrantRequest } from "#kms/grant.ts";
import { grantIdKey } from "#kms/grant-cover.ts";
import { getKey } from "#kms/key-lookup.ts";
import { requireUsable } from "#kms/key-state.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault } from "../fault.ts";
import { validationFault } from "./errors.ts";
import type { CreateGrantRequest, GrantListEntry, GrantOperation, RetireGrantRequest } from "./model/shapes.ts";
import { readPage } from "./page.ts";
import { anyKeys, contextConditions, keyConditions, kmsOf, onKey } from "./scope.ts";
import type { Key } from "./scope.ts";
import type { KmsRows } from "./table.ts";

const grantIdForm = /^[0-9a-f]{64}$/;

type Grant = Awaited<ReturnType<typeof listGrants>>[number];

/** Permissions beside a key's policy. Grants hold at once, so a grant token changes nothing. */
export const grantOperations: KmsRows<"CreateGrant" | "ListGrants" | "ListRetirableGrants" | "RevokeGrant" | "RetireGrant"> = {
  CreateGrant: {
    action: "kms:CreateGrant",
    ...onKey(anyKeys, grantConditions),
    check: (input) => void checkGrant(grantRequest(input)),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      const key = await getKey(ctx, input.KeyId, anyKeys);
      for (const token of input.GrantTokens ?? []) openGrantToken(ctx.core, token);
      if (input.DryRun === true) {
        requireUsable(key);
        throw refuse("dry-run", {});
      }
      const { grantId, grantToken } = await createGrant(ctx, key, grantRequest(input));
      return { GrantId: grantId, GrantToken: grantToken };
    },
  },

  ListGrants: {
    action: "kms:ListGrants",
    ...onKey(anyKeys),
    check: (input) => checkGrantId(input.GrantId),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      const key = await getKey(ctx, input.KeyId, anyKeys);
      const filter = { keyId: key.keyId, grantId: input.GrantId, grantee: input.GranteePrincipal };
      const { items, end } = await readPage(
        call,
        ["ListGrants", key.keyId, input.GrantId ?? "", input.GranteePrincipal ?? ""],
        { ...input, defaultLimit: 50 },
        {
          start: 0,
          items: ({ after = 0, limit }) => listGrants(ctx.core, filter, { after, limit }),
          positionOf: (grant: Grant) => grant.position,
        },
      );
      return { Grants: items.map((grant) => grantShape(kmsKeyArn(key), grant)), ...end };
    },
  },

  ListRetirableGrants: {
    action: "kms:ListRetirableGrants",
    resource: () => "*",
    handle: async (call, input) => {
      const { RetiringPrincipal: retiring } = input;
      // Of the own account only; then grants on keys of other accounts are listed too, and need no permission there.
      if (accountOf(retiring) !== call.principal.accountId) throw refuse("principal-invalid", { principal: retiring });
      const { items, end } = await readPage(
        call,
        ["ListRetirableGrants", call.region, retiring],
        { ...input, defaultLimit: 50 },
        {
          start: 0,
          items: ({ after = 0, limit }) => listRetirableGrants(kmsOf(call), retiring, { after, limit }),
          positionOf: ({ grant }: GrantOfKey) => grant.position,
        },
      );
      return { Grants: items.map(({ keyArn, grant }) => grantShape(keyArn, grant)), ...end };
    },
  },

  RevokeGrant: {
    action: "kms:RevokeGrant",
    ...onKey(anyKeys),
    check: (input) => checkGrantId(input.GrantId),
    handle: async (call, input) => {
      const ctx = kmsOf(call);
      const key = await getKey(ctx, input.KeyId, anyKeys);
      await endGrant(call, key, input.GrantId, input.DryRun);
      return {};
    },
  },

  RetireGrant: {
    action: "kms:RetireGrant",
    resource: async (call, input) => kmsKeyArn((await grantToRetire(call, input)).key),
    conditionKeys: async (call, input) => {
      const { key, grantId } = await grantToRetire(call, input);
      return { ...(await keyConditions(call, "", key)), [grantIdKey]: grantId };
    },
    check: (input) => {
      const { GrantToken, KeyId, GrantId } = input;
      const isByToken = GrantToken !== undefined && KeyId === undefined && GrantId === undefined;
      const isById = GrantToken === undefined && KeyId !== undefined && GrantId !== undefined;
      if (!isByToken && !isById) throw validationFault("Please specify either a grant token, or a key and a grant ID.");
      checkGrantId(GrantId);
    },
    handle: async (call, input) => {
      const { key, grantId } = await grantToRetire(call, input);
      await endGrant(call, key, grantId, input.DryRun);
      return {};
    },
  },
};

/** `arn:aws:iam::<account>:…` and `arn:aws:sts::<account>:…` */
function accountOf(principal: string): string | undefined {
  return principal.split(":")[4];
}

function checkGrantId(grantId: string | undefined): void {
  if (grantId !== undefined && !grantIdForm.test(grantId))
    throw new ApiFault("InvalidGrantIdException", `Grant ID ${grantId} is not valid`);
}

/** The grant that is meant, by its token or by its key and id. Throws KmsError. */
async function grantToRetire(call: ApiCall, input: RetireGrantRequest): Promise<{ readonly key: Key; readonly grantId: string }> {
  const ctx = kmsOf(call);
  const grantId = input.GrantToken === undefined ? (input.GrantId ?? "") : openGrantToken(ctx.core, input.GrantToken);
  const named = input.KeyId === undefined ? undefined : await getKey(ctx, input.KeyId, anyKeys);
  const { key } = await getGrant(ctx.core, grantId);
  if (key.region !== ctx.region || (named !== undefined && named.keyId !== key.keyId)) throw refuse("grant-not-found", { grantId });
  return { key, grantId };
}

async function endGrant(call: ApiCall, key: Key, grantId: string, dryRun: boolean | undefined): Promise<void> {
  const { core } = call.context;
  if (dryRun !== true) return deleteGrant(core, key, grantId);
  const found = await getGrant(core, grantId);
  if (found.key.keyId !== key.keyId) throw refuse("grant-not-found", { grantId });
  throw refuse("dry-run", {});
}

function grantRequest(input: CreateGrantRequest): GrantRequest {
  const { EncryptionContextEquals: equals, EncryptionContextSubset: subset } = input.Constraints ?? {};
  return {
    name: input.Name,
    grantee: input.GranteePrincipal,
    retiring: input.RetiringPrincipal,
    operations: input.Operations,
    equals,
    subset,
  };
}

function grantConditions(input: CreateGrantRequest): ConditionKeys {
  const { EncryptionContextEquals: equals, EncryptionContextSubset: subset } = input.Constraints ?? {};
  const kind = equals !== undefined ? "EncryptionContextEquals" : subset !== undefined ? "EncryptionContextSubset" : undefined;
  return {
    ...contextConditions(equals ?? subset),
    "kms:GrantOperations": input.Operations,
    "kms:GranteePrincipal": input.GranteePrincipal,
    ...(input.RetiringPrincipal !== undefined && { "kms:RetiringPrincipal": input.RetiringPrincipal }),
    ...(kind !== undefined && { "kms:GrantConstraintType": kind }),
    "kms:GrantIsForAWSResource": "false",
  };
}

function grantShape(keyArn: string, grant: Grant): GrantListEntry {
  const { constraint } = grant;
  return {
    KeyId: keyArn,
    GrantId: grant.grantId,
    // KMS writes the name of a grant without one as an empty text.
    Name: grant.name ?? "",
    CreationDate: grant.createdAt,
    GranteePrincipal: grant.grantee,
    ...(grant.retiring !== undefined && { RetiringPrincipal: grant.retiring }),
    IssuingAccount: `arn:aws:iam::${grant.issuingAccount}:root`,
    // Only names of operations are stored.
    Operations: grant.operations as readonly GrantOperation[],
    ...(constraint !== undefined && {
      Constraints:
        constraint.kind === "equals" ? { EncryptionContextEquals: constraint.context } : { EncryptionContextSubset: constraint.context },
    }),
  };
}
