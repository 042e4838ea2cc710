/**
 * Keys as the registry uses them. Those of the built-in key management service: one service principal per region, by the grants of its
 * repositories. And where the operator has named another service, that one for every new repository. What a repository keeps says which of
 * the two wrapped it, so a setting that changes never makes one of them open what is the other's.
 */
import { kmsFault } from "#api/kms/errors.ts";
import { kmsKeyArn } from "#kms/arn.ts";
import type { KmsContext, KmsCore } from "#kms/context.ts";
import { unwrapDataKey, wrapDataKey } from "#kms/data-key.ts";
import type { ServiceUse } from "#kms/data-key.ts";
import { KmsError } from "#kms/errors.ts";
import { deleteGrant, grantToService } from "#kms/grant.ts";
import { getKey } from "#kms/key-lookup.ts";
import type { RegistryRef } from "#registry/context.ts";
import { KeyRefusal } from "#registry/key-service.ts";
import type { KeyService, KeyUse } from "#registry/key-service.ts";
import { markWrapped, readMark } from "./key-service-mark.ts";

/** The alias of the key of repositories that name none. */
const defaultKey = "alias/aws/ecr";
/** As ECR makes them: one grant for content, one for looking after the first. */
const contentOperations = ["GenerateDataKey", "Decrypt"];
const manageOperations = ["DescribeKey", "RetireGrant"];

/** Keys that somebody else keeps. No grants are made there: who may use a key is decided by the policies of that place. */
export type OtherKeys = Pick<KeyService, "resolve" | "wrap" | "unwrap">;

/** Makes the service over the keys in the database, and over those of another place when new repositories are to be under these. */
export function createKeyService(core: KmsCore, other?: OtherKeys): KeyService {
  const own = createBuiltInKeys(core);
  return {
    keeper: other === undefined ? "here" : "elsewhere",
    resolve: (registry, reference) => (other ?? own).resolve(registry, reference),
    grant: async (keyArn, registry, repositoryArn) =>
      other === undefined ? own.grant(keyArn, registry, repositoryArn) : { contentGrantId: "", manageGrantId: "" },
    retire: async (keyArn, grants) => {
      if (grants.contentGrantId !== "") await own.retire(keyArn, grants);
    },
    wrap: async (use) => {
      if (other === undefined) return own.wrap(use);
      const { plain, wrapped } = await other.wrap(use);
      return { plain, wrapped: markWrapped(wrapped) };
    },
    unwrap: async (use, wrapped) => {
      const ciphertext = readMark(wrapped);
      if (ciphertext === undefined) return own.unwrap(use, wrapped);
      if (other === undefined) throw keptElsewhere(use.keyArn);
      return other.unwrap(use, ciphertext);
    },
  };
}

function keptElsewhere(keyArn: string): KeyRefusal {
  const reason = `${keyArn} is a key of another key management service, and SUPERCARGO_KMS is 'built-in'. Set it to what it was when the repository was made.`;
  return new KeyRefusal("KeyUnavailableException", reason);
}

type BuiltInKeys = Omit<KeyService, "keeper">;

function createBuiltInKeys(core: KmsCore): BuiltInKeys {
  return {
    resolve: (registry, reference = defaultKey) => refusing(async () => kmsKeyArn(await find(core, registry, reference))),
    grant: (keyArn, registry, repositoryArn) =>
      refusing(async () => {
        const key = await find(core, registry, keyArn);
        const request = { service: serviceIn(registry.region), issuingAccount: registry.accountId, context: contextFor(repositoryArn) };
        const content = await grantToService(core, key, { ...request, operations: contentOperations });
        const manage = await grantToService(core, key, { ...request, operations: manageOperations });
        return { contentGrantId: content.grantId, manageGrantId: manage.grantId };
      }),
    retire: (keyArn, { contentGrantId, manageGrantId }) =>
      refusing(async () => {
        const [, , , region = "", accountId = ""] = keyArn.split(":");
        for (const grantId of [contentGrantId, manageGrantId]) await endGrant(core, { region, accountId }, keyArn, grantId);
      }),
    wrap: (use) => refusing(() => wrapDataKey(core, serviceUse(use))),
    unwrap: (use, wrapped) => refusing(() => unwrapDataKey(core, serviceUse(use), wrapped)),
  };
}

/** With its key a grant goes too. */
async function endGrant(core: KmsCore, owner: RegistryRef, keyArn: string, grantId: string): Promise<void> {
  try {
    await deleteGrant(core, await find(core, owner, keyArn), grantId);
  } catch (error) {
    const isGone = error instanceof KmsError && (error.refusal.kind === "grant-not-found" || error.refusal.kind === "key-not-found");
    if (!isGone) throw error;
  }
}

/** Nobody's name is looked up for a service. */
async function find(core: KmsCore, { accountId, region }: RegistryRef, reference: string): ReturnType<typeof getKey> {
  const context: KmsContext = { core, accountId, region, resolvePrincipals: async () => ({ ok: true, resolved: {} }) };
  return getKey(context, reference, { byAlias: true, ofOthers: true });
}

function serviceUse({ keyArn, grantId, region, repositoryArn }: KeyUse): ServiceUse {
  return { keyArn, grantId, service: serviceIn(region), context: contextFor(repositoryArn) };
}

function serviceIn(region: string): string {
  return `ecr.${region}.amazonaws.com`;
}

function contextFor(repositoryArn: string): Readonly<Record<string, string>> {
  return { "aws:ecr:arn": repositoryArn };
}

async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof KmsError)) throw error;
    const { code, message } = kmsFault(error.refusal);
    throw new KeyRefusal(code, message);
  }
}
