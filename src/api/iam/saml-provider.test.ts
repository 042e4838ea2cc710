import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callIam, iam, makeIamUser } from "../../../test/iam-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { makeSamlIssuer, metadataOf } from "../../../test/saml-issuer.ts";

let server: RegistryServer;
const issuer = makeSamlIssuer();
const prefix = "arn:aws:iam::123456789012:saml-provider/";
const SAMLMetadataDocument = issuer.metadata;

before(async () => {
  server = await startRegistryServer();
});

after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

const tags = (pairs: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(pairs).flatMap(([key, value], at) => [
      [`Tags.member.${at + 1}.Key`, key],
      [`Tags.member.${at + 1}.Value`, value],
    ]),
  );

test("a provider is made, shown, listed, changed and deleted", async () => {
  const made = await iam(server, "CreateSAMLProvider", { Name: "Idp", SAMLMetadataDocument, ...tags({ team: "a" }) });
  const SAMLProviderArn = `${prefix}Idp`;
  assert.deepEqual([made.first("SAMLProviderArn"), made.first("Key")], [SAMLProviderArn, "team"]);
  const shown = await iam(server, "GetSAMLProvider", { SAMLProviderArn });
  assert.equal(shown.first("SAMLMetadataDocument"), SAMLMetadataDocument);
  assert.match(shown.first("SAMLProviderUUID") ?? "", /^[A-Z0-9]{22,64}$/);
  const year = new Date(server.core.clock.now()).getUTCFullYear();
  assert.ok(shown.first("ValidUntil")?.startsWith(String(year + 100)), "a hundred years where the document says nothing");
  await iam(server, "CreateSAMLProvider", { Name: "Another", SAMLMetadataDocument });
  assert.deepEqual((await iam(server, "ListSAMLProviders")).all("Arn"), [`${prefix}Another`, SAMLProviderArn]);
  const next = metadataOf("https://next.example", [issuer.certificate], ' validUntil="2090-01-01T00:00:00Z"');
  assert.equal(
    (await iam(server, "UpdateSAMLProvider", { SAMLProviderArn, SAMLMetadataDocument: next })).first("SAMLProviderArn"),
    SAMLProviderArn,
  );
  const changed = await iam(server, "GetSAMLProvider", { SAMLProviderArn });
  assert.deepEqual([changed.first("SAMLMetadataDocument"), changed.first("ValidUntil")], [next, "2090-01-01T00:00:00Z"]);
  assert.deepEqual([changed.first("SAMLProviderUUID"), changed.first("Value")], [shown.first("SAMLProviderUUID"), "a"]);
  await iam(server, "DeleteSAMLProvider", { SAMLProviderArn });
  for (const operation of ["GetSAMLProvider", "DeleteSAMLProvider", "ListSAMLProviderTags"]) {
    assert.equal((await callIam(server, operation, { SAMLProviderArn })).code, "NoSuchEntity", operation);
  }
  await iam(server, "DeleteSAMLProvider", { SAMLProviderArn: `${prefix}Another` });
});

test("tags are added, replaced, paged and removed", async () => {
  const { first } = await iam(server, "CreateSAMLProvider", { Name: "Tagged", SAMLMetadataDocument, ...tags({ b: "1" }) });
  const provider = { SAMLProviderArn: first("SAMLProviderArn") ?? "" };
  await iam(server, "TagSAMLProvider", { ...provider, ...tags({ B: "2", a: "3", c: "4" }) });
  const one = await iam(server, "ListSAMLProviderTags", { ...provider, MaxItems: "2" });
  assert.deepEqual([one.all("Key"), one.first("IsTruncated")], [["a", "B"], "true"]);
  const two = await iam(server, "ListSAMLProviderTags", { ...provider, Marker: one.first("Marker") ?? "" });
  assert.deepEqual([two.all("Key"), two.first("IsTruncated")], [["c"], "false"]);
  await iam(server, "UntagSAMLProvider", { ...provider, "TagKeys.member.1": "A", "TagKeys.member.2": "none" });
  assert.deepEqual((await iam(server, "ListSAMLProviderTags", provider)).all("Key"), ["B", "c"]);
  const many = tags(Object.fromEntries(Array.from({ length: 49 }, (_, at) => [`key${at}`, "v"])));
  assert.equal((await callIam(server, "TagSAMLProvider", { ...provider, ...many })).code, "LimitExceeded");
  const twice = await callIam(server, "TagSAMLProvider", { ...provider, ...tags({ x: "1", X: "2" }) });
  assert.equal(twice.code, "InvalidInput");
  await iam(server, "DeleteSAMLProvider", provider);
});

