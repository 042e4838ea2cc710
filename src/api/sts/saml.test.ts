import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { AssumeRoleCommand, AssumeRoleWithSAMLCommand } from "@aws-sdk/client-sts";
import type { AssumeRoleWithSAMLCommandInput, AssumeRoleWithSAMLCommandOutput, STSClient } from "@aws-sdk/client-sts";
import { callIam, iam } from "../../../test/iam-client.ts";
import { awsAttribute, encoded, makeSamlIssuer, metadataOf } from "../../../test/saml-issuer.ts";
import type { SamlClaimsOfTest, SigningOfTest } from "../../../test/saml-issuer.ts";
import { allowing, goodFor, startStsServer, trusting } from "../../../test/sts-fixture.ts";
import type { StsServer } from "../../../test/sts-fixture.ts";

const issuer = makeSamlIssuer();
const signIn = "https://signin.aws.amazon.com/saml";
const own = "https://registry.example";
let sts: StsServer;
let client: STSClient;
let providerArn: string;
let roleArn: string;

before(async () => {
  sts = await startStsServer({ publicUrl: own });
  client = sts.client({ accessKeyId: "none", secretAccessKey: "none" });
  providerArn = await addProvider("Idp", issuer.metadata);
  roleArn = await addRole("Crew", { StringEquals: { "SAML:aud": signIn } });
});

after(async () => {
  assert.deepEqual(sts.server.errors, []);
  await sts.close();
});

async function addProvider(Name: string, SAMLMetadataDocument: string): Promise<string> {
  return (await iam(sts.server, "CreateSAMLProvider", { Name, SAMLMetadataDocument })).first("SAMLProviderArn") ?? "";
}

const withMarks = ["sts:AssumeRoleWithSAML", "sts:TagSession", "sts:SetSourceIdentity"];
async function addRole(name: string, condition?: object, actions: readonly string[] = ["sts:AssumeRoleWithSAML"]): Promise<string> {
  const trust = [trusting({ Federated: providerArn }, actions, condition)];
  return (await sts.addRole({ name, trust, inline: [allowing(["sts:*"])], maxSessionSeconds: 7200 })).arn;
}

type Attributes = Readonly<Record<string, readonly string[]>>;
const attributesOf = (role: string, more: Attributes = {}): Attributes => ({
  [`${awsAttribute}Role`]: [`${role},${providerArn}`],
  [`${awsAttribute}RoleSessionName`]: ["alice"],
  ...more,
});

/** A signed response for the role, in base64. */
function respond(claims: SamlClaimsOfTest & { readonly more?: Attributes; readonly role?: string } = {}, how: SigningOfTest = {}): string {
  const { more, role = roleArn, ...others } = claims;
  const message = issuer.message({ issuedAt: sts.server.core.clock.now(), attributes: attributesOf(role, more), ...others });
  return encoded(issuer.sign(message, how));
}

function assume(SAMLAssertion: string, input: Partial<AssumeRoleWithSAMLCommandInput> = {}): Promise<AssumeRoleWithSAMLCommandOutput> {
  return client.send(new AssumeRoleWithSAMLCommand({ RoleArn: roleArn, PrincipalArn: providerArn, SAMLAssertion, ...input }));
}

/** Code and message of a refusal. */
async function refusalOf(work: Promise<unknown>): Promise<readonly [string, string]> {
  try {
    await work;
  } catch (error) {
    const { name, message } = error as Error;
    return [name, message];
  }
  throw new Error("the response was accepted");
}

const invalid = "InvalidIdentityTokenException";
const expired = "ExpiredTokenException";
const denied = ["AccessDenied", "Not authorized to perform sts:AssumeRoleWithSAML"];
/** Takes a role, and checks how long the credentials are good. */
async function assumeFor(seconds: number, ...asked: Parameters<typeof assume>): Promise<AssumeRoleWithSAMLCommandOutput> {
  const answers: AssumeRoleWithSAMLCommandOutput[] = [];
  await goodFor(sts, seconds, async () => {
    answers.push(await assume(...asked));
    return answers[0]?.Credentials;
  });
  return answers[0] ?? assert.fail("no answer");
}

