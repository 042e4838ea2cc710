import { listSecrets } from "#secrets/secret.ts";
import type { SecretFilter, SecretOrder, SecretPosition } from "#secrets/secret.ts";
import type { Json } from "#std/json.ts";
import { ApiFault } from "../fault.ts";
import type { Filter, FilterNameStringType, ListSecretsRequest, SortByType } from "./model/shapes.ts";
import { closeSecretsPage, defaultResults, openSecretsPage } from "./page.ts";
import { secretShape } from "./secret.ts";
import { secretsContext } from "./target.ts";
import type { SecretsRows } from "./table.ts";

const orders: Readonly<Record<SortByType, SecretOrder>> = {
  "created-date": "created",
  "last-changed-date": "changed",
  "last-accessed-date": "accessed",
  name: "name",
};

const attributes: Readonly<Record<FilterNameStringType, SecretFilter["attribute"]>> = {
  name: "name",
  description: "description",
  "tag-key": "tag-key",
  "tag-value": "tag-value",
  all: "any",
  // No secret is a replica or belongs to a service.
  "primary-region": "absent",
  "owning-service": "absent",
};

/** What there is. */
export const listingOperations: SecretsRows<"ListSecrets"> = {
  ListSecrets: {
    action: "secretsmanager:ListSecrets",
    resource: () => "*",
    check: (input) => void filtersOf(input),
    handle: async (call, input) => {
      const order = orders[input.SortBy ?? "created-date"];
      const isDescending = input.SortOrder === "desc";
      const includeMarked = input.IncludePlannedDeletion ?? false;
      const filters = filtersOf(input);
      const listing = JSON.stringify(["secrets", order, isDescending, includeMarked, filters]);
      const isPosition = (position: Json): position is [string | number, number] =>
        Array.isArray(position) && typeof position[0] === (order === "name" ? "string" : "number") && typeof position[1] === "number";
      const after = openSecretsPage(call, listing, input.NextToken, isPosition);
      const { secrets, next } = await listSecrets(secretsContext(call), {
        includeMarked,
        filters,
        order,
        isDescending,
        after: after === undefined ? undefined : positionOf(after),
        limit: input.MaxResults ?? defaultResults,
      });
      return {
        SecretList: secrets.map((secret) => ({
          ...secretShape(secret, secret.tags),
          ...(Object.keys(secret.stages).length > 0 && { SecretVersionsToStages: secret.stages }),
        })),
        ...closeSecretsPage(call, listing, next === undefined ? undefined : [next.value, next.secretId]),
      };
    },
  },
};

function positionOf([value, secretId]: [string | number, number]): SecretPosition {
  return { value, secretId };
}

/** The filters of an input. Throws InvalidParameterException for one that is not whole. */
export function filtersOf({ Filters: filters = [] }: Pick<ListSecretsRequest, "Filters">): SecretFilter[] {
  return filters.map(({ Key, Values }: Filter) => {
    if (Key === undefined || Values === undefined) throw new ApiFault("InvalidParameterException", "A filter must have a key and values.");
    const texts = Values.map((value) =>
      value.startsWith("!") ? { text: value.slice(1), isNegated: true } : { text: value, isNegated: false },
    );
    return { attribute: attributes[Key], texts };
  });
}
