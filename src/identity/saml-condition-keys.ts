/**
 * What trust policies may ask about an assertion (IAM User Guide, "Available keys for SAML-based AWS STS federation" and "Mapping SAML
 * attributes to AWS trust policy context keys").
 */
import { createHash } from "node:crypto";
import type { SamlAssertion, SamlAttributes } from "./saml-assertion.ts";

/** Values by the name of the condition key. */
export type SamlKeys = Readonly<Record<string, string | readonly string[]>>;

const claims = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/";
const eduPerson = "1.3.6.1.4.1.5923.1.1.1.";
const eduOrg = "1.3.6.1.4.1.5923.1.2.1.";
const pilot = "0.9.2342.19200300.100.1.";

/** Attributes with one value, by name and key. Object identifiers are taken with and without `urn:oid:`. */
const single: readonly (readonly [name: string, key: string])[] = [
  [`${eduPerson}3`, "eduPersonOrgDN"],
  [`${eduPerson}5`, "eduPersonPrimaryAffiliation"],
  [`${eduPerson}6`, "eduPersonPrincipalName"],
  [`${eduPerson}8`, "eduPersonPrimaryOrgUnitDN"],
  [`${claims}name`, "name"],
  ["http://schemas.xmlsoap.org/claims/CommonName", "commonName"],
  [`${claims}givenname`, "givenName"],
  [`${claims}surname`, "surname"],
  [`${claims}emailaddress`, "mail"],
  // The guide maps it to `uid`, and lists a key of its own too.
  ["http://schemas.microsoft.com/ws/2008/06/identity/claims/primarygroupsid", "primaryGroupSID"],
  ["http://schemas.microsoft.com/ws/2008/06/identity/claims/primarygroupsid", "uid"],
  ["2.5.4.3", "commonName"],
  ["2.5.4.4", "surname"],
  ["2.5.4.42", "givenName"],
  ["2.5.4.45", "x500UniqueIdentifier"],
  [`${pilot}1`, "uid"],
  [`${pilot}3`, "mail"],
  [`${pilot}45`, "organizationStatus"],
];

/** Attributes with any number of values. */
const lists: readonly (readonly [name: string, key: string])[] = [
  [`${eduPerson}1`, "eduPersonAffiliation"],
  [`${eduPerson}2`, "eduPersonNickname"],
  [`${eduPerson}4`, "eduPersonOrgUnitDN"],
  [`${eduPerson}7`, "eduPersonEntitlement"],
  [`${eduPerson}9`, "eduPersonScopedAffiliation"],
  [`${eduPerson}10`, "eduPersonTargetedID"],
  [`${eduPerson}11`, "eduPersonAssurance"],
  [`${eduOrg}2`, "eduOrgHomePageURI"],
  [`${eduOrg}3`, "eduOrgIdentityAuthNPolicyURI"],
  [`${eduOrg}4`, "eduOrgLegalName"],
  [`${eduOrg}5`, "eduOrgSuperiorURI"],
  [`${eduOrg}6`, "eduOrgWhitePagesURI"],
  ["2.5.4.3", "cn"],
];

/** The keys that requests of the session go on having; the others are for the trust policy alone. */
export function samlSessionKeys(assertion: SamlAssertion, nameQualifier: string): Readonly<Record<string, string>> {
  return { "saml:namequalifier": nameQualifier, "saml:sub": assertion.subject, "saml:sub_type": assertion.subjectType };
}

/** All keys. Of several attributes for one key the first that is listed counts, as AWS says that only one does. */
export function samlTrustKeys(assertion: SamlAssertion, provider: { readonly accountId: string; readonly name: string }): SamlKeys {
  const { attributes } = assertion;
  const keys: Record<string, string | readonly string[]> = {
    ...samlSessionKeys(assertion, nameQualifierOf(assertion.issuer, provider)),
    "saml:aud": assertion.recipient,
    "saml:iss": assertion.issuer,
    "saml:doc": `${provider.accountId}/${provider.name}`,
  };
  for (const [name, key] of single) {
    const [value, ...others] = valuesOf(attributes, name);
    if (value !== undefined && others.length === 0) keys[`saml:${key}`] ??= value;
  }
  for (const [name, key] of lists) {
    const values = valuesOf(attributes, name);
    if (values.length > 0) keys[`saml:${key}`] = values;
  }
  return keys;
}

/** AWS's hash that with the subject names a person: of issuer, account and provider (STS API Reference, AssumeRoleWithSAML). */
export function nameQualifierOf(issuer: string, { accountId, name }: { readonly accountId: string; readonly name: string }): string {
  return createHash("sha1").update(`${issuer}${accountId}/${name}`).digest("base64");
}

function valuesOf(attributes: SamlAttributes, name: string): readonly string[] {
  return attributes.get(name) ?? attributes.get(`urn:oid:${name}`) ?? [];
}
