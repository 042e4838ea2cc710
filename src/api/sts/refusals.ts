/** What STS says where temporary credentials are not made: code, status and AWS's sentence (STS API Reference, and what its clients have been seen to print). */
import { denialMessage } from "#iam/denial.ts";
import { SessionRefused } from "#identity/session-refusal.ts";
import type { SessionRefusalDetails, SessionRefusalKind } from "#identity/session-refusal.ts";
import type { WebIdentityProblem } from "#identity/web-identity.ts";
import type { ApiCall } from "../call.ts";
import { ApiFault } from "../fault.ts";

/** The call that is refused, for the texts that name the caller. */
interface RefusedCall {
  readonly call: ApiCall;
  /** `sts:AssumeRole`, `sts:AssumeRoleWithWebIdentity`, … */
  readonly action: string;
}

/** How one kind of refusal is shown; `status` is 400 when absent. */
interface SessionFaultRow<Kind extends SessionRefusalKind> {
  readonly code: string;
  readonly status?: number;
  readonly message: (detail: SessionRefusalDetails[Kind], refused: RefusedCall) => string;
}

/** Every refusal to make temporary credentials, in STS's words. Also a source of the generated list of errors. */
export const sessionFaults: { readonly [Kind in SessionRefusalKind]: SessionFaultRow<Kind> } = {
  // In the words of a role that does not trust the caller: nobody learns which roles there are.
  "no-role": {
    code: "AccessDenied",
    status: 403,
    message: ({ roleArn }, { call, action }) =>
      denialMessage(
        { caller: call.principal.caller, action, resource: roleArn },
        { allowed: false, explicit: false, cause: "trust", statements: [], missing: ["trust"] },
      ),
  },
  "chain-too-long": {
    code: "ValidationError",
    message: () => "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
  },
  "role-too-long": {
    code: "ValidationError",
    message: () => "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
  },
  "source-identity-set": { code: "ValidationError", message: () => "The source identity is already set for this assume role session" },
  "tag-key-duplicate": {
    code: "InvalidParameterValue",
    message: () => "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
  },
  "tag-key-reserved": {
    code: "InvalidParameterValue",
    message: ({ key }) => `The tag key '${key}' begins with the reserved prefix aws:.`,
  },
  "tag-key-inherited": {
    code: "InvalidParameterValue",
    message: () =>
      "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
  },
  "transitive-key-unknown": {
    code: "ValidationError",
    message: () => "The specified transitive tag key must be included in the requested tags.",
  },
  "policy-malformed": { code: "MalformedPolicyDocument", message: ({ message }) => message },
  "policy-unknown": { code: "MalformedPolicyDocument", message: ({ arn }) => `Policy ${arn} was not found.` },
  "too-many-policies": {
    code: "ValidationError",
    message: ({ limit }) =>
      `1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to ${limit}`,
  },
  "packed-too-large": {
    code: "PackedPolicyTooLarge",
    message: ({ percent, of }) =>
      of === "policy"
        ? `Packed policy consumes ${percent}% of allotted space, please use smaller policy.`
        : `Packed size of session tags consumes ${percent}% of allotted space.`,
  },
};

/** Does the work of an operation, and turns what `identity/` refuses into STS's answer. */
export async function inStsWords<T>(refused: RefusedCall, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof SessionRefused)) throw error;
    // The row and the detail belong to the same kind; an index cannot show that to the compiler.
    const row = sessionFaults[error.refusal.kind] as SessionFaultRow<SessionRefusalKind>;
    throw new ApiFault(row.code, row.message(error.refusal.detail, refused), row.status);
  }
}

const noKeyText =
  "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements";

/** What STS says about a token that it does not accept. */
export function webIdentityFault(problem: WebIdentityProblem): ApiFault {
  switch (problem.kind) {
    case "not-a-jwt":
      return invalidToken("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)");
    case "no-provider":
      return invalidToken(`No OpenIDConnect provider found in your account for ${problem.issuer}`);
    case "no-key":
      // The one of these that SDKs try again.
      if (problem.cause === "unreachable") return new ApiFault("IDPCommunicationError", "The identity provider could not be reached");
      return invalidToken(
        problem.cause === "untrusted-certificate"
          ? "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint"
          : noKeyText,
      );
    case "bad-signature":
      return invalidToken("The signature of the ID Token provided is not valid.");
    case "expired":
      return new ApiFault(
        "ExpiredTokenException",
        `Token expired: current date/time ${problem.now} must be before the expiration date/time ${problem.expiresAt}`,
      );
    case "bad-claim":
      return invalidToken(`The claim '${problem.claim}' of the ID Token provided is missing or not valid.`);
    case "wrong-audience":
    default:
      return invalidToken("Incorrect token audience");
  }
}

function invalidToken(message: string): ApiFault {
  return new ApiFault("InvalidIdentityToken", message);
}
