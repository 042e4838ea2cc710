import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { callIam, iam, iamDocument, makeIamUser } from "../../../test/iam-client.ts";
import type { IamCredentials, IamParameters } from "../../../test/iam-client.ts";
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

const account = "123456789012";
const awsArn = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly";
const pull = iamDocument({ Effect: "Allow", Action: "ecr:BatchGetImage", Resource: "*" });

function arnOf(name: string, path = "/"): string {
  return `arn:aws:iam::${account}:policy${path}${name}`;
}

async function makePolicy(name: string, more: IamParameters = {}): Promise<string> {
  return (await iam(server, "CreatePolicy", { PolicyName: name, PolicyDocument: pull, ...more })).first("Arn") ?? "";
}

async function refusal(
  operation: string,
  parameters: IamParameters,
  credentials?: IamCredentials,
): Promise<readonly [number, string | undefined, string]> {
  const { status, code, message } = await callIam(server, operation, parameters, credentials);
  return [status, code, message];
}

test("a policy is shown as it was made, and its document comes back letter for letter", async () => {
  const document = `{ "Version": "2012-10-17",\n  "Statement": {"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:*:*:repository/a+b (c)"} }`;
  const made = await iam(server, "CreatePolicy", {
    PolicyName: "Push",
    Path: "/ci/",
    Description: "for CI",
    PolicyDocument: document,
    "Tags.member.1.Key": "Team",
    "Tags.member.1.Value": "a",
  });
  const arn = arnOf("Push", "/ci/");
  const found = await iam(server, "GetPolicy", { PolicyArn: arn });
  const names = [
    "Arn",
    "PolicyName",
    "Path",
    "DefaultVersionId",
    "AttachmentCount",
    "PermissionsBoundaryUsageCount",
    "IsAttachable",
    "Value",
  ];
  for (const answer of [made, found]) {
    assert.deepEqual(names.map(answer.first), [arn, "Push", "/ci/", "v1", "0", "0", "true", "a"]);
    assert.match(answer.first("PolicyId") ?? "", /^ANPA[A-Z2-7]{17}$/);
    assert.match(answer.first("UpdateDate") ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  }
  assert.equal(found.first("Description"), "for CI");
  const version = await iam(server, "GetPolicyVersion", { PolicyArn: arn, VersionId: "v1" });
  assert.deepEqual(["VersionId", "IsDefaultVersion"].map(version.first), ["v1", "true"]);
  assert.equal(decodeURIComponent(version.first("Document") ?? ""), document);
  assert.doesNotMatch(version.first("Document") ?? "", /[ +()"{]/);
});

test("versions come and go, five at most, and the default stays", async () => {
  const arn = await makePolicy("Versions");
  const add = (SetAsDefault: string) => callIam(server, "CreatePolicyVersion", { PolicyArn: arn, PolicyDocument: pull, SetAsDefault });
  assert.deepEqual(["VersionId", "IsDefaultVersion"].map((await add("false")).first), ["v2", "false"]);
  assert.deepEqual(["VersionId", "IsDefaultVersion"].map((await add("true")).first), ["v3", "true"]);
  await add("false");
  await add("false");
  const sixth = await add("false");
  assert.deepEqual(
    [sixth.status, sixth.code, sixth.message],
    [
      409,
      "LimitExceeded",
      "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.",
    ],
  );
  const firstPage = await iam(server, "ListPolicyVersions", { PolicyArn: arn, MaxItems: "3" });
  assert.deepEqual(firstPage.all("VersionId"), ["v5", "v4", "v3"]);
  const secondPage = await iam(server, "ListPolicyVersions", { PolicyArn: arn, Marker: firstPage.first("Marker") ?? "" });
  assert.deepEqual([secondPage.all("VersionId"), secondPage.first("IsTruncated")], [["v2", "v1"], "false"]);
  assert.deepEqual(await refusal("DeletePolicyVersion", { PolicyArn: arn, VersionId: "v3" }), [
    409,
    "DeleteConflict",
    "Cannot delete the default version of a policy.",
  ]);
  await iam(server, "SetDefaultPolicyVersion", { PolicyArn: arn, VersionId: "v2" });
  await iam(server, "DeletePolicyVersion", { PolicyArn: arn, VersionId: "v3" });
  assert.equal((await iam(server, "GetPolicy", { PolicyArn: arn })).first("DefaultVersionId"), "v2");
  const missing = [404, "NoSuchEntity", `Policy ${arn} version v3 does not exist or is not attachable.`];
  for (const operation of ["GetPolicyVersion", "SetDefaultPolicyVersion", "DeletePolicyVersion"])
    assert.deepEqual(await refusal(operation, { PolicyArn: arn, VersionId: "v3" }), missing, operation);
  assert.deepEqual((await refusal("DeletePolicy", { PolicyArn: arn })).slice(0, 2), [409, "DeleteConflict"]);
  for (const VersionId of ["v1", "v4", "v5"]) await iam(server, "DeletePolicyVersion", { PolicyArn: arn, VersionId });
  await iam(server, "DeletePolicy", { PolicyArn: arn });
  assert.deepEqual(await refusal("GetPolicy", { PolicyArn: arn }), [404, "NoSuchEntity", `Policy ${arn} was not found.`]);
});

test("what cannot be a policy is refused in AWS's words", async () => {
  await makePolicy("Taken");
  const long = iamDocument({
    Effect: "Allow",
    Action: "ecr:*",
    Resource: Array.from({ length: 120 }, (_, i) => `arn:aws:ecr:*:*:repository/${"x".repeat(40)}${i}`),
  });
  const cases: readonly (readonly [IamParameters, number, string, string])[] = [
    [
      { PolicyName: "TAKEN", Path: "/other/" },
      409,
      "EntityAlreadyExists",
      "A policy called TAKEN already exists. Duplicate names are not allowed.",
    ],
    [{ PolicyDocument: "{" }, 400, "MalformedPolicyDocument", "Syntax errors in policy."],
    [
      { PolicyDocument: pull.replace("2012-10-17", "2008-10-17") },
      400,
      "MalformedPolicyDocument",
      "Policy document must be version 2012-10-17 or greater.",
    ],
    [{ PolicyDocument: long }, 409, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144"],
  ];
  for (const [more, ...expected] of cases)
    assert.deepEqual(await refusal("CreatePolicy", { PolicyName: "New", PolicyDocument: pull, ...more }), expected);
  // White space does not count.
  await makePolicy("Wide", { PolicyDocument: pull.replace("{", `{${" ".repeat(7_000)}`) });
  const duplicate = { "Tags.member.1.Key": "a", "Tags.member.1.Value": "1", "Tags.member.2.Key": "A", "Tags.member.2.Value": "2" };
  assert.deepEqual((await refusal("CreatePolicy", { PolicyName: "New", PolicyDocument: pull, ...duplicate })).slice(0, 2), [
    400,
    "InvalidInput",
  ]);
});

test("policies of AWS are read by everybody and written by nobody", async () => {
  const found = await iam(server, "GetPolicy", { PolicyArn: awsArn });
  assert.deepEqual(["PolicyName", "DefaultVersionId"].map(found.first), ["AmazonEC2ContainerRegistryReadOnly", "v3"]);
  const version = await iam(server, "GetPolicyVersion", { PolicyArn: awsArn, VersionId: "v3" });
  assert.match(decodeURIComponent(version.first("Document") ?? ""), /"ecr:BatchGetImage"/);
  assert.deepEqual((await iam(server, "ListPolicyVersions", { PolicyArn: awsArn })).all("VersionId"), ["v3"]);
  assert.deepEqual((await iam(server, "ListPolicyTags", { PolicyArn: awsArn })).all("Key"), []);
  const writes: readonly (readonly [string, IamParameters])[] = [
    ["DeletePolicy", {}],
    ["CreatePolicyVersion", { PolicyDocument: pull }],
    ["SetDefaultPolicyVersion", { VersionId: "v3" }],
    ["DeletePolicyVersion", { VersionId: "v3" }],
    ["TagPolicy", { "Tags.member.1.Key": "a", "Tags.member.1.Value": "b" }],
    ["UntagPolicy", { "TagKeys.member.1": "a" }],
  ];
  for (const [operation, more] of writes)
    assert.deepEqual(
      await refusal(operation, { PolicyArn: awsArn, ...more }),
      [403, "AccessDenied", "Policy is outside your own account."],
      operation,
    );
});

test("what is no policy's ARN, or another's, names nothing", async () => {
  assert.deepEqual(await refusal("GetPolicy", { PolicyArn: `arn:aws:iam::${account}:user/alice` }), [
    400,
    "InvalidInput",
    `ARN arn:aws:iam::${account}:user/alice is not valid.`,
  ]);
  await makePolicy("Exact", { Path: "/p/" });
  for (const arn of [arnOf("Exact"), arnOf("exact", "/p/"), "arn:aws:iam::aws:policy/NoSuchPolicy"])
    assert.deepEqual(await refusal("GetPolicy", { PolicyArn: arn }), [404, "NoSuchEntity", `Policy ${arn} was not found.`]);
  assert.equal((await callIam(server, "GetPolicy", { PolicyArn: "arn:aws:iam::210987654321:policy/Exact" })).status, 403);
});

test("listings go page by page, by scope, path and use", async () => {
  for (const name of ["L1", "l2", "L3"]) await makePolicy(name, { Path: "/listed/" });
  const page = await iam(server, "ListPolicies", { Scope: "Local", PathPrefix: "/listed/", MaxItems: "2" });
  assert.deepEqual([page.all("PolicyName"), page.first("IsTruncated")], [["L1", "l2"], "true"]);
  const last = await iam(server, "ListPolicies", { Scope: "Local", PathPrefix: "/listed/", Marker: page.first("Marker") ?? "" });
  assert.deepEqual([last.all("PolicyName"), last.first("IsTruncated")], [["L3"], "false"]);
  assert.equal(
    (await refusal("ListPolicies", { Scope: "All", PathPrefix: "/listed/", Marker: page.first("Marker") ?? "" }))[2],
    "Invalid Marker.",
  );
  const seen: string[] = [];
  for (let marker: string | undefined = ""; marker !== undefined;) {
    const next = await iam(server, "ListPolicies", { MaxItems: "3", ...(marker !== "" && { Marker: marker }) });
    assert.ok(next.all("Arn").length <= 3);
    seen.push(...next.all("Arn"));
    marker = next.first("Marker");
  }
  assert.equal(new Set(seen).size, seen.length);
  const [own, aws] = await Promise.all(
    ["Local", "AWS"].map(async (Scope) => (await iam(server, "ListPolicies", { Scope, MaxItems: "1000" })).all("Arn")),
  );
  assert.deepEqual(seen, [...(own ?? []), ...(aws ?? [])]);
  assert.ok(aws?.includes(awsArn) && aws.includes("arn:aws:iam::aws:policy/aws-service-role/ECRTemplateServiceRolePolicy"));
  await iam(server, "CreateUser", { UserName: "lister" });
  await iam(server, "AttachUserPolicy", { UserName: "lister", PolicyArn: arnOf("L3", "/listed/") });
  await iam(server, "AttachUserPolicy", { UserName: "lister", PolicyArn: awsArn });
  await iam(server, "PutUserPermissionsBoundary", { UserName: "lister", PermissionsBoundary: arnOf("l2", "/listed/") });
  const used = async (more: IamParameters) => (await iam(server, "ListPolicies", more)).all("Arn");
  assert.deepEqual(await used({ OnlyAttached: "true" }), [arnOf("L3", "/listed/"), awsArn]);
  assert.deepEqual(await used({ PolicyUsageFilter: "PermissionsPolicy" }), [arnOf("L3", "/listed/"), awsArn]);
  assert.deepEqual(await used({ PolicyUsageFilter: "PermissionsBoundary" }), [arnOf("l2", "/listed/")]);
  assert.equal((await iam(server, "GetPolicy", { PolicyArn: arnOf("l2", "/listed/") })).first("PermissionsBoundaryUsageCount"), "1");
});

test("tags of a policy are listed, replaced without regard to case, and decide permissions", async () => {
  const arn = await makePolicy("Tagged");
  await iam(server, "TagPolicy", { PolicyArn: arn, "Tags.member.1.Key": "Stage", "Tags.member.1.Value": "test" });
  await iam(server, "TagPolicy", { PolicyArn: arn, "Tags.member.1.Key": "STAGE", "Tags.member.1.Value": "prod" });
  const tags = await iam(server, "ListPolicyTags", { PolicyArn: arn });
  assert.deepEqual([tags.all("Key"), tags.all("Value")], [["STAGE"], ["prod"]]);
  const key = await makeIamUser(server, "tag-reader", [
    { Effect: "Allow", Action: "iam:GetPolicy", Resource: "*", Condition: { StringEquals: { "aws:ResourceTag/stage": "prod" } } },
  ]);
  assert.equal((await callIam(server, "GetPolicy", { PolicyArn: arn }, key)).status, 200);
  await iam(server, "UntagPolicy", { PolicyArn: arn, "TagKeys.member.1": "stage" });
  assert.deepEqual(await refusal("GetPolicy", { PolicyArn: arn }, key), [
    403,
    "AccessDenied",
    `User: arn:aws:iam::${account}:user/tag-reader is not authorized to perform: iam:GetPolicy on resource: ${arn} because no identity-based policy allows the iam:GetPolicy action`,
  ]);
});
