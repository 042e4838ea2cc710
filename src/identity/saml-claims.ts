/** AWS's own attributes in assertions: what they ask for (IAM User Guide, "Configure SAML assertions for the authentication response"). */
import type { SamlAttributes } from "./saml-assertion.ts";
import type { SessionMarks, SessionTag } from "./session-tags.ts";

/** What AWS's attributes ask for. */
export interface SamlClaims {
  readonly sessionName: string;
  /** The values of the attribute `Role`, each the ARNs of a role and of a provider. */
  readonly pairs: readonly (readonly string[])[];
  readonly marks: SessionMarks;
  /** How long the session may be at most. */
  readonly maxSeconds: number | undefined;
}

/** Why AWS's attributes are not taken; `attribute` is the last part of its name. */
export type SamlClaimProblem =
  | { readonly kind: "missing-attribute"; readonly attribute: string }
  | { readonly kind: "bad-attribute"; readonly attribute: string };

const prefix = "https://aws.amazon.com/SAML/Attributes/";
const tagPrefix = `${prefix}PrincipalTag:`;
const nameForm = /^[\w+=,.@-]{2,64}$/;
const sourceForm = /^(?!aws:)[\w+=,.@-]{2,64}$/;
const secondsForm = /^[0-9]{3,5}$/;
const sessionSeconds = { least: 900, most: 43_200 };
const maxTags = 50;
const tagKeyForm = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u;
const tagValueForm = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u;

/** Reads AWS's attributes. Names are taken as they are written; what may be there once may be there once. */
export function readSamlClaims(
  attributes: SamlAttributes,
): { readonly ok: true; readonly value: SamlClaims } | { readonly ok: false; readonly problem: SamlClaimProblem } {
  const bad = (attribute: string) => ({ ok: false, problem: { kind: "bad-attribute", attribute } }) as const;
  const missing = ["Role", "RoleSessionName"].find((attribute) => (attributes.get(prefix + attribute) ?? []).length === 0);
  if (missing !== undefined) return { ok: false, problem: { kind: "missing-attribute", attribute: missing } };
  const sessionName = oneOf(attributes, "RoleSessionName", nameForm);
  if (typeof sessionName !== "string") return bad("RoleSessionName");
  const sourceIdentity = oneOf(attributes, "SourceIdentity", sourceForm);
  if (sourceIdentity === null) return bad("SourceIdentity");
  const seconds = oneOf(attributes, "SessionDuration", secondsForm);
  const maxSeconds = seconds === undefined ? undefined : Number(seconds ?? 0);
  if (maxSeconds !== undefined && (maxSeconds < sessionSeconds.least || maxSeconds > sessionSeconds.most)) return bad("SessionDuration");
  const tags = tagsOf(attributes);
  if (tags === undefined) return bad("PrincipalTag");
  const transitiveKeys = attributes.get(`${prefix}TransitiveTagKeys`) ?? [];
  if (transitiveKeys.length > maxTags) return bad("TransitiveTagKeys");
  const pairs = (attributes.get(`${prefix}Role`) ?? []).map((value) => value.split(",").map((arn) => arn.trim()));
  return { ok: true, value: { sessionName, pairs, marks: { tags, transitiveKeys, sourceIdentity }, maxSeconds } };
}

/** Does the assertion pair the role with the provider? AWS takes a pair in either order. */
export function mayTakeRole({ pairs }: SamlClaims, roleArn: string, providerArn: string): boolean {
  return pairs.some((pair) => pair.length === 2 && pair.includes(roleArn) && pair.includes(providerArn));
}

/** The one value of an attribute; undefined when it is not there, null when it is there otherwise. */
function oneOf(attributes: SamlAttributes, attribute: string, form: RegExp): string | undefined | null {
  const values = attributes.get(prefix + attribute);
  if (values === undefined) return undefined;
  const [value = ""] = values;
  return values.length === 1 && form.test(value) ? value : null;
}

/** One value each. */
function tagsOf(attributes: SamlAttributes): readonly SessionTag[] | undefined {
  const tags: SessionTag[] = [];
  for (const [name, values] of attributes) {
    if (!name.startsWith(tagPrefix)) continue;
    const key = name.slice(tagPrefix.length);
    const [value = ""] = values;
    if (values.length !== 1 || !tagKeyForm.test(key) || !tagValueForm.test(value)) return undefined;
    tags.push({ key, value });
  }
  return tags.length > maxTags ? undefined : tags;
}