test("a good response is good for a session of the role", async () => {
  const answer = await assumeFor(3600, respond());
  const arn = `arn:aws:sts::${sts.server.accountId}:assumed-role/Crew/alice`;
  const { Subject, SubjectType, Issuer, Audience, NameQualifier, PackedPolicySize } = answer;
  assert.deepEqual([Subject, SubjectType, Issuer, Audience], ["alice@example.com", "persistent", issuer.entityId, signIn]);
  assert.equal(NameQualifier, createHash("sha1").update(`${issuer.entityId}${sts.server.accountId}/Idp`).digest("base64"));
  assert.equal(PackedPolicySize, undefined);
  assert.deepEqual(await sts.whoIs(answer.Credentials), { arn, userId: answer.AssumedRoleUser?.AssumedRoleId });
});

test("responses may be signed as a whole, be for AWS's regions or for here, and come again within five minutes", async () => {
  const open = await addRole("Open");
  const good: readonly (readonly [string, string])[] = [
    ["the response", respond({ role: open }, { over: ["Response"] })],
    ["both", respond({ role: open }, { over: ["Assertion", "Response"] })],
    ["AWS's name", respond({ role: open, audience: "urn:amazon:webservices" })],
    ["a region", respond({ role: open, recipient: "https://eu-central-1.signin.aws.amazon.com/saml" })],
    ["here", respond({ role: open, recipient: `${own}/saml`, audience: own })],
    ["the other order", respond({ role: open, more: { [`${awsAttribute}Role`]: [`x,y`, `${providerArn}, ${open}`] } })],
  ];
  for (const [what, response] of good) assert.ok((await assume(response, { RoleArn: open })).Credentials, what);
  const again = respond({ role: open });
  for (let times = 0; times < 2; times += 1) assert.ok((await assume(again, { RoleArn: open })).Credentials);
  sts.server.advance(299_000);
  assert.ok((await assume(again, { RoleArn: open })).Credentials);
  sts.server.advance(2_000);
  assert.deepEqual(await refusalOf(assume(again, { RoleArn: open })), [expired, "Token must be redeemed within 5 minutes of issuance"]);
});

test("what a response says wrongly is named", async () => {
  const now = sts.server.core.clock.now();
  const sessionName = `${awsAttribute}RoleSessionName`;
  const nameRule = "must match [a-zA-Z_0-9+=,.@-]{2,64}";
  const recipient = "Response was not sent to an endpoint of this service: the Recipient or Destination is another";
  const cases: readonly (readonly [Parameters<typeof respond>[0], string, string])[] = [
    [{ issuer: "https://evil.example" }, invalid, "Issuer not present in specified provider"],
    [{ audience: "https://other.example" }, invalid, "Response does not contain the required audience"],
    [{ audience: "" }, invalid, "Response does not contain the required audience"],
    [{ recipient: "https://other.example/saml" }, invalid, recipient],
    [{ recipient: "https://signin.aws.amazon.com.evil.example/saml" }, invalid, recipient],
    [{ recipient: `${sts.server.url}/saml` }, invalid, recipient],
    [{ issuedAt: now - 301_000 }, expired, "Token must be redeemed within 5 minutes of issuance"],
    [{ issuedAt: now + 70_000 }, invalid, "The SAML assertion is not valid yet"],
    [{ sessionNotOnOrAfter: new Date(now - 1000).toISOString() }, expired, "The SAML assertion has expired"],
    [
      { status: "urn:oasis:names:tc:SAML:2.0:status:Requester" },
      "IDPRejectedClaimException",
      "The identity provider reported that authentication failed",
    ],
    [{ subject: "" }, ...(denied as [string, string])],
    [{ attributes: { [`${awsAttribute}Role`]: [`${roleArn},${providerArn}`] } }, invalid, "RoleSessionName is required in AuthnResponse"],
    [{ attributes: { [sessionName]: ["alice"] } }, invalid, "Role is required in AuthnResponse"],
    [{ more: { [sessionName]: ["a b"] } }, invalid, `RoleSessionName in AuthnResponse ${nameRule}`],
    [{ more: { [sessionName]: ["alice", "bob"] } }, invalid, `RoleSessionName in AuthnResponse ${nameRule}`],
    [{ more: { [`${awsAttribute}SourceIdentity`]: ["aws:a"] } }, invalid, `Source Identity ${nameRule} and not begin with "aws:"`],
    [{ more: { [`${awsAttribute}SessionDuration`]: ["60"] } }, invalid, "SessionDuration in AuthnResponse is not valid"],
    [{ more: { [`${awsAttribute}PrincipalTag:team`]: ["a", "b"] } }, invalid, "PrincipalTag in AuthnResponse is not valid"],
    [{ role: "arn:aws:iam::123456789012:role/Other" }, ...(denied as [string, string])],
    [{ more: { [`${awsAttribute}Role`]: [`${roleArn},${providerArn}x`] } }, ...(denied as [string, string])],
  ];
  for (const [claims, code, message] of cases)
    assert.deepEqual(await refusalOf(assume(respond(claims))), [code, message], JSON.stringify(claims));
});

