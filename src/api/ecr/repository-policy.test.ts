import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { makeIdentity, makeUserKey } from "#access/testing/identities.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { callEcr } from "../../../test/signed-call.ts";
import type { CallOptions } from "../../../test/signed-call.ts";

let server: RegistryServer;
const repositoryName = "team/app";

before(async () => {
  server = await startRegistryServer();
  await server.createRepository(repositoryName);
  await server.createRepository("team/other");
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

/** Status with the answer, or with the exception's name and text. */
async function call(operation: string, body: object, options: CallOptions = {}): Promise<readonly [number, object]> {
  const answer = await callEcr(server, operation, body, options);
  return [answer.status, answer.json<object>()];
}

const refused = (exception: string, message: string): readonly [number, object] => [400, { __type: exception, message }];
const invalid = (constraint: string): readonly [number, object] =>
  refused("InvalidParameterException", `Invalid parameter at 'PolicyText' failed to satisfy constraint: '${constraint}'`);
const notFound = refused(
  "RepositoryPolicyNotFoundException",
  "Repository policy does not exist for the repository with name 'team/app' in the registry with id '123456789012'",
);
const missing = refused(
  "RepositoryNotFoundException",
  "The repository with name 'none' does not exist in the registry with id '123456789012'",
);
const policyOf = (statement: object): string => `{ "Version" : "2012-10-17",\n"Statement":[${JSON.stringify(statement)}] }`;
const open = policyOf({ Sid: "open to all", Effect: "Allow", Principal: "*", Action: ["ecr:BatchGetImage"] });

test("a policy comes back exactly as it was given, until it is deleted", async () => {
  assert.deepEqual(await call("GetRepositoryPolicy", { repositoryName }), notFound);
  assert.deepEqual(await call("DeleteRepositoryPolicy", { repositoryName }), notFound);
  for (const policyText of [open, open.replace("open to all", "still open")]) {
    const answer = [200, { registryId: server.accountId, repositoryName, policyText }];
    assert.deepEqual(await call("SetRepositoryPolicy", { repositoryName, policyText }), answer);
    assert.deepEqual(await call("GetRepositoryPolicy", { repositoryName }), answer);
  }
  const [status, deleted] = await call("DeleteRepositoryPolicy", { repositoryName });
  assert.deepEqual([status, "policyText" in deleted], [200, true]);
  assert.deepEqual(await call("GetRepositoryPolicy", { repositoryName }), notFound);
});

test("a repository that is not there", async () => {
  for (const operation of ["GetRepositoryPolicy", "DeleteRepositoryPolicy", "SetRepositoryPolicy"])
    assert.deepEqual(await call(operation, { repositoryName: "none", policyText: open }), missing, operation);
});

test("what is no policy of a repository", async () => {
  const allow = { Effect: "Allow", Principal: "*", Action: "ecr:BatchGetImage" };
  const texts: readonly string[] = [
    "{",
    "[]",
    "{}",
    policyOf({ ...allow, Resource: "*" }),
    policyOf({ ...allow, Effect: "Maybe" }),
    policyOf({ ...allow, Principal: { AWS: `arn:aws:iam::${server.accountId}:*` } }),
    policyOf({ ...allow, Principal: { AWS: `arn:aws:iam::${server.accountId}:role/nobody` } }),
    policyOf({ ...allow, Principal: { AWS: `arn:aws:iam::${server.accountId}:user/nobody` } }),
  ];
  for (const policyText of texts)
    assert.deepEqual(
      await call("SetRepositoryPolicy", { repositoryName, policyText }),
      invalid("Invalid repository policy provided"),
      policyText,
    );
  const accepted = [open.replace("2012-10-17", "2008-10-17"), policyOf({ ...allow, Principal: { AWS: "222222222222" } })];
  for (const policyText of accepted) assert.equal((await call("SetRepositoryPolicy", { repositoryName, policyText }))[0], 200, policyText);
});

test("nobody locks themselves out without force, and root can always repair", async () => {
  const { metadata, sealer } = server.core;
  const { accountId } = server;
  const inline = [{ Effect: "Allow", Action: "ecr:*", Resource: "*" }];
  const { identityId } = await makeIdentity(metadata, { accountId, kind: "user", name: "admin", inline });
  const options = { credentials: await makeUserKey(metadata, sealer, accountId, identityId) };
  const scope = { repositoryName: "team/other" };
  const policyText = policyOf({ Effect: "Deny", Principal: "*", Action: "ecr:*" });
  const lockOut = invalid("The policy would prevent its caller from setting the repository policy again, and force is not set");
  assert.deepEqual(await call("SetRepositoryPolicy", { ...scope, policyText }, options), lockOut);
  assert.equal((await call("SetRepositoryPolicy", { ...scope, policyText, force: true }, options))[0], 200);
  const again = await call("SetRepositoryPolicy", { ...scope, policyText: open, force: true }, options);
  const arn = `arn:aws:ecr:${server.region}:${accountId}:repository/team/other`;
  assert.deepEqual(
    again,
    refused(
      "AccessDeniedException",
      `User: arn:aws:iam::${accountId}:user/admin is not authorized to perform: ecr:SetRepositoryPolicy on resource: ${arn} with an explicit deny in a resource-based policy`,
    ),
  );
  assert.equal((await call("ListImages", scope))[0], 400);
  assert.equal((await call("DeleteRepositoryPolicy", scope))[0], 200);
  assert.equal((await call("ListImages", scope))[0], 200);
});
