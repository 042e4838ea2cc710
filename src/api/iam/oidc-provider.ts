import {
  addClientId,
  createOidcProvider,
  deleteOidcProvider,
  getOidcProvider,
  listOidcProviders,
  oidcProviderArn,
  parseIssuer,
  removeClientId,
  updateThumbprints,
} from "#identity/oidc-provider.ts";
import type { ApiCall } from "../call.ts";
import { requestTagKeys } from "../ecr/tagging.ts";
import { ApiFault } from "../fault.ts";
import { identityContext, identityTags, tagShapes, wholeSeconds } from "./identity-shape.ts";
import type { IamRows } from "./table.ts";

interface ProviderInput {
  readonly OpenIDConnectProviderArn: string;
}

const providerArn = (_call: ApiCall, input: ProviderInput): string => input.OpenIDConnectProviderArn;

/** OpenID Connect providers. */
export const oidcProviderOperations: IamRows<
  | "CreateOpenIDConnectProvider"
  | "GetOpenIDConnectProvider"
  | "ListOpenIDConnectProviders"
  | "DeleteOpenIDConnectProvider"
  | "AddClientIDToOpenIDConnectProvider"
  | "RemoveClientIDFromOpenIDConnectProvider"
  | "UpdateOpenIDConnectProviderThumbprint"
> = {
  CreateOpenIDConnectProvider: {
    action: "iam:CreateOpenIDConnectProvider",
    resource: (call, input) => oidcProviderArn(call.principal.accountId, issuerOf(input.Url)),
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
    resource: providerArn,
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
    resource: (call) => oidcProviderArn(call.principal.accountId, "*"),
    handle: async (call) => {
      const arns = await listOidcProviders(identityContext(call));
      return { OpenIDConnectProviderList: arns.map((Arn) => ({ Arn })) };
    },
  },

  DeleteOpenIDConnectProvider: {
    action: "iam:DeleteOpenIDConnectProvider",
    resource: providerArn,
    handle: async (call, input) => {
      await deleteOidcProvider(identityContext(call), input.OpenIDConnectProviderArn);
      return {};
    },
  },

  AddClientIDToOpenIDConnectProvider: {
    action: "iam:AddClientIDToOpenIDConnectProvider",
    resource: providerArn,
    handle: async (call, input) => {
      await addClientId(identityContext(call), input.OpenIDConnectProviderArn, input.ClientID);
      return {};
    },
  },

  RemoveClientIDFromOpenIDConnectProvider: {
    action: "iam:RemoveClientIDFromOpenIDConnectProvider",
    resource: providerArn,
    handle: async (call, input) => {
      await removeClientId(identityContext(call), input.OpenIDConnectProviderArn, input.ClientID);
      return {};
    },
  },

  UpdateOpenIDConnectProviderThumbprint: {
    action: "iam:UpdateOpenIDConnectProviderThumbprint",
    resource: providerArn,
    handle: async (call, input) => {
      await updateThumbprints(identityContext(call), input.OpenIDConnectProviderArn, input.ThumbprintList);
      return {};
    },
  },
};

/** The issuer without its scheme. Throws ApiFault. */
function issuerOf(url: string): string {
  const issuer = parseIssuer(url);
  if (!issuer.ok) throw new ApiFault("ValidationError", issuer.problem);
  return issuer.value;
}
