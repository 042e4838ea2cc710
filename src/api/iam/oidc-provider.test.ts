import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callIam, iam, makeIamUser } from "../../../test/iam-client.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

let server: RegistryServer;

before(async () => {
  server = await startRegistryServer();
});

after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

const prefix = "arn:aws:iam::123456789012:oidc-provider/";
const thumbprint = "a".repeat(40);

/** Members of a list as forms have them. */
function members(name: string, values: readonly string[]): Record<string, string> {
  return Object.fromEntries(values.map((value, at) => [`${name}.member.${at + 1}`, value]));
}

test("a provider is known by its issuer, path included", async () => {
  const made = await iam(server, "CreateOpenIDConnectProvider", {
    Url: "https://oidc.example.com/id/ABC",
    ...members("ClientIDList", ["sts.amazonaws.com", "other", "other"]),
    ...members("ThumbprintList", [thumbprint]),
    "Tags.member.1.Key": "k",
    "Tags.member.1.Value": "v",
  });
  const arn = `${prefix}oidc.example.com/id/ABC`;
  assert.deepEqual([made.first("OpenIDConnectProviderArn"), made.first("Key")], [arn, "k"]);
  const found = await iam(server, "GetOpenIDConnectProvider", { OpenIDConnectProviderArn: arn });
  assert.deepEqual(
    [found.first("Url"), found.first("ClientIDList"), found.first("ThumbprintList"), found.first("Value")],
    ["oidc.example.com/id/ABC", "<member>sts.amazonaws.com</member><member>other</member>", `<member>${thumbprint}</member>`, "v"],
  );
  assert.match(found.first("CreateDate") ?? "", /Z$/);
  await iam(server, "CreateOpenIDConnectProvider", { Url: "https://issuer.internal:8443" });
  const listed = await iam(server, "ListOpenIDConnectProviders");
  assert.deepEqual(listed.all("Arn"), [`${prefix}issuer.internal:8443`, arn]);
});

test("client ids and thumbprints change, and doing it twice is no error", async () => {
  const { first } = await iam(server, "CreateOpenIDConnectProvider", { Url: "https://changing.example" });
  const provider = { OpenIDConnectProviderArn: first("OpenIDConnectProviderArn") ?? "" };
  const shown = async (element: string) => (await iam(server, "GetOpenIDConnectProvider", provider)).first(element);
  for (const ClientID of ["a", "a", "b"]) await iam(server, "AddClientIDToOpenIDConnectProvider", { ...provider, ClientID });
  for (const ClientID of ["a", "a"]) await iam(server, "RemoveClientIDFromOpenIDConnectProvider", { ...provider, ClientID });
  assert.equal(await shown("ClientIDList"), "<member>b</member>");
  await iam(server, "UpdateOpenIDConnectProviderThumbprint", { ...provider, ...members("ThumbprintList", [thumbprint]) });
  assert.equal(await shown("ThumbprintList"), `<member>${thumbprint}</member>`);
  for (let times = 0; times < 2; times += 1) await iam(server, "DeleteOpenIDConnectProvider", provider);
  assert.equal((await callIam(server, "GetOpenIDConnectProvider", provider)).code, "NoSuchEntity");
});

test("issuers are https and nothing but an issuer", async () => {
  const bad = [
    "http://localhost:8080",
    "http://issuer.example",
    "https://",
    "https:///path",
    "https://issuer.example?a=b",
    "https://issuer.example/a?",
    "https://issuer.example/#f",
    "https://user@issuer.example",
    "https://user:secret@issuer.example/",
    "https://issuer.example:99999",
    "https://issuer.example/*",
    "https://*.example",
    "https://issuer example",
    "issuer.example",
    "ftp://issuer.example",
  ];
  for (const Url of bad) {
    const { status, code, message } = await callIam(server, "CreateOpenIDConnectProvider", { Url });
    assert.deepEqual([Url, status, code, message], [Url, 400, "ValidationError", "Invalid Open ID Connect Provider URL"]);
  }
});

