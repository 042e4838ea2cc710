import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { makeImage } from "../../test/fixtures/oci-content.ts";
import { followPages, startRegistryServer } from "../../test/registry-server.ts";
import type { Answer, RegistryServer } from "../../test/registry-server.ts";

let server: RegistryServer;
const tags = ["0", "A", "B", "Z", "_x", "a", "a-b", "a.b", "a0", "b", "v1.10", "v1.9"];

before(async () => {
  server = await startRegistryServer();
  for (const name of ["app", "empty"]) await server.createRepository(name);
  await server.push("app", makeImage(), ...tags.toReversed());
});
after(() => server.close());

describe("tags", () => {
  const list = (query: string): Promise<Answer> => server.request("GET", `/v2/app/tags/list${query}`);
  const cases: readonly (readonly [query: string, expected: readonly string[], hasNext: boolean])[] = [
    ["", tags, false],
    ["?n=5", tags.slice(0, 5), true],
    ["?n=12", tags, false],
    ["?n=5000", tags, false],
    ["?n=0", [], false],
    ["?last=a", tags.slice(6), false],
    ["?n=2&last=a", tags.slice(6, 8), true],
    ["?last=a-", tags.slice(6), false],
    ["?last=zzz", [], false],
    ["?last=%F0%9F%9A%A2", [], false],
    ["?n=3&last=not%20a%20tag", tags.slice(10), false],
  ];
  for (const [query, expected, hasNext] of cases) {
    test(query === "" ? "all" : query, async () => {
      const answer = await list(query);
      assert.deepEqual([answer.status, answer.json()], [200, { name: "app", tags: expected }]);
      assert.equal(answer.headers["content-type"], "application/json");
      assert.equal(answer.headers["link"] !== undefined, hasNext);
    });
  }
  for (let n = 1; n <= 13; n++) {
    test(`every tag once in pages of ${n}`, async () => {
      const pages = await followPages(server, `/v2/app/tags/list?n=${n}`, (answer) => answer.json<{ tags: string[] }>().tags);
      assert.deepEqual(pages.flat(), tags);
      assert.ok(pages.every((page) => page.length <= n));
    });
  }
  test("of nothing, and of nowhere", async () => {
    assert.deepEqual((await server.request("GET", "/v2/empty/tags/list")).json(), { name: "empty", tags: [] });
    for (const query of ["", "?n=0", "?n=5"]) {
      const answer = await server.request("GET", `/v2/none/tags/list${query}`);
      assert.deepEqual([answer.status, answer.code], [404, "NAME_UNKNOWN"]);
    }
  });
  for (const query of ["?n=-1", "?n=x", "?n=", "?last=%00", `?last=${"x".repeat(600)}`]) {
    test(`${query.slice(0, 20)} is refused`, async () => {
      const answer = await list(query);
      assert.deepEqual([answer.status, answer.code], [400, "PAGINATION_NUMBER_INVALID"]);
    });
  }
  test("HEAD has the headers alone", async () => {
    const answer = await server.request("HEAD", "/v2/app/tags/list?n=1");
    assert.deepEqual([answer.status, answer.body.byteLength], [200, 0]);
    assert.ok(answer.headers["link"] !== undefined);
  });
});
