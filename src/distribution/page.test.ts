import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RegistryError } from "#registry/errors.ts";
import { OciFault } from "./errors.ts";
import { nextPageHeaders, readPageQuery } from "./page.ts";

const read = (query: string): unknown => readPageQuery(new URLSearchParams(query), 100);

describe("n and last", () => {
  const cases: readonly (readonly [query: string, limit: number, after: string | undefined])[] = [
    ["", 100, undefined],
    ["n=0", 0, undefined],
    ["n=5&last=v1", 5, "v1"],
    ["n=007", 7, undefined],
    ["n=1001", 1000, undefined],
    ["n=2147483648", 1000, undefined],
    ["n=999999999999999999", 1000, undefined],
    ["last=", 100, undefined],
    ["last=%25_'%20or%201=1", 100, "%_' or 1=1"],
  ];
  for (const [query, limit, after] of cases) test(`'${query}'`, () => assert.deepEqual(read(query), { limit, after }));
});

describe("refused", () => {
  for (const query of ["n=-1", "n=", "n=1.5", "n=1e3", "n=abc", "n=0x10", "n=1234567890123456789"])
    test(query, () =>
      assert.throws(
        () => read(query),
        (error) => error instanceof OciFault && error.code === "PAGINATION_NUMBER_INVALID",
      ),
    );
  for (const last of ["%00", "a%0Ab", "x".repeat(513)])
    test(`last=${last.slice(0, 10)}`, () => assert.throws(() => read(`last=${last}`), RegistryError));
});

test("the link is relative and escaped", () => {
  const headers = nextPageHeaders("/v2/_catalog", [
    ["last", "a/b&c"],
    ["n", "2"],
  ]);
  assert.deepEqual(headers, ["Link", '</v2/_catalog?last=a%2Fb%26c&n=2>; rel="next"']);
});
