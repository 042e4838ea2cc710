/** How a resource may be written, with IAM's sentences, and the form of actions. */
import { segmentsOf } from "./arn.ts";
import { legacyProblem } from "./statement.ts";

const segmentCount = 6;
const partition = /^(?:aws(?:-[a-z]{2,10}){0,3}|.*[*?].*)$/;
const iamPaths = [
  "user/",
  "federated-user/",
  "role/",
  "group/",
  "instance-profile/",
  "mfa/",
  "server-certificate/",
  "policy/",
  "sms-mfa/",
  "saml-provider/",
  "oidc-provider/",
  "report/",
  "access-report/",
];

/** What is wrong with a written resource: IAM's sentence, or undefined. A resource is `*` or an ARN with all its segments. */
export function findResourceProblem(resource: string): string | undefined {
  if (resource === "*") return undefined;
  const segments = segmentsOf(resource);
  const [arn, name = "", service = "", region = "", , path = ""] = segments;
  if (arn !== "arn" || segments.length === 1) return `Resource ${resource} must be in ARN format or "*".`;
  if (!partition.test(name)) {
    const rest = [0, 1, 2, 3].map((index) => segments[index + 2] ?? "*").join(":");
    return `Partition "${name}" is not valid for resource "arn:${name}:${rest}".`;
  }
  if (service === "" || /[*?]/.test(service)) return "Resource vendor must be fully qualified and cannot contain regexes.";
  // Short ARNs stand for every resource that begins so; a document must say which it means.
  if (segments.length < segmentCount) return legacyProblem;
  return service === "iam" ? findIamResourceProblem(resource, region, path) : undefined;
}

function findIamResourceProblem(resource: string, region: string, path: string): string | undefined {
  if (region !== "" && region !== "*") return `IAM resource ${resource} cannot contain region information.`;
  if (path === "*" || path === "root" || iamPaths.some((start) => path.startsWith(start))) return undefined;
  return `IAM resource path must either be "*" or start with ${iamPaths.join(", ")}.`;
}

/** What is wrong with a written action: IAM's sentence, or undefined. */
export function findActionProblem(action: string): string | undefined {
  if (action === "*") return undefined;
  const [vendor = "", name, ...more] = action.split(":");
  if (name === undefined) return "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
  if (more.length > 0) return "Actions/Condition can contain only one colon.";
  if (vendor !== "*" && !/^[A-Za-z0-9.-]+$/.test(vendor)) return `Vendor ${vendor} is not valid`;
  // Such a name never matches any action, and in a Deny nobody would notice.
  return /^[A-Za-z0-9*?_-]+$/.test(name) ? undefined : legacyProblem;
}
