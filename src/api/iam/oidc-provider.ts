import {
  addClientId,
  createOidcProvider,
  deleteOidcProvider,
  getOidcProvider,
  listOidcProviders,
  parseIssuer,
  removeClientId,
  updateThumbprints,
} from "#identity/oidc-provider.ts";
import { findProviderTags, listProviderTags, providerArn, tagProvider, untagProvider } from "#identity/provider.ts";
import type { ApiCall } from "../call.ts";
import { requestTagKeys } from "../ecr/tagging.ts";
import { ApiFault } from "../fault.ts";
import { identityContext, identityTags, resourceTagKeys, tagShapes, wholeSeconds } from "./identity-shape.ts";
import { closeIamPage, openIamPage } from "./page.ts";
import type { IamRows } from "./table.ts";

interface ProviderInput {
  readonly OpenIDConnectProviderArn: string;
}

/** The columns of operations on a provider that is there. */
const onProvider = {
  resource: (_call: ApiCall, input: ProviderInput): string => input.OpenIDConnectProviderArn,
  conditionKeys: async (call: ApiCall, input: ProviderInput) =>
    resourceTagKeys(await findProviderTags(identityContext(call), "oidc", input.OpenIDConnectProviderArn)),
};

/** OpenID Connect providers. */
export const oidcProviderOperations: IamRows<
  | "CreateOpenIDConnectProvider"
  | "GetOpenIDConnectProvider"
  | "ListOpenIDConnectProviders"
  | "DeleteOpenIDConnectProvider"
  | "AddClientIDToOpenIDConnectProvider"
  | "RemoveClientIDFromOpenIDConnectProvider"
  | "UpdateOpenIDConnectProviderThumbprint"
  | "TagOpenIDConnectProvider"
  | "UntagOpenIDConnectProvider"
  | "ListOpenIDConnectProviderTags"
> = {
  CreateOpenIDConnectProvider: {
    action: "iam:CreateOpenIDConnectProvider",
    resource: (call, input) => providerArn({ accountId: call.principal.accountId, kind: "oidc", name: issuerOf(input.Url) }),
    alsoNeeds: (input) => (input.Tags === undefined || input.Tags.length === 0 ? [] : ["iam:TagOpenIDConnectProvider"]),
    conditionKeys: (_call, input) => requestTagKeys(input.Tags),
    check: (input) => void issuerOf(input.Url),
    handle: async (call, input) => {
      const { arn, tags } = await createOidcProvider(identityContext(call), {
        name: issuerOf(input.Url),
        clientIds: input.ClientIDList ?? [],
        thumbprints: input.ThumbprintList ?? [],
        tags: identityTags(input.Tags),
      });
      return { OpenIDConnectProviderArn: arn, ...(tags.length > 0 && { Tags: tagShapes(tags) }) };
    },
  },

  GetOpenIDConnectProvider: {
    action: "iam:GetOpenIDConnectProvider",
    ...onProvider,
    handle: async (call, input) => {
      const provider = await getOidcProvider(identityContext(call), input.OpenIDConnectProviderArn);
      return {
        Url: provider.url,
        ClientIDList: provider.clientIds,
        ThumbprintList: provider.thumbprints,
        CreateDate: wholeSeconds(provider.createdAt),
        Tags: tagShapes(provider.tags),
      };
    },
  },

  ListOpenIDConnectProviders: {
    action: "iam:ListOpenIDConnectProviders",
    resource: (call) => providerArn({ accountId: call.principal.accountId, kind: "oidc", name: "*" }),
    handle: async (call) => {
      const arns = await listOidcProviders(identityContext(call));
      return { OpenIDConnectProviderList: arns.map((Arn) => ({ Arn })) };
    },
  },

  DeleteOpenIDConnectProvider: {
    action: "iam:DeleteOpenIDConnectProvider",
    ...onProvider,
    handle: async (call, input) => {
      await deleteOidcProvider(identityContext(call), input.OpenIDConnectProviderArn);
      return {};
    },
  },

  AddClientIDToOpenIDConnectProvider: {
    action: "iam:AddClientIDToOpenIDConnectProvider",
    ...onProvider,
    handle: async (call, input) => {
      await addClientId(identityContext(call), input.OpenIDConnectProviderArn, input.ClientID);
      return {};
    },
  },

  RemoveClientIDFromOpenIDConnectProvider: {
    action: "iam:RemoveClientIDFromOpenIDConnectProvider",
    ...onProvider,
    handle: async (call, input) => {
      await removeClientId(identityContext(call), input.OpenIDConnectProviderArn, input.ClientID);
      return {};
    },
  },

  UpdateOpenIDConnectProviderThumbprint: {
    action: "iam:UpdateOpenIDConnectProviderThumbprint",
    ...onProvider,
    handle: async (call, input) => {
      await updateThumbprints(identityContext(call), input.OpenIDConnectProviderArn, input.ThumbprintList);
      return {};
    },
  },

  TagOpenIDConnectProvider: {
    action: "iam:TagOpenIDConnectProvider",
    resource: onProvider.resource,
    conditionKeys: async (call, input) => ({ ...(await onProvider.conditionKeys(call, input)), ...requestTagKeys(input.Tags) }),
    handle: async (call, input) => {
      await tagProvider(identityContext(call), "oidc", input.OpenIDConnectProviderArn, identityTags(input.Tags));
      return {};
    },
  },

  UntagOpenIDConnectProvider: {
    action: "iam:UntagOpenIDConnectProvider",
    resource: onProvider.resource,
    conditionKeys: async (call, input) => ({ ...(await onProvider.conditionKeys(call, input)), "aws:TagKeys": input.TagKeys }),
    handle: async (call, input) => {
      await untagProvider(identityContext(call), "oidc", input.OpenIDConnectProviderArn, input.TagKeys);
      return {};
    },
  },

  ListOpenIDConnectProviderTags: {
    action: "iam:ListOpenIDConnectProviderTags",
    ...onProvider,
    handle: async (call, input) => {
      const listing = ["ListOpenIDConnectProviderTags", input.OpenIDConnectProviderArn];
      const page = openIamPage(call, listing, input);
      const { tags, next } = await listProviderTags(identityContext(call), "oidc", input.OpenIDConnectProviderArn, page);
      return { Tags: tagShapes(tags), ...closeIamPage(call, listing, next) };
    },
  },
};

/** The issuer without its scheme. Throws ApiFault. */
function issuerOf(url: string): string {
  const issuer = parseIssuer(url);
  if (!issuer.ok) throw new ApiFault("ValidationError", issuer.problem);
  return issuer.value;
}
