/** What STS says about a SAML response that it does not accept (IAM User Guide, "Troubleshoot SAML federation with IAM"). */
import type { SamlProblem } from "#identity/saml-identity.ts";
import { unreachable } from "#std/assert.ts";
import { ApiFault } from "../fault.ts";

const nameRule = "must match [a-zA-Z_0-9+=,.@-]{2,64}";

/** AWS's answer where it is known, and a plain one of the same code where it is not. */
export function samlFault(problem: SamlProblem): ApiFault {
  switch (problem.kind) {
    case "no-provider":
      return invalidToken("Specified provider doesn't exist");
    case "metadata-expired":
      return invalidToken("The metadata of the specified provider is not valid any more");
    case "not-base64":
      return invalidToken("Invalid base64 SAMLResponse");
    case "malformed":
      return invalidToken("Invalid SAMLResponse: it must be one SAML 2.0 Response with exactly one Assertion");
    case "encrypted":
      return invalidToken("Encrypted SAML assertions are not supported by this registry");
    case "bad-signature":
      return invalidToken("Response signature invalid");
    case "refused-algorithm":
      return invalidToken(`Response signature invalid: the algorithm ${problem.algorithm.slice(0, 128)} is not accepted`);
    case "rejected":
      return new ApiFault("IDPRejectedClaim", "The identity provider reported that authentication failed", 403);
    case "wrong-issuer":
      return invalidToken("Issuer not present in specified provider");
    // Both are AWS's answer to an assertion that does not say whom it is about, or nothing about the role.
    case "no-subject":
    case "not-for-role":
      return new ApiFault("AccessDenied", "Not authorized to perform sts:AssumeRoleWithSAML", 403);
    case "wrong-recipient":
      return invalidToken("Response was not sent to an endpoint of this service: the Recipient or Destination is another");
    case "wrong-audience":
      return invalidToken("Response does not contain the required audience");
    case "too-old":
      return expired("Token must be redeemed within 5 minutes of issuance");
    case "expired":
      return expired("The SAML assertion has expired");
    case "not-yet-valid":
      return invalidToken("The SAML assertion is not valid yet");
    case "bad-element":
      return invalidToken(`${problem.element} of the SAML assertion is missing or not valid`);
    case "missing-attribute":
      return invalidToken(`${problem.attribute} is required in AuthnResponse`);
    case "bad-attribute":
      return invalidToken(attributeText(problem.attribute));
    default:
      return unreachable(problem);
  }
}

function attributeText(attribute: string): string {
  if (attribute === "RoleSessionName") return `RoleSessionName in AuthnResponse ${nameRule}`;
  if (attribute === "SourceIdentity") return `Source Identity ${nameRule} and not begin with "aws:"`;
  return `${attribute} in AuthnResponse is not valid`;
}

function invalidToken(message: string): ApiFault {
  return new ApiFault("InvalidIdentityToken", message);
}

function expired(message: string): ApiFault {
  return new ApiFault("ExpiredTokenException", message);
}
