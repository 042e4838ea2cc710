import { createSamlProvider, deleteSamlProvider, getSamlProvider, listSamlProviders, updateSamlProvider } from "#identity/saml-provider.ts";
import { findProviderTags, listProviderTags, providerArn, tagProvider, untagProvider } from "#identity/provider.ts";
import type { ApiCall } from "../call.ts";
import { requestTagKeys } from "../ecr/tagging.ts";
import { ApiFault } from "../fault.ts";
import { identityContext, identityTags, resourceTagKeys, tagShapes, wholeSeconds } from "./identity-shape.ts";
import { closeIamPage, openIamPage } from "./page.ts";
import type { IamRows } from "./table.ts";

interface ProviderInput {
  readonly SAMLProviderArn: string;
}

interface EncryptionInput {
  readonly AssertionEncryptionMode?: string | undefined;
  readonly AddPrivateKey?: string | undefined;
  readonly RemovePrivateKey?: string | undefined;
}

const onProvider = {
  resource: (_call: ApiCall, input: ProviderInput): string => input.SAMLProviderArn,
  conditionKeys: async (call: ApiCall, input: ProviderInput) =>
    resourceTagKeys(await findProviderTags(identityContext(call), "saml", input.SAMLProviderArn)),
};

const providerOperations: IamRows<
  "CreateSAMLProvider" | "GetSAMLProvider" | "ListSAMLProviders" | "UpdateSAMLProvider" | "DeleteSAMLProvider"
> = {
  CreateSAMLProvider: {
    action: "iam:CreateSAMLProvider",
    resource: (call, input) => providerArn({ accountId: call.principal.accountId, kind: "saml", name: input.Name }),
    alsoNeeds: (input) => ((input.Tags ?? []).length > 0 ? ["iam:TagSAMLProvider"] : []),
    conditionKeys: (_call, input) => requestTagKeys(input.Tags),
    check: checkEncryption,
    handle: async (call, input) => {
      const { arn, tags } = await createSamlProvider(identityContext(call), {
        name: input.Name,
        document: input.SAMLMetadataDocument,
        tags: identityTags(input.Tags),
      });
      return { SAMLProviderArn: arn, ...(tags.length > 0 && { Tags: tagShapes(tags) }) };
    },
  },

  GetSAMLProvider: {
    action: "iam:GetSAMLProvider",
    ...onProvider,
    handle: async (call, input) => {
      const provider = await getSamlProvider(identityContext(call), input.SAMLProviderArn);
      return {
        SAMLProviderUUID: provider.uuid,
        SAMLMetadataDocument: provider.document,
        CreateDate: wholeSeconds(provider.createdAt),
        ValidUntil: wholeSeconds(provider.validUntil),
        Tags: tagShapes(provider.tags),
      };
    },
  },

  ListSAMLProviders: {
    action: "iam:ListSAMLProviders",
    resource: (call) => providerArn({ accountId: call.principal.accountId, kind: "saml", name: "*" }),
    handle: async (call) => {
      const providers = await listSamlProviders(identityContext(call));
      return {
        SAMLProviderList: providers.map(({ arn, validUntil, createdAt }) => ({
          Arn: arn,
          ValidUntil: wholeSeconds(validUntil),
          CreateDate: wholeSeconds(createdAt),
        })),
      };
    },
  },

  UpdateSAMLProvider: {
    action: "iam:UpdateSAMLProvider",
    ...onProvider,
    check: checkEncryption,
    handle: async (call, { SAMLProviderArn, SAMLMetadataDocument }) => {
      if (SAMLMetadataDocument === undefined)
        throw new ApiFault(
          "InvalidInput",
          "Unable to update identity provider. No updates are defined for metadata or encryption assertion.",
        );
      await updateSamlProvider(identityContext(call), SAMLProviderArn, SAMLMetadataDocument);
      return { SAMLProviderArn };
    },
  },

  DeleteSAMLProvider: {
    action: "iam:DeleteSAMLProvider",
    ...onProvider,
    handle: async (call, input) => {
      await deleteSamlProvider(identityContext(call), input.SAMLProviderArn);
      return {};
    },
  },
};

const tagOperations: IamRows<"TagSAMLProvider" | "UntagSAMLProvider" | "ListSAMLProviderTags"> = {
  TagSAMLProvider: {
    action: "iam:TagSAMLProvider",
    resource: onProvider.resource,
    conditionKeys: async (call, input) => ({ ...(await onProvider.conditionKeys(call, input)), ...requestTagKeys(input.Tags) }),
    handle: async (call, input) => {
      await tagProvider(identityContext(call), "saml", input.SAMLProviderArn, identityTags(input.Tags));
      return {};
    },
  },

  UntagSAMLProvider: {
    action: "iam:UntagSAMLProvider",
    resource: onProvider.resource,
    conditionKeys: async (call, input) => ({ ...(await onProvider.conditionKeys(call, input)), "aws:TagKeys": input.TagKeys }),
    handle: async (call, input) => {
      await untagProvider(identityContext(call), "saml", input.SAMLProviderArn, input.TagKeys);
      return {};
    },
  },

  ListSAMLProviderTags: {
    action: "iam:ListSAMLProviderTags",
    ...onProvider,
    handle: async (call, input) => {
      const listing = ["ListSAMLProviderTags", input.SAMLProviderArn];
      const page = openIamPage(call, listing, input);
      const { tags, next } = await listProviderTags(identityContext(call), "saml", input.SAMLProviderArn, page);
      return { Tags: tagShapes(tags), ...closeIamPage(call, listing, next) };
    },
  },
};

/** SAML providers. */
export const samlProviderOperations = { ...providerOperations, ...tagOperations };

/** A provider that demands encryption must not be made as one that does not have it. */
function checkEncryption({ AssertionEncryptionMode, AddPrivateKey, RemovePrivateKey }: EncryptionInput): void {
  if (AssertionEncryptionMode === undefined && AddPrivateKey === undefined && RemovePrivateKey === undefined) return;
  throw new ApiFault("InvalidInput", "Encrypted SAML assertions are not supported by this registry");
}
