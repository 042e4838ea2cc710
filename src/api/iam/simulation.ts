import type { AccountCaller } from "#iam/caller.ts";
import { parseIdentityArn } from "#identity/arn.ts";
import { callerOfArn, readSimulatedPrincipal } from "#identity/simulated-principal.ts";
import { simulate } from "#identity/simulation.ts";
import type { MatchedStatement, Scenario, SimulatedPolicy, SimulatedResult } from "#identity/simulation.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault } from "../fault.ts";
import { identityContext } from "./identity-shape.ts";
import type { ContextEntry, EvaluationResult, SimulatePolicyResponse, Statement } from "./model/shapes.ts";
import { closeIamPage, openIamPage } from "./page.ts";
import type { IamRows } from "./table.ts";

/** What both operations are given. `ResourceHandlingOption` only matters to resources of EC2 and is not looked at. */
interface SimulationInput {
  readonly PolicyInputList?: readonly string[];
  readonly PermissionsBoundaryPolicyInputList?: readonly string[];
  readonly ActionNames: readonly string[];
  readonly ResourceArns?: readonly string[];
  readonly ResourcePolicy?: string;
  readonly ResourceOwner?: string;
  readonly CallerArn?: string;
  readonly ContextEntries?: readonly ContextEntry[];
  readonly Marker?: string;
  readonly MaxItems?: number;
}

type Principal = Pick<Scenario, "policies" | "boundary" | "context"> & { readonly caller: AccountCaller | undefined };

const nobody: Principal = { policies: [], boundary: undefined, context: [], caller: undefined };

/** Trying out what policies allow. */
export const simulationOperations: IamRows<"SimulateCustomPolicy" | "SimulatePrincipalPolicy"> = {
  SimulateCustomPolicy: {
    action: "iam:SimulateCustomPolicy",
    resource: () => "*",
    check: checkInput,
    handle: async (call, input) => answer(call, "SimulateCustomPolicy", input, nobody),
  },

  SimulatePrincipalPolicy: {
    action: "iam:SimulatePrincipalPolicy",
    resource: (_call, input) => input.PolicySourceArn,
    check: checkInput,
    handle: async (call, input) => {
      const principal = await readSimulatedPrincipal(identityContext(call), input.PolicySourceArn);
      if (principal.caller?.kind !== "user" && input.ResourcePolicy !== undefined && input.CallerArn === undefined) throw noCaller();
      return answer(call, `SimulatePrincipalPolicy ${input.PolicySourceArn}`, input, principal);
    },
  },
};

function checkInput(input: SimulationInput & { readonly PolicySourceArn?: string }): void {
  const { ActionNames, PermissionsBoundaryPolicyInputList: boundaries = [], ContextEntries = [], CallerArn, ResourceOwner } = input;
  if (ActionNames.length === 0) throw invalid("At least one action name is needed.");
  if (boundaries.length > 1) throw invalid("Only one permissions boundary can be simulated.");
  if (CallerArn !== undefined && callerOfArn(CallerArn) === undefined) throw invalid(`Invalid Entity Arn: ${CallerArn}`);
  if (ResourceOwner !== undefined && ownerOf(ResourceOwner) === undefined) throw invalid(`Invalid ResourceOwner: ${ResourceOwner}`);
  if (input.PolicySourceArn === undefined && input.ResourcePolicy !== undefined && CallerArn === undefined) throw noCaller();
  for (const { ContextKeyName, ContextKeyValues = [], ContextKeyType = "string" } of ContextEntries) {
    if (ContextKeyName === undefined) throw invalid("Every context entry needs a ContextKeyName.");
    if (!ContextKeyType.endsWith("List") && ContextKeyValues.length > 1)
      throw invalid(`The context key ${ContextKeyName} of the type ${ContextKeyType} takes one value.`);
  }
}

function invalid(message: string): ApiFault {
  return new ApiFault("InvalidInput", message);
}

function noCaller(): ApiFault {
  return invalid("A CallerArn is needed to simulate a ResourcePolicy.");
}

/** An account's number, or the ARN of one. */
function ownerOf(text: string): string | undefined {
  return /^(?:arn:aws:iam::)?([0-9]{12})(?::root)?$/.exec(text)?.[1];
}

