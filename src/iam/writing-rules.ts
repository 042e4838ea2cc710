/**
 * What may be written where, with AWS's sentences in AWS's order (IAM User Guide, "Grammar of the IAM JSON policy language" and "Policy
 * validation error"; the ECR, KMS and Secrets Manager guides on resource policies).
 */
import { findOperator } from "./condition-operators.ts";
import type { PolicyDocument, PolicyKind, PolicyProblem } from "./document.ts";
import { globOf, globParts, matchesGlob } from "./glob.ts";
import { findActionProblem, findResourceProblem } from "./resource-rules.ts";
import { isNameable } from "./principal.ts";
import { legacyProblem } from "./statement.ts";
import type { Condition, Statement } from "./statement.ts";
import { readTemplate, variablesOf } from "./variables.ts";

/** AWS's sentence for whatever is not grammatical. */
export const syntaxProblem = "Syntax errors in policy.";
const vendorProblem = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
const missingPrincipals =
  "Invalid principal in policy: com.amazon.balsa.error.InvalidPolicyException: The passed in policy has a statement with no principals!";

/** What differs between the kinds of policy. */
interface KindRules {
  /** Identity policies name no principals, all others must. */
  readonly isIdentity: boolean;
  readonly resource: "required" | "forbidden" | "optional";
  /** IAM stores the policy, and then statement ids are alphanumeric and unique. */
  readonly isStoredByIam: boolean;
  /** The only actions, and what AWS says about others. */
  readonly actions?: { readonly names: readonly string[]; readonly takesWildcards: boolean; readonly message: string };
}

const identity: KindRules = { isIdentity: true, resource: "required", isStoredByIam: true };

const rulesOf: Readonly<Record<PolicyKind, KindRules>> = {
  managed: identity,
  inline: identity,
  boundary: identity,
  session: identity,
  trust: {
    isIdentity: false,
    resource: "forbidden",
    isStoredByIam: true,
    actions: {
      names: [
        "sts:assumerole",
        "sts:assumerolewithsaml",
        "sts:assumerolewithwebidentity",
        "sts:tagsession",
        "sts:setsourceidentity",
        "sts:setcontext",
      ],
      takesWildcards: true,
      message: "Trust Policy statement actions can only be sts:AssumeRole, sts:AssumeRoleWithSAML,  and sts:AssumeRoleWithWebIdentity",
    },
  },
  repository: { isIdentity: false, resource: "forbidden", isStoredByIam: false },
  registry: { isIdentity: false, resource: "required", isStoredByIam: false },
  // Of a registry whose policy has the older scope.
  "registry-v1": {
    isIdentity: false,
    resource: "required",
    isStoredByIam: false,
    actions: {
      names: ["ecr:replicateimage", "ecr:batchimportupstreamimage", "ecr:createrepository", "ecr:*"],
      takesWildcards: false,
      message: "Registry policy actions can only be ecr:ReplicateImage, ecr:BatchImportUpstreamImage, ecr:CreateRepository and ecr:*",
    },
  },
  key: { isIdentity: false, resource: "optional", isStoredByIam: false },
  secret: { isIdentity: false, resource: "optional", isStoredByIam: false },
};

/** The characters of policy documents, as the IAM and KMS APIs state them. */
const documentText = /^[\t\n\r\u0020-\u00ff]*$/;

type Finding = PolicyProblem | undefined;

/** The first rule of writing that a grammatical document breaks, or undefined. `text` is the document as written. */
export function findWritingProblem(text: string, document: PolicyDocument, kind: PolicyKind): Finding {
  const rules = rulesOf[kind];
  const { statements } = document;
  if (!documentText.test(text)) return { message: syntaxProblem, detail: "a document has characters up to U+00FF only" };
  const versionProblem = "Policy document must be version 2012-10-17 or greater.";
  const hasVariables = document.version === "2012-10-17";
  return (
    first(statements, (statement) => findSyntaxProblem(statement, hasVariables)) ??
    (rules.isIdentity && !hasVariables ? { message: versionProblem } : undefined) ??
    first(statements, (statement) => first(statement.conditions, findValueProblem)) ??
    (rules.isStoredByIam ? findSidProblem(statements) : undefined) ??
    first(statements, (statement) =>
      isMissing(statement.actions?.patterns) ? { message: "Policy statement must contain actions." } : undefined,
    ) ??
    first(statements, (statement) => findPresenceProblem(statement, rules)) ??
    first(statements, ({ resources }) => first(resources?.patterns ?? [], (resource) => sentence(findResourceProblem(resource)))) ??
    first(statements, ({ actions }) => first(actions?.patterns ?? [], (action) => sentence(findActionProblem(action)))) ??
    first(statements, ({ conditions }) => first(conditions, ({ key }) => sentence(isPrefaced(key) ? undefined : vendorProblem))) ??
    first(statements, (statement) => findAllowedActionProblem(statement, rules)) ??
    (rules.isIdentity ? undefined : first(statements, (statement) => findPrincipalProblem(statement, kind)))
  );
}

