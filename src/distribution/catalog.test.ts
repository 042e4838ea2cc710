import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { followPages, startRegistryServer } from "../../test/registry-server.ts";
import type { RegistryServer } from "../../test/registry-server.ts";

let server: RegistryServer;

before(async () => {
  server = await startRegistryServer();
  for (const name of ["a/b", "a-b", "app", "empty", "zz"]) await server.createRepository(name);
});
after(() => server.close());

describe("the catalog", () => {
  const sorted = ["a-b", "a/b", "app", "empty", "zz"];
  test("names in byte order, in pages of any size", async () => {
    for (const n of [1, 2, 3, 5, 9]) {
      const pages = await followPages(server, `/v2/_catalog?n=${n}`, (answer) => answer.json<{ repositories: string[] }>().repositories);
      assert.deepEqual(pages.flat(), sorted);
    }
    assert.deepEqual((await server.request("GET", "/v2/_catalog")).json(), { repositories: sorted });
    assert.deepEqual((await server.request("GET", "/v2/_catalog?n=0")).json(), { repositories: [] });
    assert.deepEqual((await server.request("GET", "/v2/_catalog?last=a%2Fb")).json(), { repositories: sorted.slice(2) });
    assert.equal((await server.request("GET", "/v2/_catalog?n=-5")).status, 400);
  });
  test("of the host's registry only", async () => {
    const options = {
      headers: { Host: "123456789012.dkr.ecr.us-east-1.localhost" },
      authorization: server.authorization({ region: "us-east-1" }),
    };
    assert.deepEqual((await server.request("GET", "/v2/_catalog", options)).json(), { repositories: [] });
    const other = { headers: { Host: "999999999999.dkr.ecr.eu-central-1.localhost" } };
    assert.equal((await server.request("GET", "/v2/_catalog", other)).status, 403);
  });
});
