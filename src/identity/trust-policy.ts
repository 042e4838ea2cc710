/** Trust policies of roles, as they may be written (IAM User Guide, "IAM roles" and "Create a role for OpenID Connect federation"). */
import { parsePolicy, principalsOf } from "#iam/document.ts";
import type { PolicyDocument } from "#iam/document.ts";
import { globOf, globParts, matchesGlob } from "#iam/glob.ts";
import type { Condition, Statement } from "#iam/statement.ts";
import type { IdentityCore } from "./context.ts";
import { refuse } from "./errors.ts";
import { resolvePrincipals } from "./principal-resolution.ts";

/** A trust policy that may be stored. */
export interface CheckedTrust {
  readonly trustDocument: string;
  readonly trustPrincipals: Readonly<Record<string, string>>;
}

const maxTrustLength = 2_048;
const gitHubIssuer = "token.actions.githubusercontent.com";
const gitHubSubject = `${gitHubIssuer}:sub`;
const webIdentityAction = "sts:assumerolewithwebidentity";
/** Operators that leave only what they name. */
const narrowingOperator = /^(?:for(?:anyvalue|allvalues):)?(?:stringequals|stringequalsignorecase|stringlike)(?:ifexists)?$/;

/** Checks a trust policy and finds out whom it means. Throws IdentityError `malformed-policy` or `limit`. */
export async function checkTrust(ctx: { readonly core: IdentityCore }, document: string): Promise<CheckedTrust> {
  const read = parsePolicy(document, "trust");
  if (!read.ok) {
    const { isTooLong = false, message } = read.problem;
    throw isTooLong ? refuse("limit", { quota: "ACLSizePerRole", limit: maxTrustLength }) : refuse("malformed-policy", { message });
  }
  if (isOpenToGitHub(read.value)) {
    throw refuse("malformed-policy", {
      message: `Trust in the provider ${gitHubIssuer} needs a condition on ${gitHubSubject} that names more than wildcards: without it every repository on GitHub could assume the role.`,
    });
  }
  const found = await resolvePrincipals(ctx, principalsOf(read.value));
  if (!found.ok) throw refuse("malformed-policy", { message: `Invalid principal in policy: "AWS":"${found.principal}"` });
  return { trustDocument: document, trustPrincipals: found.resolved };
}

/** GitHub signs tokens for every repository that there is, so its signature alone proves nothing. */
function isOpenToGitHub({ statements }: PolicyDocument): boolean {
  return statements.some(
    (statement) =>
      statement.effect === "Allow" && takesWebIdentity(statement) && trustsGitHub(statement) && !statement.conditions.some(narrowsSubject),
  );
}

function takesWebIdentity({ actions }: Statement): boolean {
  return actions?.patterns.some((pattern) => matchesGlob(globOf(globParts(pattern.toLowerCase())), webIdentityAction)) ?? false;
}

/** By name, or because everyone is trusted. */
function trustsGitHub({ principals }: Statement): boolean {
  return (
    principals?.entries.some(
      ({ type, name }) =>
        (type === "AWS" && name === "*") || (type === "Federated" && name.toLowerCase().endsWith(`:oidc-provider/${gitHubIssuer}`)),
    ) ?? false
  );
}

function narrowsSubject({ operator, key, values }: Condition): boolean {
  return (
    key.toLowerCase() === gitHubSubject && narrowingOperator.test(operator.toLowerCase()) && values.every((value) => /[^*?]/.test(value))
  );
}
