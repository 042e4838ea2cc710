import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { makeSamlIssuer, metadataOf } from "../../test/saml-issuer.ts";
import { parseSamlMetadata } from "./saml-metadata.ts";

const issuer = makeSamlIssuer();
const { entityId, certificate, metadata } = issuer;

test("a document tells who signs, and with what", () => {
  const plain = parseSamlMetadata(metadata);
  assert.deepEqual(plain, { ok: true, value: { entityId, certificates: [certificate] } });
  const other = makeSamlIssuer("https://other.example");
  const rolling = parseSamlMetadata(
    metadataOf(entityId, [certificate, other.certificate, certificate], ' validUntil="2030-01-02T03:04:05Z"'),
  );
  const validUntil = Date.UTC(2030, 0, 2, 3, 4, 5);
  assert.deepEqual(rolling, { ok: true, value: { entityId, certificates: [certificate, other.certificate], validUntil } });
  for (const change of [
    metadata.replace(' use="signing"', ""),
    metadata.replace(certificate, certificate.replaceAll(/(.{64})/g, "$1\n        ")),
    metadata.replace("<NameIDFormat>", `<KeyDescriptor use="encryption"><x/></KeyDescriptor><NameIDFormat>`),
  ]) {
    assert.deepEqual(parseSamlMetadata(change), plain);
  }
});

test("what is not an identity provider's document is refused in AWS's words", () => {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const cases: Readonly<Record<string, string>> = {
    "no XML": "x".repeat(1000),
    "a byte order mark": `\uFEFF${metadata}`,
    "a document type": metadata.replace("<EntityDescriptor", "<!DOCTYPE x><EntityDescriptor"),
    "an entity": metadata.replace("<EntityDescriptor", '<!DOCTYPE x [<!ENTITY e "e">]><EntityDescriptor'),
    "another root": metadata.replaceAll("EntityDescriptor", "EntitiesDescriptor"),
    "another namespace": metadata.replace("SAML:2.0:metadata", "SAML:1.0:metadata"),
    "no name": metadata.replace(/entityID="[^"]*"/, ""),
    "no identity provider": metadata.replaceAll("IDPSSODescriptor", "SPSSODescriptor"),
    "another protocol": metadata.replace("SAML:2.0:protocol", "SAML:1.1:protocol"),
    "no certificate": metadataOf(entityId, []),
    "a certificate to encrypt with": metadata.replace('use="signing"', 'use="encryption"'),
    "half a certificate": metadataOf(entityId, [certificate.slice(0, 100)]),
    "no base64": metadataOf(entityId, ["<x/>"]),
    "a key": metadataOf(entityId, [publicKey.export({ type: "spki", format: "der" }).toString("base64")]),
    "a small key": makeSamlIssuer(entityId, 768).metadata,
    "an end that is no time": metadataOf(entityId, [certificate], ' validUntil="soon"'),
  };
  for (const [what, document] of Object.entries(cases)) {
    assert.deepEqual(parseSamlMetadata(document), { ok: false, problem: "Could not parse metadata" }, what);
  }
  const large = parseSamlMetadata(metadata.replace("made for", "x".repeat(262_144)));
  assert.match(large.ok ? "" : large.problem, /at most 262144 characters/);
});
