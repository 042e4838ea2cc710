import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { callEcr } from "../../../test/signed-call.ts";

let server: RegistryServer;

before(async () => {
  server = await startRegistryServer();
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

async function call(operation: string, body: object, region?: string): Promise<readonly [number, object]> {
  const answer = await callEcr(server, operation, body, region === undefined ? {} : { region });
  return [answer.status, answer.json<object>()];
}

const notFound = [
  400,
  { __type: "RegistryPolicyNotFoundException", message: "Registry policy does not exist in the registry with id '123456789012'" },
];
const policyOf = (more: object = {}): string =>
  JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      {
        Sid: "replication",
        Effect: "Allow",
        Principal: { AWS: "arn:aws:iam::222222222222:root" },
        Action: ["ecr:CreateRepository", "ecr:ReplicateImage"],
        Resource: "arn:aws:ecr:eu-central-1:123456789012:repository/*",
        ...more,
      },
    ],
  });

test("a registry's policy comes back as it was given, and is of its region only", async () => {
  assert.deepEqual(await call("GetRegistryPolicy", {}), notFound);
  const policyText = policyOf();
  const answer = [200, { registryId: server.accountId, policyText }];
  assert.deepEqual(await call("PutRegistryPolicy", { policyText }), answer);
  assert.deepEqual(await call("GetRegistryPolicy", {}), answer);
  assert.deepEqual(await call("GetRegistryPolicy", {}, "us-east-1"), notFound);
  assert.deepEqual(await call("DeleteRegistryPolicy", {}), answer);
  assert.deepEqual(await call("DeleteRegistryPolicy", {}), notFound);
});

test("what is no policy of a registry", async () => {
  const message = "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid registry policy provided'";
  const texts = [
    "{",
    policyOf({ Resource: undefined }),
    policyOf({ Principal: undefined }),
    policyOf({ Principal: { AWS: "arn:aws:iam::123456789012:role/nobody" } }),
  ];
  for (const policyText of texts)
    assert.deepEqual(await call("PutRegistryPolicy", { policyText }), [400, { __type: "InvalidParameterException", message }], policyText);
});
