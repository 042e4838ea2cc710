import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { test } from "node:test";
import { startCpuTime } from "#std/testing/cpu-time.ts";
import { enveloped, encoded, exclusive, makeSamlIssuer } from "../../test/saml-issuer.ts";
import type { SigningOfTest } from "../../test/saml-issuer.ts";
import { readSamlResponse } from "./saml-response.ts";
import { samlNamespaces } from "./saml-words.ts";
import { onlyChild } from "./saml-xml.ts";

const issuer = makeSamlIssuer();
const stranger = makeSamlIssuer();
const { saml } = samlNamespaces;
const plain = issuer.message({ subject: "alice" });
const signed = issuer.sign(plain);

const assertionIn = (xml: string): string => /<saml:Assertion .*<\/saml:Assertion>/s.exec(xml)?.[0] ?? "";
const signatureIn = (xml: string): string => /<ds:Signature .*?<\/ds:Signature>/s.exec(xml)?.[0] ?? "";
/** The assertion of somebody else, under another ID. */
const evil = assertionIn(plain).replace("alice", "mallory").replace('ID="_assertion"', 'ID="_evil"');
const withId = (xml: string, id: string): string => xml.replace(/ID="_(?:assertion|evil)"/, `ID="${id}"`);

/** The subject of the assertion, or the kind of the problem. */
function read(xml: string, certificates: readonly string[] = [issuer.certificate]): string {
  const answer = readSamlResponse(encoded(xml), certificates);
  if (!answer.ok) return answer.problem.kind;
  const subject = onlyChild(answer.value.assertion, saml, "Subject");
  return `subject ${subject === undefined ? "" : (onlyChild(subject, saml, "NameID")?.text ?? "")}`;
}

const more = "http://www.w3.org/2001/04/xmldsig-more#";
const good: readonly (readonly [string, SigningOfTest])[] = [
  ["the assertion", {}],
  ["the response", { over: ["Response"] }],
  ["both", { over: ["Assertion", "Response"] }],
  ["SHA-512", { signature: `${more}rsa-sha512`, digest: "http://www.w3.org/2001/04/xmlenc#sha512" }],
  ["PSS", { signature: "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1" }],
];

test("a signature over the assertion, the response or both is good", () => {
  for (const [what, how] of good) assert.equal(read(issuer.sign(plain, how)), "subject alice", what);
  assert.equal(read(signed, [stranger.certificate, issuer.certificate]), "subject alice", "by any certificate of the metadata");
  assert.equal(read(`<?xml version="1.0" encoding="UTF-8"?>\r\n${signed}`), "subject alice", "with a declaration");
  const wrapped = encoded(signed).replaceAll(/(.{76})/g, "$1\r\n");
  assert.ok(readSamlResponse(wrapped, [issuer.certificate]).ok, "base64 in lines");
});

test("line ends are what XML makes of them, before anything is digested", () => {
  const lines = issuer.sign(plain.replace("<saml:Subject>", "\n<saml:Subject>\n"));
  assert.equal(read(lines.replaceAll("\n", "\r\n")), "subject alice");
});

test("without a signature by a certificate of the metadata nothing is proven", () => {
  const [, digest = ""] = /<ds:DigestValue>(.*?)</.exec(signed) ?? [];
  const flipped = `${digest.startsWith("A") ? "B" : "A"}${digest.slice(1)}`;
  const keyInfo = `<ds:KeyInfo><ds:X509Data><ds:X509Certificate>${stranger.certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>`;
  const byStranger = issuer.sign(plain, { key: stranger.privateKey });
  const cases: Readonly<Record<string, string>> = {
    "not signed": plain,
    "an empty signature": plain.replace("<saml:Subject>", `<ds:Signature xmlns:ds="${samlNamespaces.ds}"/><saml:Subject>`),
    "by another key": byStranger,
    "by another key, with its certificate": byStranger.replace("</ds:Signature>", keyInfo),
    "another subject": signed.replace("alice", "mallory"),
    "another digest": signed.replace(digest, flipped),
    "a comment's worth of another subject": signed.replace("alice", "ali&#99;e."),
    "an attribute more": signed.replace('ID="_assertion" ', 'ID="_assertion" x="y" '),
    "an element more": signed.replace("<saml:Conditions", "<saml:Attribute/><saml:Conditions"),
    "one good and one bad signature": issuer.sign(issuer.sign(plain, { key: stranger.privateKey }), { over: ["Response"] }),
    "a good one inside a bad one": issuer.sign(signed, { over: ["Response"], key: stranger.privateKey }),
    "over another element": issuer.sign(plain.replace("<samlp:Status>", '<samlp:Status ID="_status">'), { reference: "Status" }),
    "over the response, in the assertion": issuer.sign(plain, { reference: "Response" }),
    "an empty reference": signed.replace('URI="#_assertion"', 'URI=""'),
    "no reference": signed.replace(' URI="#_assertion"', ""),
    "a reference elsewhere": signed.replace('URI="#_assertion"', 'URI="#_response"'),
    "a reference by XPath": signed.replace('URI="#_assertion"', `URI="#xpointer(id('_assertion'))"`),
    "a reference to the network": signed.replace('URI="#_assertion"', 'URI="https://idp.example/assertion.xml"'),
  };
  for (const [what, xml] of Object.entries(cases)) {
    assert.notEqual(xml, signed, what);
    assert.equal(read(xml), "bad-signature", what);
  }
  assert.equal(read(signed, []), "bad-signature");
});