async function answer(call: ApiCall, operation: string, input: SimulationInput, principal: Principal): Promise<SimulatePolicyResponse> {
  const { accountId } = call.principal;
  const { ActionNames: actions, ResourceArns: resources = ["*"], PolicyInputList = [], PermissionsBoundaryPolicyInputList = [] } = input;
  const caller = callerOf(input.CallerArn) ?? principal.caller ?? unnamedUser(accountId);
  const listing = ["Simulate", operation, String(actions.length), String(resources.length)];
  const { after, limit } = openIamPage(call, listing, input);
  const [boundary = principal.boundary] = given("PermissionsBoundaryPolicyInputList", PermissionsBoundaryPolicyInputList);
  const scenario: Scenario = {
    caller,
    policies: [...principal.policies, ...given("PolicyInputList", PolicyInputList)],
    boundary,
    resourcePolicy: resourcePolicy(input.ResourcePolicy),
    resourceAccountId: ownerOf(input.ResourceOwner ?? "") ?? caller.accountId,
    context: [...principal.context, ...callerContext(input.CallerArn), ...(input.ContextEntries ?? []).map(contextEntry)],
    actions,
    resources: resources.length === 0 ? ["*"] : resources,
  };
  const { results, next } = await simulate(scenario, { after: Number(after ?? 0), limit });
  return { EvaluationResults: results.map(resultShape), ...closeIamPage(call, listing, next?.toString()) };
}

/** Documents of a list of the input, named as AWS names them. */
function given(list: string, documents: readonly string[]): readonly SimulatedPolicy[] {
  return documents.map((document, index) => ({ sourceId: `${list}.${index + 1}`, sourceKind: "none", document }));
}

function resourcePolicy(document: string | undefined): SimulatedPolicy | undefined {
  return document === undefined ? undefined : { sourceId: "ResourcePolicy", sourceKind: "resource", document };
}

function callerOf(arn: string | undefined): AccountCaller | undefined {
  return arn === undefined ? undefined : callerOfArn(arn);
}

/** Somebody in the account whose name nothing asks for: there is no policy that names principals. */
function unnamedUser(accountId: string): AccountCaller {
  return { kind: "user", accountId, arn: `arn:aws:iam::${accountId}:user/simulated`, uniqueId: "" };
}

function callerContext(arn: string | undefined): Scenario["context"] {
  const accountId = arn === undefined ? undefined : parseIdentityArn(arn)?.accountId;
  if (arn === undefined || accountId === undefined) return [];
  return [
    ["aws:PrincipalArn", arn],
    ["aws:PrincipalAccount", accountId],
  ];
}

/** A list is a set even with one value in it; no value at all is an absent key. */
function contextEntry({ ContextKeyName = "", ContextKeyValues = [], ContextKeyType }: ContextEntry): Scenario["context"][number] {
  const [first] = ContextKeyValues;
  const isList = ContextKeyType?.endsWith("List") === true || first === undefined;
  return [ContextKeyName, isList ? ContextKeyValues : first];
}

function resultShape(result: SimulatedResult): EvaluationResult {
  const { action, resource, decision, missingKeys, allowedByBoundary, sides } = result;
  const MatchedStatements = result.statements.map(statementShape);
  const details = {
    ...(sides !== undefined && { EvalDecisionDetails: { "IAM Policy": sides.identity, "Resource Policy": sides.resource } }),
    ...(allowedByBoundary !== undefined && { PermissionsBoundaryDecisionDetail: { AllowedByPermissionsBoundary: allowedByBoundary } }),
  };
  const common = { MatchedStatements, MissingContextValues: missingKeys, ...details };
  const specific = { EvalResourceName: resource, EvalResourceDecision: decision, ...common };
  return {
    EvalActionName: action,
    EvalResourceName: resource,
    EvalDecision: decision,
    ...common,
    ...(resource !== "*" && { ResourceSpecificResults: [specific] }),
  };
}

function statementShape({ policy, span }: MatchedStatement): Statement {
  return {
    SourcePolicyId: policy.sourceId,
    SourcePolicyType: policy.sourceKind,
    ...(span !== undefined && {
      StartPosition: { Line: span.start.line, Column: span.start.column },
      EndPosition: { Line: span.end.line, Column: span.end.column },
    }),
  };
}
