import assert from "node:assert/strict";
import { test } from "node:test";
import { startCpuTime } from "#std/testing/cpu-time.ts";
import { mayHoldCredentials, parseChallenge } from "./challenge.ts";

test("challenges are read as RFC 9110 writes them", () => {
  const bearer = (realm: string, service?: string) => ({ scheme: "bearer", realm, service });
  const cases: readonly (readonly [string | undefined, unknown])[] = [
    ['Bearer realm="https://a/token",service="a b",scope="x:y:z"', bearer("https://a/token", "a b")],
    ["bearer REALM=https://a/t", bearer("https://a/t")],
    ['Basic realm="x", Bearer realm="https://a/t" , service="s"', bearer("https://a/t", "s")],
    ['Bearer realm="a\\"b"', bearer('a"b')],
    ['Basic realm="https://x/"', { scheme: "basic" }],
    ["Basic", { scheme: "basic" }],
    ['Bearer service="s"', undefined],
    ["Negotiate", undefined],
    ["", undefined],
    [undefined, undefined],
    [`Bearer realm="${"x".repeat(5_000)}"`, undefined],
  ];
  for (const [header, expected] of cases) assert.deepEqual(parseChallenge(header), expected, header ?? "none");
  const cpuMs = startCpuTime();
  parseChallenge(`Bearer ${'a="'.repeat(1_300)}`);
  parseChallenge(`Bearer realm=${" ,".repeat(2_000)}`);
  assert.ok(cpuMs() < 200);
});

test("credentials go to the registry's own host and to its known token server, and nowhere else", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["https://r.example", "https://r.example/token", true],
    ["https://r.example:8443", "https://r.example:8443/token", true],
    ["https://r.example", "https://r.example:8443/token", false],
    ["https://r.example", "http://r.example/token", false],
    ["http://r.example", "http://r.example/token", true],
    ["http://r.example", "https://r.example/token", true],
    ["https://r.example", "https://auth.r.example/token", false],
    ["https://r.example", "https://evil.example/token", false],
    ["https://registry-1.docker.io", "https://auth.docker.io/token", true],
    ["https://registry-1.docker.io", "https://auth.docker.io.evil.example/token", false],
    ["https://registry.gitlab.com", "https://gitlab.com/jwt/auth", true],
    ["https://evil.example", "https://auth.docker.io/token", false],
    ["http://registry-1.docker.io", "http://auth.docker.io/token", false],
  ];
  for (const [registry, realm, expected] of cases)
    assert.equal(mayHoldCredentials(new URL(registry), new URL(realm)), expected, `${registry} ${realm}`);
});