test("refusals have IAM's codes and texts", async () => {
  const { first } = await iam(server, "CreateOpenIDConnectProvider", {
    Url: "https://full.example",
    ...members(
      "ClientIDList",
      Array.from({ length: 100 }, (_, at) => `client-${at}`),
    ),
  });
  const full = { OpenIDConnectProviderArn: first("OpenIDConnectProviderArn") ?? "" };
  const none = { OpenIDConnectProviderArn: `${prefix}none.example` };
  const noSuch = `OpenIDConnect Provider not found for arn ${prefix}none.example`;
  const six = members(
    "ThumbprintList",
    Array.from({ length: 6 }, () => thumbprint),
  );
  const tooMany = "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100";
  const cases: [string, Readonly<Record<string, string>>, string, string][] = [
    [
      "CreateOpenIDConnectProvider",
      { Url: "https://full.example" },
      "EntityAlreadyExists",
      "Provider with url https://full.example already exists.",
    ],
    [
      "CreateOpenIDConnectProvider",
      { Url: "https://six.example", ...six },
      "InvalidInput",
      "Thumbprint list must contain fewer than 5 entries.",
    ],
    ["UpdateOpenIDConnectProviderThumbprint", { ...full, ...six }, "InvalidInput", "Thumbprint list must contain fewer than 5 entries."],
    ["AddClientIDToOpenIDConnectProvider", { ...full, ClientID: "one-more" }, "LimitExceeded", tooMany],
    [
      "CreateOpenIDConnectProvider",
      {
        Url: "https://many.example",
        ...members(
          "ClientIDList",
          Array.from({ length: 101 }, (_, at) => `c${at}`),
        ),
      },
      "LimitExceeded",
      tooMany,
    ],
    ["GetOpenIDConnectProvider", none, "NoSuchEntity", noSuch],
    ["AddClientIDToOpenIDConnectProvider", { ...none, ClientID: "a" }, "NoSuchEntity", noSuch],
    ["UpdateOpenIDConnectProviderThumbprint", { ...none, ...members("ThumbprintList", [thumbprint]) }, "NoSuchEntity", noSuch],
  ];
  for (const [operation, parameters, code, message] of cases) {
    const answer = await callIam(server, operation, parameters);
    assert.deepEqual([operation, answer.code, answer.message], [operation, code, message]);
  }
  const foreign = { OpenIDConnectProviderArn: "arn:aws:iam::999999999999:oidc-provider/full.example" };
  assert.equal((await callIam(server, "GetOpenIDConnectProvider", foreign)).code, "AccessDenied");
  assert.equal((await callIam(server, "DeleteOpenIDConnectProvider", foreign)).code, "AccessDenied");
});

test("tags of a provider", async () => {
  const made = await iam(server, "CreateOpenIDConnectProvider", { Url: "https://tagged.example/a", ...tags({ b: "0" }) });
  const provider = { OpenIDConnectProviderArn: made.first("OpenIDConnectProviderArn") ?? "" };
  await iam(server, "TagOpenIDConnectProvider", { ...provider, ...tags({ c: "3", B: "2", a: "1" }) });
  const first = await iam(server, "ListOpenIDConnectProviderTags", { ...provider, MaxItems: "2" });
  const rest = await iam(server, "ListOpenIDConnectProviderTags", { ...provider, MaxItems: "2", Marker: first.first("Marker") ?? "" });
  assert.deepEqual([...first.all("Key"), ...rest.all("Key"), rest.first("IsTruncated")], ["a", "B", "c", "false"]);
  await iam(server, "UntagOpenIDConnectProvider", { ...provider, ...members("TagKeys", ["A", "none"]) });
  assert.deepEqual((await iam(server, "GetOpenIDConnectProvider", provider)).all("Value").toSorted(), ["2", "3"]);
  const none = { OpenIDConnectProviderArn: `${prefix}none.example` };
  const many = Object.fromEntries(Array.from({ length: 49 }, (_, at) => [`k${at}`, ""]));
  const cases: [string, Readonly<Record<string, string>>, string][] = [
    ["TagOpenIDConnectProvider", { ...none, ...tags({ a: "1" }) }, "NoSuchEntity"],
    ["UntagOpenIDConnectProvider", { ...none, ...members("TagKeys", ["a"]) }, "NoSuchEntity"],
    ["ListOpenIDConnectProviderTags", none, "NoSuchEntity"],
    ["TagOpenIDConnectProvider", { ...provider, ...tags({ x: "1", X: "2" }) }, "InvalidInput"],
    ["TagOpenIDConnectProvider", { ...provider, ...tags({ "aws:x": "1" }) }, "InvalidInput"],
    ["TagOpenIDConnectProvider", { ...provider, ...tags(many) }, "LimitExceeded"],
    ["TagOpenIDConnectProvider", { OpenIDConnectProviderArn: "x".repeat(20), ...tags({ a: "1" }) }, "AccessDenied"],
  ];
  for (const [operation, parameters, code] of cases) assert.equal((await callIam(server, operation, parameters)).code, code, operation);

  const byTag = (value: string) => ({
    Effect: "Allow",
    Action: ["iam:TagOpenIDConnectProvider", "iam:GetOpenIDConnectProvider"],
    Resource: `${prefix}*`,
    Condition: { StringEquals: { "aws:ResourceTag/c": value } },
  });
  const [may, mayNot] = [await makeIamUser(server, "sees-3", [byTag("3")]), await makeIamUser(server, "sees-4", [byTag("4")])];
  await iam(server, "GetOpenIDConnectProvider", provider, may);
  await iam(server, "TagOpenIDConnectProvider", { ...provider, ...tags({ d: "4" }) }, may);
  assert.equal((await callIam(server, "GetOpenIDConnectProvider", provider, mayNot)).code, "AccessDenied");
  assert.equal(
    (await callIam(server, "UntagOpenIDConnectProvider", { ...provider, ...members("TagKeys", ["c"]) }, may)).code,
    "AccessDenied",
  );
});

function tags(of: Readonly<Record<string, string>>): Record<string, string> {
  const pairs = Object.entries(of);
  return Object.fromEntries(
    pairs.flatMap(([key, value], at) => [
      [`Tags.member.${at + 1}.Key`, key],
      [`Tags.member.${at + 1}.Value`, value],
    ]),
  );
}
