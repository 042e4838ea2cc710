/** Who is let in, and what everybody else is told. The matrix is made from the table, so a new row is in it at once. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { actions } from "./action.ts";
import { routes } from "./routes.ts";
import type { Route } from "./routes.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { RegistryServer } from "../../test/registry-server.ts";

let server: RegistryServer;
const digest = `sha256:${"0".repeat(64)}`;

before(async () => {
  server = await startRegistryServer();
  await server.createRepository("team/app");
});
after(() => server.close());

function pathOf(route: Route, name: string): string {
  const forms = {
    base: "/v2/",
    catalog: "/v2/_catalog",
    tags: `/v2/${name}/tags/list`,
    manifest: `/v2/${name}/manifests/v1`,
    blob: `/v2/${name}/blobs/${digest}`,
    uploads: `/v2/${name}/blobs/uploads/`,
    upload: `/v2/${name}/blobs/uploads/00000000-0000-4000-8000-000000000000?digest=${digest}`,
    referrers: `/v2/${name}/referrers/${digest}`,
    download: "/download/forged",
  };
  return forms[route.path];
}

test("every row has all its columns", () => {
  const known: readonly string[] = Object.values(actions);
  for (const route of routes) {
    assert.ok(route.action === "none" ? route.path === "base" : known.includes(route.action), route.label);
    assert.ok(["repository", "every-repository", "none"].includes(route.resource));
    assert.ok((route.path === "download") === (route.credentials === "ticket"));
    assert.equal(typeof route.handle, "function");
    assert.match(route.label, /^[a-z.]+$/);
  }
  const pairs = routes.map((route) => `${route.method} ${route.path}`);
  assert.equal(new Set(pairs).size, pairs.length);
});

const tokenRoutes = routes.filter((route) => route.credentials === "token");

describe("without good credentials every route answers the same 401", () => {
  const bad: Readonly<Record<string, string | null>> = {
    anonymous: null,
    garbage: "garbage",
    "Basic without base64": "Basic %%%",
    "Basic without colon": `Basic ${Buffer.from("AWS").toString("base64")}`,
    "an invented password": `Basic ${Buffer.from("AWS:hunter2").toString("base64")}`,
    "Bearer of nothing": "Bearer",
    "a Digest": 'Digest username="AWS"',
  };
  for (const [label, authorization] of Object.entries(bad)) {
    test(label, async () => {
      for (const route of tokenRoutes) {
        for (const name of ["team/app", "missing/repository", "UPPER"]) {
          const answer = await server.request(route.method, pathOf(route, name), { authorization });
          assert.equal(answer.status, 401, `${route.method} ${route.path}`);
          assert.equal(answer.headers["www-authenticate"], `Basic realm="https://${server.host}/",service="ecr.amazonaws.com"`);
          assert.equal(answer.headers["docker-distribution-api-version"], "registry/2.0");
          if (route.method === "HEAD") continue;
          assert.equal(answer.headers["content-type"], "application/json");
          assert.deepEqual(answer.json(), { errors: [{ code: "UNAUTHORIZED", message: "Not Authorized" }] });
        }
      }
    });
  }
  test("also paths and methods that do not exist", async () => {
    for (const [method, path] of [
      ["GET", "/v2/nothing"],
      ["OPTIONS", "/v2/"],
      ["PROPFIND", "/v2/team/app/tags/list"],
      ["GET", "/v2/a%2Fb/tags/list"],
    ] as const) {
      assert.equal((await server.request(method, path, { authorization: null })).status, 401, `${method} ${path}`);
    }
  });
  test("a host that cannot stand in quotes is not repeated", async () => {
    const answer = await server.request("GET", "/v2/", { authorization: null, headers: { Host: 'a"b,c' } });
    assert.equal(answer.headers["www-authenticate"], 'Basic realm="https://localhost/",service="ecr.amazonaws.com"');
  });
});

test("a good token opens the door, Basic or Bearer", async () => {
  const basic = server.authorization();
  for (const authorization of [basic, basic.replace("Basic", "Bearer")]) {
    const answer = await server.request("GET", "/v2/", { authorization });
    assert.deepEqual([answer.status, answer.body.toString()], [200, "{}"]);
    assert.equal(answer.headers["docker-distribution-api-version"], "registry/2.0");
  }
  assert.equal((await server.request("GET", "/v2")).status, 200);
});

test("another account's token is told who may not do what", async () => {
  const stranger = await server.addAccount("210987654321");
  const authorization = server.authorization({ principal: stranger });
  for (const route of tokenRoutes.filter((row) => row.action !== "none")) {
    const answers = await Promise.all(
      ["team/app", "missing/repository"].map((name) => server.request(route.method, pathOf(route, name), { authorization })),
    );
    for (const answer of answers) {
      assert.equal(answer.status, 403, `${route.method} ${route.path}`);
      if (route.method === "HEAD") continue;
      assert.equal(answer.code, "DENIED");
      const action = route.path === "upload" && route.method === "PUT" ? actions.completeUpload : route.action;
      const resource = route.resource === "repository" ? /repository\/(?:team\/app|missing\/repository) / : /repository\/\* /;
      assert.match(answer.message, resource);
      assert.ok(answer.message.startsWith(`User: ${stranger.arn} is not authorized to perform: ${action} on resource: arn:aws:ecr:`));
    }
  }
});

test("a token of another region is told the right host", async () => {
  const answer = await server.request("GET", "/v2/team/app/tags/list", { authorization: server.authorization({ region: "us-east-1" }) });
  assert.deepEqual([answer.status, answer.code], [403, "DENIED"]);
  assert.match(answer.message, /us-east-1.*123456789012\.dkr\.ecr\.us-east-1\.localhost:\d+/);
});

test("a qualified host names its registry", async () => {
  const headers = { Host: "123456789012.dkr.ecr.us-east-1.localhost" };
  const right = await server.request("GET", "/v2/team/app/tags/list", {
    headers,
    authorization: server.authorization({ region: "us-east-1" }),
  });
  assert.deepEqual([right.status, right.code], [404, "NAME_UNKNOWN"]);
  const wrong = await server.request("GET", "/v2/", { headers });
  assert.deepEqual([wrong.status, wrong.code], [403, "DENIED"]);
  const unserved = await server.request("GET", "/v2/", { headers: { Host: "123456789012.dkr.ecr.mars-1.localhost" } });
  assert.equal(unserved.status, 404);
  assert.equal(unserved.message, "Could not resolve registry id from host 123456789012.dkr.ecr.mars-1.localhost");
});

test("what does not exist", async () => {
  const unknown = await server.request("GET", "/v2/team/app/nothing");
  assert.deepEqual([unknown.status, unknown.headers["content-type"]], [404, "application/json"]);
  assert.ok(unknown.code !== undefined);
  const method = await server.request("DELETE", "/v2/team/app/tags/list");
  assert.deepEqual([method.status, method.code, method.headers.allow], [405, "UNSUPPORTED", "GET, HEAD"]);
  const name = await server.request("GET", "/v2/Team/app/tags/list");
  assert.deepEqual([name.status, name.code], [400, "NAME_INVALID"]);
  const slash = await server.request("GET", "/v2/team%2Fapp/tags/list");
  assert.deepEqual([slash.status, slash.code], [400, "NAME_INVALID"]);
  const missing = await server.request("GET", "/v2/team/other/tags/list");
  assert.deepEqual([missing.status, missing.code], [404, "NAME_UNKNOWN"]);
  assert.equal(missing.message, "The repository with name 'team/other' does not exist in the registry with id '123456789012'");
});

test("names that are bad in every way they can be", async () => {
  const names = ["a", "..", "a/../b", "%2e%2e/x", "a//b", "-a", "a-", "a___b", "%00a", "é", "a%20b", "x".repeat(257), "a_%25", "team/app/"];
  for (const name of names) {
    const answer = await server.request("GET", `/v2/${encodeURI(decodeURIComponent(name))}/tags/list`);
    assert.deepEqual([answer.status, answer.code], [400, "NAME_INVALID"], name);
  }
});

test("an expired token is told to come again", async () => {
  const own = await startRegistryServer();
  try {
    const authorization = own.authorization();
    own.advance(12 * 3_600_000 + 1);
    const answer = await own.request("GET", "/v2/", { authorization });
    assert.deepEqual([answer.status, answer.code], [403, "DENIED"]);
    assert.equal(answer.message, "Your authorization token has expired. Reauthenticate and try again.");
  } finally {
    await own.close();
  }
});

test("requests are noted by bounded labels", async () => {
  const seen = server.notes.length;
  await server.request("GET", "/v2/team/app/tags/list");
  await server.request("GET", "/v2/team/app/manifests/none");
  const [tags, manifest] = server.notes.slice(seen);
  assert.deepEqual([tags?.route, tags?.action, tags?.errorCode], ["tags.list", "ecr:ListImages", undefined]);
  assert.deepEqual([manifest?.route, manifest?.errorCode], ["manifest.get", "MANIFEST_UNKNOWN"]);
  assert.equal(tags?.principalArn, "arn:aws:iam::123456789012:root");
});