test("elements that must be there are, once, and are what they must be", async () => {
  const message = issuer.message({ issuedAt: sts.server.core.clock.now(), attributes: attributesOf(roleArn) });
  const cases: readonly (readonly [string, string | RegExp, string, string])[] = [
    ["another confirmation", "cm:bearer", "cm:holder-of-key", "SubjectConfirmation of the SAML assertion is missing or not valid"],
    [
      "no confirmation",
      /<saml:SubjectConfirmation .*?<\/saml:SubjectConfirmation>/s,
      "",
      "SubjectConfirmation of the SAML assertion is missing or not valid",
    ],
    [
      "two confirmations",
      /<saml:SubjectConfirmation .*?<\/saml:SubjectConfirmation>/s,
      "$&$&",
      "SubjectConfirmation of the SAML assertion is missing or not valid",
    ],
    ["no end", /NotOnOrAfter="[^"]*" Recipient/, "Recipient", "SubjectConfirmationData of the SAML assertion is missing or not valid"],
    [
      "an end that is no time",
      /NotOnOrAfter="[^"]*" Recipient/,
      'NotOnOrAfter="soon" Recipient',
      "SubjectConfirmationData of the SAML assertion is missing or not valid",
    ],
    [
      "an end in the past",
      /NotOnOrAfter="[^"]*" Recipient/,
      'NotOnOrAfter="2020-01-01T00:00:00Z" Recipient',
      "The SAML assertion has expired",
    ],
    [
      "conditions in the past",
      /NotOnOrAfter="[^"]*"><saml:Aud/,
      'NotOnOrAfter="2020-01-01T00:00:00Z"><saml:Aud',
      "The SAML assertion has expired",
    ],
    ["conditions to come", /NotBefore="[^"]*"/, 'NotBefore="2120-01-01T00:00:00Z"', "The SAML assertion is not valid yet"],
    ["no conditions", /<saml:Conditions.*<\/saml:Conditions>/s, "", "Response does not contain the required audience"],
    [
      "a second restriction",
      "</saml:Conditions>",
      "<saml:AudienceRestriction><saml:Audience>urn:x</saml:Audience></saml:AudienceRestriction></saml:Conditions>",
      "Response does not contain the required audience",
    ],
    [
      "an unknown condition",
      "</saml:Conditions>",
      "<saml:Condition/></saml:Conditions>",
      "Conditions of the SAML assertion is missing or not valid",
    ],
    [
      "nobody signed in",
      /<saml:AuthnStatement.*<\/saml:AuthnStatement>/s,
      "",
      "AuthnStatement of the SAML assertion is missing or not valid",
    ],
    [
      "no time",
      / IssueInstant="[^"]*"><saml:Issuer>(?=[^<]*<\/saml:Issuer><saml:Subject)/,
      "><saml:Issuer>",
      "IssueInstant of the SAML assertion is missing or not valid",
    ],
    ["two subjects", /<saml:Subject>.*<\/saml:Subject>/s, "$&$&", denied[1] ?? ""],
  ];
  for (const [what, from, to, text] of cases) {
    const changed = message.replace(from, to);
    assert.notEqual(changed, message, what);
    assert.equal((await refusalOf(assume(encoded(issuer.sign(changed)))))[1], text, what);
  }
  assert.ok(
    (await assume(encoded(issuer.sign(message.replace("</saml:Conditions>", "<saml:OneTimeUse/></saml:Conditions>"))))).Credentials,
  );
});