test("algorithms are from a short list", () => {
  const names: readonly (readonly [SigningOfTest, string])[] = [
    [{ signature: "http://www.w3.org/2000/09/xmldsig#rsa-sha1" }, "refused-algorithm"],
    [{ digest: "http://www.w3.org/2000/09/xmldsig#sha1" }, "refused-algorithm"],
    [{ canonicalization: "http://www.w3.org/TR/2001/REC-xml-c14n-20010315" }, "refused-algorithm"],
    [{ transforms: [enveloped, "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"] }, "refused-algorithm"],
    [{ transforms: [exclusive, enveloped] }, "bad-signature"],
    [{ transforms: [enveloped] }, "bad-signature"],
    [{ transforms: [enveloped, exclusive, exclusive] }, "bad-signature"],
  ];
  for (const [how, kind] of names) assert.equal(read(issuer.sign(plain, how)), kind, JSON.stringify(how));
  const xslt = signed.replace(
    `<ds:Transform Algorithm="${exclusive}"`,
    '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"',
  );
  assert.equal(read(xslt), "refused-algorithm");
});

test("a public certificate is no secret for HMAC", () => {
  const hmac = "http://www.w3.org/2000/09/xmldsig#hmac-sha1";
  const forged = signed.replace("alice", "mallory").replace(`${more}rsa-sha256`, hmac);
  for (const key of [issuer.certificate, Buffer.from(issuer.certificate, "base64")]) {
    const value = createHmac("sha1", key).update("whatever it may be").digest("base64");
    assert.equal(read(forged.replace(/(<ds:SignatureValue>).*?(<)/s, `$1${value}$2`)), "refused-algorithm");
  }
  const truncated = `<ds:SignatureMethod Algorithm="${more}rsa-sha256"><ds:HMACOutputLength>8</ds:HMACOutputLength></ds:SignatureMethod>`;
  assert.equal(read(signed.replace(/<ds:SignatureMethod[^>]*\/>/, truncated)), "bad-signature");
});

test("signed elements cannot be wrapped in others (XSW 1 to 8, and kin)", () => {
  const both = issuer.sign(plain, { over: ["Response"] });
  const responseSignature = signatureIn(both);
  const bareBoth = both.replace(responseSignature, "");
  const evilResponse = (inside: string): string =>
    plain
      .replace('ID="_response"', 'ID="_evilResponse"')
      .replace(assertionIn(plain), evil)
      .replace("<saml:Subject>", `${inside}<saml:Subject>`);
  const good = assertionIn(signed);
  const signature = signatureIn(signed);
  const bare = good.replace(signature, "");
  const inSignature = (inside: string): string => signature.replace("</ds:Signature>", `<ds:Object>${inside}</ds:Object></ds:Signature>`);
  const instead = (assertions: string): string => plain.replace(assertionIn(plain), () => assertions);
  const attacks: Readonly<Record<string, string>> = {
    "1: the response inside the signature of another": evilResponse(
      responseSignature.replace("</ds:Signature>", `<ds:Object>${bareBoth}</ds:Object></ds:Signature>`),
    ),
    "2: the response beside the signature in another": evilResponse(`${bareBoth}${responseSignature}`),
    "3: another assertion first": instead(evil + good),
    "3b: another assertion after it": instead(good + evil),
    "4: the assertion inside another": instead(evil.replace("</saml:Assertion>", `${good}</saml:Assertion>`)),
    "5: the signature in another, which has the ID's place": instead(evil.replace("<saml:Subject>", `${signature}<saml:Subject>`) + bare),
    "6: the assertion inside the signature of another": instead(evil.replace("<saml:Subject>", `${inSignature(bare)}<saml:Subject>`)),
    "7: another in an extension": plain
      .replace("<saml:Assertion ", `<samlp:Extensions>${evil}</samlp:Extensions>$&`)
      .replace(assertionIn(plain), good),
    "7b: the signed one in an extension": instead(`<samlp:Extensions>${good}</samlp:Extensions>${evil}`),
    "8: the signed one in an object of a signature": instead(evil.replace("<saml:Subject>", `${inSignature(good)}<saml:Subject>`)),
    "the same ID twice": instead(withId(evil, "_assertion") + good),
    "the same ID in other letters": instead(good).replace("<samlp:Status>", '<samlp:Status Id="_assertion">'),
    "the same ID in another namespace": instead(good).replace("<samlp:Status>", '<samlp:Status xmlns:x="urn:x" x:ID="_assertion">'),
    "an assertion of another namespace": instead(
      `${evil.replaceAll("saml:", "x:").replace("<x:Assertion", '<x:Assertion xmlns:x="urn:x"')}${good}`,
    ),
    "an advice with an assertion": instead(good.replace("</saml:Assertion>", `<saml:Advice>${evil}</saml:Advice></saml:Assertion>`)),
    "two signatures in one element": instead(good.replace(signature, signature + signature)),
    "a signature further down": instead(good.replace(signature, "").replace("<saml:Subject>", `<saml:Subject>${signature}`)),
    "a response in a response": evilResponse(both),
    "two references": signed.replace(/(<ds:Reference .*?<\/ds:Reference>)/s, "$1$1"),
    "two digests": signed.replace(/(<ds:DigestValue>.*?<\/ds:DigestValue>)/, "$1$1"),
    "two SignedInfo": signed.replace(/(<ds:SignedInfo>.*?<\/ds:SignedInfo>)/s, "$1$1"),
    "a digest with a comment": signed.replace(/<ds:DigestValue>/, `<ds:DigestValue><!--${createHash("sha256").digest("base64")}-->`),
  };
  for (const [what, xml] of Object.entries(attacks)) {
    assert.notEqual(xml, signed, what);
    const answer = read(xml);
    assert.ok(["malformed", "bad-signature"].includes(answer), `${what}: ${answer}`);
  }
});

