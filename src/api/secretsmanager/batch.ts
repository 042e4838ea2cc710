/** Several values in one answer: each is asked for, and refused, by itself. */
import { authorize } from "#access/authorize.ts";
import { refuse, SecretsError } from "#secrets/errors.ts";
import { secretArn } from "#secrets/secret-id.ts";
import { readSecretValue } from "#secrets/secret-value.ts";
import { findSecret, listSecrets } from "#secrets/secret.ts";
import type { Secret } from "#secrets/secret.ts";
import type { Json } from "#std/json.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault } from "../fault.ts";
import { secretsFault } from "./errors.ts";
import { filtersOf } from "./listing.ts";
import type { APIErrorType, BatchGetSecretValueRequest, BatchGetSecretValueResponse, SecretValueEntry } from "./model/shapes.ts";
import { closeSecretsPage, openSecretsPage } from "./page.ts";
import { askedArn, checkSecretId, secretKeys, secretsContext } from "./target.ts";
import type { SecretsRows } from "./table.ts";
import { valueShape } from "./version.ts";

/** How many secrets a page has when nothing is said, which is as many as it may have. */
const defaultBatch = 20;

/** A secret that is asked for, under the name that the answer gives it where it is refused. */
interface AskedSecret {
  readonly secretId: string;
  readonly secret: Secret | undefined;
}

/** Values of several secrets. */
export const batchOperations: SecretsRows<"BatchGetSecretValue"> = {
  BatchGetSecretValue: {
    action: "secretsmanager:BatchGetSecretValue",
    resource: () => "*",
    alsoNeeds: ({ Filters = [] }) => (Filters.length > 0 ? ["secretsmanager:ListSecrets"] : []),
    check: checkInput,
    handle: async (call, input) => {
      const { SecretIdList: ids = [] } = input;
      if (ids.length > 0) return readAll(call, await Promise.all(ids.map((secretId) => findAsked(call, secretId))));
      const { asked, page } = await listAsked(call, input);
      return { ...(await readAll(call, asked)), ...page };
    },
  },
};

function checkInput({ SecretIdList: ids = [], Filters: filters = [], MaxResults, NextToken }: BatchGetSecretValueRequest): void {
  if (ids.length > 0 === filters.length > 0)
    throw new ApiFault("InvalidParameterException", "Either 'SecretIdList' or 'Filters' must be provided, but not both.");
  const needsFilters = Object.entries({ MaxResults, NextToken }).find(([, value]) => value !== undefined)?.[0];
  if (needsFilters !== undefined && filters.length === 0)
    throw new ApiFault(
      "InvalidParameterException",
      `'Filters' not specified. 'Filters' must also be specified when '${needsFilters}' is provided.`,
    );
  ids.forEach(checkSecretId);
  filtersOf({ Filters: filters });
}

async function findAsked(call: ApiCall, secretId: string): Promise<AskedSecret> {
  return { secretId, secret: await findSecret(secretsContext(call), secretId) };
}

/** A page of the secrets that the filters leave, the oldest first, and the member that ends the answer. */
async function listAsked(
  call: ApiCall,
  input: BatchGetSecretValueRequest,
): Promise<{ readonly asked: readonly AskedSecret[]; readonly page: { readonly NextToken?: string } }> {
  const filters = filtersOf(input);
  const listing = JSON.stringify(["batch", filters]);
  const isPosition = (position: Json): position is [number, number] =>
    Array.isArray(position) && position.length === 2 && position.every((part) => typeof part === "number");
  const after = openSecretsPage(call, listing, input.NextToken, isPosition);
  const { secrets, next } = await listSecrets(secretsContext(call), {
    includeMarked: false,
    filters,
    order: "created",
    isDescending: false,
    after: after === undefined ? undefined : { value: after[0], secretId: after[1] },
    limit: input.MaxResults ?? defaultBatch,
  });
  const page = closeSecretsPage(call, listing, next === undefined ? undefined : [next.value, next.secretId]);
  return { asked: secrets.map((secret) => ({ secretId: secretArn(secret), secret })), page };
}

async function readAll(call: ApiCall, asked: readonly AskedSecret[]): Promise<BatchGetSecretValueResponse> {
  const SecretValues: SecretValueEntry[] = [];
  const Errors: APIErrorType[] = [];
  // One after the other: what is noted of each reading goes through one writer anyhow.
  for (const one of asked) {
    try {
      SecretValues.push(await readOne(call, one));
    } catch (error) {
      const fault = error instanceof SecretsError ? secretsFault(error.refusal) : error;
      if (!(fault instanceof ApiFault)) throw error;
      Errors.push({ SecretId: one.secretId, ErrorCode: fault.code, Message: fault.message });
    }
  }
  return { SecretValues, Errors };
}

/** The current value, as GetSecretValue gives it to whom it gives it. Throws ApiFault, SecretsError. */
async function readOne(call: ApiCall, { secretId, secret }: AskedSecret): Promise<SecretValueEntry> {
  const [action, resource] = ["secretsmanager:GetSecretValue", askedArn(call, secretId, secret)];
  const keys = { ...(await secretKeys(call, secretId, secret)), "secretsmanager:VersionStage": "AWSCURRENT" };
  const decision = await authorize(call.access, call.principal, { action, resource, keys, region: call.region, origin: call.origin });
  call.exchange.decided({ action, resource, allowed: decision.allowed, statements: decision.statements });
  if (!decision.allowed) throw new ApiFault("AccessDeniedException", decision.message);
  if (secret === undefined) throw refuse("not-found", {});
  return valueShape(secret, await readSecretValue(secretsContext(call), secret, {}));
}