test("only the provider of the role's account counts, and its own certificates", async () => {
  const other = makeSamlIssuer();
  const message = issuer.message({ issuedAt: sts.server.core.clock.now(), attributes: attributesOf(roleArn) });
  assert.deepEqual(await refusalOf(assume(encoded(other.sign(message)))), [invalid, "Response signature invalid"]);
  assert.deepEqual(await refusalOf(assume(encoded(message))), [invalid, "Response signature invalid"]);
  assert.deepEqual(await refusalOf(assume("%%%%")), [invalid, "Invalid base64 SAMLResponse"]);
  const missing = [invalid, "Specified provider doesn't exist"];
  for (const PrincipalArn of [`${providerArn}x`, providerArn.replace("123456789012", "210987654321"), roleArn, `${providerArn}/`])
    assert.deepEqual(await refusalOf(assume(respond(), { PrincipalArn })), missing, PrincipalArn);
  const elsewhere = roleArn.replace("123456789012", "210987654321");
  assert.deepEqual(await refusalOf(assume(respond(), { RoleArn: elsewhere })), missing);
  const sha1 = respond({}, { signature: "http://www.w3.org/2000/09/xmldsig#rsa-sha1" });
  assert.match((await refusalOf(assume(sha1)))[1], /^Response signature invalid: the algorithm \S+rsa-sha1 is not accepted$/);
});

test("the trust policy decides, and a role without one is refused in the same words", async () => {
  const narrow = await addRole("Narrow", {
    StringEquals: {
      "saml:sub": "alice@example.com",
      "saml:sub_type": "persistent",
      "saml:iss": issuer.entityId,
      "saml:doc": `${sts.server.accountId}/Idp`,
      "saml:mail": "alice@example.com",
      "saml:uid": "alice",
      "sts:RoleSessionName": "alice",
    },
    "ForAnyValue:StringEquals": { "saml:eduPersonAffiliation": "staff" },
    Null: { "saml:cn": "true" },
  });
  const more = {
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress": ["alice@example.com"],
    "urn:oid:0.9.2342.19200300.100.1.1": ["alice"],
    "urn:oid:1.3.6.1.4.1.5923.1.1.1.1": ["member", "staff"],
  };
  assert.ok((await assume(respond({ role: narrow, more }), { RoleArn: narrow })).Credentials);
  const others: readonly Parameters<typeof respond>[0][] = [
    { more: { ...more, "urn:oid:1.3.6.1.4.1.5923.1.1.1.1": ["student"] } },
    { more: { ...more, "urn:oid:0.9.2342.19200300.100.1.1": ["alice", "bob"] } },
    { more: { ...more, "urn:oid:2.5.4.3": ["x"] } },
    { more, subject: "bob@example.com" },
    { more, format: "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified" },
  ];
  for (const claims of others)
    assert.deepEqual(await refusalOf(assume(respond({ role: narrow, ...claims }), { RoleArn: narrow })), denied, JSON.stringify(claims));
  const closed = (await sts.addRole({ name: "ForUsersOnly" })).arn;
  for (const RoleArn of [closed, closed.replace("ForUsersOnly", "Missing")])
    assert.deepEqual(await refusalOf(assume(respond({ role: RoleArn }), { RoleArn })), denied);
});