test("nothing but elements, attributes and text is taken", () => {
  const subject = issuer.sign(issuer.message({ subject: "admin@example.com.evil.example" }));
  const cases: Readonly<Record<string, string>> = {
    "a comment in a name": subject.replace("admin@example.com.evil", "admin@example.com<!---->.evil"),
    "a comment elsewhere": signed.replace("<samlp:Status>", "<!-- x --><samlp:Status>"),
    "a document type": `<!DOCTYPE r>${signed}`,
    "an entity": `<!DOCTYPE r [<!ENTITY a "mallory">]>${signed.replace("alice", "&a;")}`,
    "a billion laughs": `<!DOCTYPE r [<!ENTITY a "${"&b;".repeat(10)}"><!ENTITY b "ha">]>${signed.replace("alice", "&a;")}`,
    "an outside entity": `<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>${signed.replace("alice", "&a;")}`,
    "an entity that nobody declared": signed.replace("alice", "&a;"),
    "a CDATA section": signed.replace("alice", "<![CDATA[alice]]>"),
    "a processing instruction": signed.replace("<samlp:Status>", "<?x y?><samlp:Status>"),
    "a document too many": signed + signed,
    "text behind": `${signed}x`,
    "an end too few": signed.slice(0, -20),
    "no XML": "SAML",
    "another version": signed.replaceAll('Version="2.0"', 'Version="1.1"'),
    "an assertion alone": assertionIn(signed).replace("<saml:Assertion ", `<saml:Assertion xmlns:saml="${saml}" `),
    "no assertion": signed.replace(assertionIn(signed), ""),
    nesting: signed.replace("<samlp:Status>", `${"<a>".repeat(40)}${"</a>".repeat(40)}<samlp:Status>`),
  };
  for (const [what, xml] of Object.entries(cases)) {
    assert.ok(xml !== signed && xml !== subject, what);
    assert.equal(read(xml), "malformed", what);
  }
  for (const text of ["%%%%", "", "====", "YQ=", encoded("\uFFFD").replace("77+9", "/v8=")]) {
    const answer = readSamlResponse(text, [issuer.certificate]);
    assert.ok(!answer.ok && ["not-base64", "malformed"].includes(answer.problem.kind), text);
  }
});

test("encrypted assertions and refusals of the provider are named", () => {
  const encrypted = signed.replace(assertionIn(signed), "<saml:EncryptedAssertion><x/></saml:EncryptedAssertion>");
  assert.equal(read(encrypted), "encrypted");
  assert.equal(read(issuer.sign(plain.replace(/<saml:NameID.*?<\/saml:NameID>/, "<saml:EncryptedID/>"))), "encrypted");
  assert.equal(read(issuer.sign(issuer.message({ status: "urn:oasis:names:tc:SAML:2.0:status:Responder" }))), "rejected");
});

test("the largest messages that may come are judged in bounded time", () => {
  const filler: Readonly<Record<string, string>> = {
    nested: "<a>".repeat(12_000),
    wide: "<a/>".repeat(18_000),
    namespaces: Array.from({ length: 3_600 }, (_, at) => `<a xmlns:b${at}="u">`).join(""),
    attributes: `<a ${Array.from({ length: 7_000 }, (_, at) => `a${at}=""`).join(" ")}/>`,
    comments: "<!---->".repeat(10_000),
    quotes: `<a b='`.repeat(12_000),
    references: "&lt;".repeat(18_000),
  };
  for (const [what, text] of Object.entries(filler)) {
    const message = encoded(signed.replace("<samlp:Status>", `${text}<samlp:Status>`)).slice(0, 100_000);
    const cpuMs = startCpuTime();
    readSamlResponse(
      message,
      Array.from({ length: 20 }, () => stranger.certificate),
    );
    assert.ok(cpuMs() < 1_000, `${what}: ${cpuMs()} ms`);
  }
});