function first<T>(items: readonly T[], find: (item: T) => Finding): Finding {
  for (const item of items) {
    const finding = find(item);
    if (finding !== undefined) return finding;
  }
  return undefined;
}

function sentence(message: string | undefined): Finding {
  return message === undefined ? undefined : { message };
}

function syntax(detail: string): PolicyProblem {
  return { message: syntaxProblem, detail };
}

function isMissing(patterns: readonly string[] | undefined): boolean {
  return patterns === undefined || patterns.length === 0;
}

function isPrefaced(key: string): boolean {
  return /^[^\s:]+:\S/.test(key);
}

/** What the grammar alone would let pass and no service accepts: operators, empty lists of values, unreadable variables. */
function findSyntaxProblem({ conditions, resources }: Statement, hasVariables: boolean): Finding {
  const seen = new Set<string>();
  for (const { operator, key, values } of conditions) {
    const use = findOperator(operator);
    if (use === undefined) return syntax(`there is no condition operator ${JSON.stringify(operator.slice(0, 64))}`);
    const name = JSON.stringify([operator.toLowerCase(), key.toLowerCase()]);
    if (seen.has(name)) return syntax(`the condition key ${JSON.stringify(key.slice(0, 128))} stands twice under one operator`);
    seen.add(name);
    if (values.length === 0) return syntax(`the condition key ${JSON.stringify(key.slice(0, 128))} has no values`);
    const isNull = use.operator === "Null";
    const takesOneValue = use.operator === "Null" || use.operator.takesOneValue;
    if (isNull && use.quantifier !== undefined) return syntax("Null takes no set operator");
    if (takesOneValue && values.length > 1) return syntax(`${operator} takes one value`);
    if (use.operator !== "Null" && use.operator.hasVariables && hasVariables && values.some(hasUnreadableVariable))
      return syntax("a condition value has a policy variable that cannot be read");
  }
  return hasVariables && resources?.patterns.some(hasUnreadableVariable) === true
    ? syntax("a resource has a policy variable that cannot be read")
    : undefined;
}

function hasUnreadableVariable(text: string): boolean {
  return variablesOf(readTemplate(text, true)).some(({ key }) => key === "");
}

/** Values that are not of their operator's type. */
function findValueProblem({ operator, values }: Condition): Finding {
  const use = findOperator(operator);
  if (use === undefined) return undefined;
  const { operator: row } = use;
  const isBad =
    row === "Null"
      ? values.some((value) => !/^(?:true|false)$/i.test(value))
      : values.some((value) => row.compare(readTemplate(value, row.hasVariables)) === undefined);
  return isBad ? { message: legacyProblem, detail: `a value of ${operator} is not of its type` } : undefined;
}

function findSidProblem(statements: readonly Statement[]): Finding {
  const seen = new Set<string>();
  for (const { sid } of statements) {
    if (sid === undefined || sid === "") continue;
    if (!/^[A-Za-z0-9]+$/.test(sid))
      return {
        message: "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
      };
    if (seen.has(sid)) return { message: "Statement IDs (SID) in a single policy must be unique." };
    seen.add(sid);
  }
  return undefined;
}

/** Elements that a kind of policy must have or must not have. */
function findPresenceProblem({ effect, principals, resources }: Statement, rules: KindRules): Finding {
  if (rules.isIdentity && principals !== undefined) return { message: "Policy document should not specify a principal." };
  if (rules.resource === "forbidden" && resources !== undefined)
    return { message: `Has prohibited field ${resources.isNegated ? "NotResource" : "Resource"}.` };
  const mustHave = rules.resource === "required" || resources !== undefined;
  if (mustHave && isMissing(resources?.patterns)) return { message: "Policy statement must contain resources." };
  // Such a statement would open the resource to everyone but the listed, strangers included.
  if (principals?.isNegated === true && effect === "Allow") return syntax("NotPrincipal cannot be used with Allow");
  return undefined;
}

function findAllowedActionProblem({ actions }: Statement, { actions: allowed }: KindRules): Finding {
  if (allowed === undefined || actions === undefined) return undefined;
  const { names, takesWildcards, message } = allowed;
  const isAllowed = (action: string): boolean => {
    const lower = action.toLowerCase();
    if (!takesWildcards) return names.includes(lower);
    const glob = globOf(globParts(lower));
    return lower.startsWith("sts:") && names.some((name) => matchesGlob(glob, name));
  };
  return actions.isNegated || !actions.patterns.every(isAllowed) ? { message } : undefined;
}

function findPrincipalProblem({ principals }: Statement, kind: PolicyKind): Finding {
  const ofKey = "Policy contains a statement with one or more invalid principals.";
  if (principals === undefined || principals.entries.length === 0) return { message: kind === "key" ? ofKey : missingPrincipals };
  if (kind === "trust" && principals.isNegated) return { message: "Has prohibited field NotPrincipal." };
  const invalid = principals.entries.find((entry) => !isNameable(entry));
  if (invalid === undefined) return undefined;
  const named = `Invalid principal in policy: "${invalid.type}":"${invalid.name}"`;
  return kind === "key" ? { message: ofKey, detail: named } : { message: named };
}