test("what cannot be a provider is refused", async () => {
  await iam(server, "CreateSAMLProvider", { Name: "There", SAMLMetadataDocument });
  const SAMLProviderArn = `${prefix}There`;
  const cases: readonly (readonly [string, Record<string, string>, string, RegExp])[] = [
    ["CreateSAMLProvider", { Name: "There", SAMLMetadataDocument }, "EntityAlreadyExists", /There already exists/],
    ["CreateSAMLProvider", { Name: "a b", SAMLMetadataDocument }, "ValidationError", /'name'/],
    ["CreateSAMLProvider", { Name: "Short", SAMLMetadataDocument: "<x/>" }, "ValidationError", /greater than or equal to 1000/],
    ["CreateSAMLProvider", { Name: "Bad", SAMLMetadataDocument: "x".repeat(1000) }, "InvalidInput", /^Could not parse metadata$/],
    ["CreateSAMLProvider", { Name: "Long", SAMLMetadataDocument: "x".repeat(300_000) }, "InvalidInput", /at most 262144/],
    ["CreateSAMLProvider", { Name: "Key", SAMLMetadataDocument, AddPrivateKey: "k" }, "InvalidInput", /Encrypted SAML assertions/],
    ["UpdateSAMLProvider", { SAMLProviderArn, AssertionEncryptionMode: "Allowed" }, "InvalidInput", /Encrypted SAML assertions/],
    ["UpdateSAMLProvider", { SAMLProviderArn }, "InvalidInput", /No updates are defined/],
    ["UpdateSAMLProvider", { SAMLProviderArn, SAMLMetadataDocument: "x".repeat(1000) }, "InvalidInput", /^Could not parse metadata$/],
    ["GetSAMLProvider", { SAMLProviderArn: `${prefix}None` }, "NoSuchEntity", /None/],
    ["GetSAMLProvider", { SAMLProviderArn: SAMLProviderArn.replace("123456789012", "210987654321") }, "AccessDenied", /210987654321/],
    ["GetSAMLProvider", { SAMLProviderArn: `${prefix}There/x` }, "NoSuchEntity", /x/],
  ];
  for (const [operation, parameters, code, message] of cases) {
    const answer = await callIam(server, operation, parameters);
    assert.equal(answer.code, code, `${operation} ${answer.message}`);
    assert.match(answer.message, message, operation);
  }
  assert.equal((await iam(server, "GetSAMLProvider", { SAMLProviderArn })).first("SAMLMetadataDocument"), SAMLMetadataDocument);
});

test("tags of a provider count in conditions", async () => {
  await iam(server, "CreateSAMLProvider", { Name: "Ours", SAMLMetadataDocument, ...tags({ team: "ours" }) });
  const condition = { StringEquals: { "aws:ResourceTag/team": "ours" } };
  const user = await makeIamUser(server, "ann", [{ Effect: "Allow", Action: "iam:*SAMLProvider*", Resource: "*", Condition: condition }]);
  const get = (name: string) => callIam(server, "GetSAMLProvider", { SAMLProviderArn: prefix + name }, user);
  assert.deepEqual([(await get("Ours")).status, (await get("There")).code], [200, "AccessDenied"]);
});