test("tags and a source identity are put on the session when the role allows it, and the subject stays known", async () => {
  const marked = await addRole("Marked", { StringEquals: { "aws:RequestTag/team": "a", "sts:SourceIdentity": "alice" } }, withMarks);
  const more = {
    [`${awsAttribute}PrincipalTag:team`]: ["a"],
    [`${awsAttribute}PrincipalTag:cost`]: ["b"],
    [`${awsAttribute}TransitiveTagKeys`]: ["team"],
    [`${awsAttribute}SourceIdentity`]: ["alice"],
  };
  const answer = await assume(respond({ role: marked, more }), { RoleArn: marked });
  assert.equal(answer.SourceIdentity, "alice");
  assert.ok(answer.PackedPolicySize);
  const condition = {
    StringEquals: {
      "aws:PrincipalTag/team": "a",
      "aws:FederatedProvider": providerArn,
      "aws:SourceIdentity": "alice",
      "saml:sub": "alice@example.com",
      "saml:sub_type": "persistent",
      "saml:namequalifier": answer.NameQualifier,
    },
  };
  const next = (await sts.addRole({ name: "Onward", trust: [trusting({ AWS: sts.server.accountId }, undefined, condition)] })).arn;
  const onward = new AssumeRoleCommand({ RoleArn: next, RoleSessionName: "session" });
  assert.equal((await sts.client(answer.Credentials).send(onward)).SourceIdentity, "alice");
  const untagged = ["AccessDenied", "Not authorized to perform sts:TagSession"];
  assert.deepEqual(await refusalOf(assume(respond({ more }))), untagged, "the other role allows no tags");
});

test("a session is as long as the request, the response and the role let it be", async () => {
  const shorter = { [`${awsAttribute}SessionDuration`]: ["1800"] };
  await assumeFor(1800, respond({ more: shorter }));
  await assumeFor(3600, respond({ more: { [`${awsAttribute}SessionDuration`]: ["43200"] } }));
  await assumeFor(7200, respond(), { DurationSeconds: 7200 });
  const endsAt = sts.server.core.clock.now() + 600_000;
  const sessionNotOnOrAfter = new Date(endsAt).toISOString();
  const answer = await assume(respond({ more: shorter, sessionNotOnOrAfter }), { DurationSeconds: 7200 });
  const soon = (Number(answer.Credentials?.Expiration) - endsAt) / 1000;
  assert.ok(soon > -2 && soon <= 0, String(soon));
  const [name, message] = await refusalOf(assume(respond(), { DurationSeconds: 7201 }));
  assert.deepEqual([name, message], ["ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."]);
  assert.equal((await refusalOf(assume(respond(), { Policy: "{}" })))[0], "MalformedPolicyDocumentException");
  assert.equal(
    (await refusalOf(assume(respond(), { RoleArn: `arn:aws:iam::${sts.server.accountId}:user/alice` })))[1],
    "Request ARN is invalid",
  );
});

test("new metadata counts at once, and metadata that has ended counts no more", async () => {
  const next = makeSamlIssuer("https://next.example");
  const arn = await addProvider("Rolling", issuer.metadata);
  const role = (await sts.addRole({ name: "Rolled", trust: [trusting({ Federated: arn }, ["sts:AssumeRoleWithSAML"])] })).arn;
  const attributes = { ...attributesOf(role), [`${awsAttribute}Role`]: [`${role},${arn}`] };
  const by = (who: typeof issuer) => encoded(who.sign(who.message({ issuedAt: sts.server.core.clock.now(), attributes })));
  const take = (response: string) => assume(response, { RoleArn: role, PrincipalArn: arn });
  assert.ok((await take(by(issuer))).Credentials);
  await iam(sts.server, "UpdateSAMLProvider", { SAMLProviderArn: arn, SAMLMetadataDocument: next.metadata });
  assert.equal((await refusalOf(take(by(issuer))))[1], "Response signature invalid");
  assert.ok((await take(by(next))).Credentials);
  const ended = metadataOf(next.entityId, [next.certificate], ' validUntil="2020-01-01T00:00:00Z"');
  await iam(sts.server, "UpdateSAMLProvider", { SAMLProviderArn: arn, SAMLMetadataDocument: ended });
  assert.match((await refusalOf(take(by(next))))[1], /metadata .* not valid any more/);
  assert.equal((await callIam(sts.server, "DeleteSAMLProvider", { SAMLProviderArn: arn })).status, 200);
  assert.equal((await refusalOf(take(by(next))))[1], "Specified provider doesn't exist");
});
