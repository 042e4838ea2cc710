/**
 * All operations of the service `sts`, one row each. There are no temporary credentials yet, so of all of them only the
 * question who the caller is has an answer; the others are refused by name.
 */
import type { OperationRow, RefusedRow } from "../call.ts";
import type { StsOperations } from "./model/shapes.ts";

/** The name of an operation of the service `sts`. */
export type StsOperationName = keyof StsOperations;

const noSessions = "this registry does not hand out temporary credentials yet";
const refuse = (name: string, refused: string): RefusedRow => ({ action: `sts:${name}`, refused });

const callerIdentity: OperationRow<StsOperations["GetCallerIdentity"]["input"], StsOperations["GetCallerIdentity"]["output"]> = {
  action: "sts:GetCallerIdentity",
  resource: () => "*",
  handle: async ({ principal }) => ({ UserId: principal.principalId, Account: principal.accountId, Arn: principal.arn }),
};

/** What the service `sts` can do. */
export const stsOperations = {
  AssumeRole: refuse("AssumeRole", noSessions),
  AssumeRoleWithSAML: refuse("AssumeRoleWithSAML", noSessions),
  AssumeRoleWithWebIdentity: refuse("AssumeRoleWithWebIdentity", noSessions),
  AssumeRoot: refuse("AssumeRoot", noSessions),
  DecodeAuthorizationMessage: refuse("DecodeAuthorizationMessage", "its answers carry no encoded messages"),
  GetAccessKeyInfo: refuse("GetAccessKeyInfo", "access keys do not tell their account yet"),
  GetCallerIdentity: callerIdentity,
  GetDelegatedAccessToken: refuse("GetDelegatedAccessToken", noSessions),
  GetFederationToken: refuse("GetFederationToken", noSessions),
  GetSessionToken: refuse("GetSessionToken", noSessions),
  GetWebIdentityToken: refuse("GetWebIdentityToken", noSessions),
} satisfies { readonly [Name in StsOperationName]: OperationRow<StsOperations[Name]["input"], StsOperations[Name]["output"]> | RefusedRow };
