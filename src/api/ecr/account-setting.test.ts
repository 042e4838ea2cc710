import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { makeImage } from "../../../test/fixtures/oci-content.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { callEcr } from "../../../test/signed-call.ts";

let server: RegistryServer;

before(async () => {
  server = await startRegistryServer();
});
after(async () => {
  await server.close();
  assert.deepEqual(server.errors, []);
});

interface Answered {
  readonly __type?: string;
  readonly message?: string;
  readonly name?: string;
  readonly value?: string;
}

async function ecr(operation: string, input: object, region?: string): Promise<Answered> {
  return (await callEcr(server, operation, input, region === undefined ? {} : { region })).json<Answered>();
}

test("each setting has a value from the start, and takes its other one, in its own region", async () => {
  for (const [name, usual, other] of [
    ["BASIC_SCAN_TYPE_VERSION", "AWS_NATIVE", "CLAIR"],
    ["REGISTRY_POLICY_SCOPE", "V2", "V1"],
    ["BLOB_MOUNTING", "ENABLED", "DISABLED"],
  ] as const) {
    assert.deepEqual(await ecr("GetAccountSetting", { name }), { name, value: usual });
    for (const value of [other, usual, other]) {
      assert.deepEqual(await ecr("PutAccountSetting", { name, value }), { name, value });
      assert.deepEqual(await ecr("GetAccountSetting", { name }), { name, value });
    }
    assert.deepEqual(await ecr("GetAccountSetting", { name }, "us-east-1"), { name, value: usual });
    assert.deepEqual(await ecr("PutAccountSetting", { name, value: "YES" }), {
      __type: "InvalidParameterException",
      message: `Invalid parameter at 'value' failed to satisfy constraint: 'Member must satisfy enum value set: [${usual}, ${other}]'`,
    });
    await ecr("PutAccountSetting", { name, value: usual });
  }
  const unknown = {
    __type: "InvalidParameterException",
    message:
      "Invalid parameter at 'name' failed to satisfy constraint: 'Member must satisfy enum value set: [BASIC_SCAN_TYPE_VERSION, REGISTRY_POLICY_SCOPE, BLOB_MOUNTING]'",
  };
  for (const name of ["COLOUR", "toString"]) {
    assert.deepEqual(await ecr("GetAccountSetting", { name }), unknown);
    assert.deepEqual(await ecr("PutAccountSetting", { name, value: "V2" }), unknown);
  }
});

test("mounting stops where it is switched off; what was mounted stays", async () => {
  const image = makeImage();
  const [layer] = image.layers;
  assert.ok(layer !== undefined);
  for (const name of ["mount/source", "mount/first", "mount/second"]) await server.createRepository(name);
  await server.push("mount/source", image, "latest");
  const mount = async (target: string): Promise<number> => {
    const query = `mount=${layer.digest}&from=mount/source`;
    return (await server.request("POST", `/v2/${target}/blobs/uploads/?${query}`)).status;
  };
  assert.equal(await mount("mount/first"), 201);
  await ecr("PutAccountSetting", { name: "BLOB_MOUNTING", value: "DISABLED" });
  assert.equal(await mount("mount/second"), 202);
  assert.equal((await server.request("HEAD", `/v2/mount/first/blobs/${layer.digest}`)).status, 200);
  await ecr("PutAccountSetting", { name: "BLOB_MOUNTING", value: "ENABLED" });
  assert.equal(await mount("mount/second"), 201);
});

test("the scope of the registry's policy decides what may be written into it", async () => {
  const policyText = (Action: string): string =>
    JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Principal: { AWS: "210987654321" }, Action, Resource: "*" }] });
  assert.equal((await ecr("PutRegistryPolicy", { policyText: policyText("ecr:PutImage") })).__type, undefined);
  await ecr("PutAccountSetting", { name: "REGISTRY_POLICY_SCOPE", value: "V1" });
  assert.deepEqual(await ecr("PutRegistryPolicy", { policyText: policyText("ecr:PutImage") }), {
    __type: "InvalidParameterException",
    message: "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid registry policy provided'",
  });
  assert.equal((await ecr("PutRegistryPolicy", { policyText: policyText("ecr:ReplicateImage") })).__type, undefined);
});
