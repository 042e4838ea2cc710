/** Every route and method of the data plane for everybody who may ask: made from the route table, so a new row is judged by being there. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { putRepositoryPolicy } from "#metadata/resource-policies.ts";
import type { PathKind } from "../../src/distribution/path.ts";
import { routes } from "../../src/distribution/routes.ts";
import type { Route } from "../../src/distribution/routes.ts";
import { startRegistryServer } from "../registry-server.ts";
import type { Answer, RegistryServer } from "../registry-server.ts";
import { allowAll, callersOf, deny, foreignAccount } from "./callers.ts";
import type { MatrixCaller } from "./callers.ts";

const digest = `sha256:${"a".repeat(64)}`;
const name = "team/shop";
const targets: Readonly<Record<PathKind, string>> = {
  base: "/v2/",
  catalog: "/v2/_catalog",
  tags: `/v2/${name}/tags/list`,
  manifest: `/v2/${name}/manifests/latest`,
  blob: `/v2/${name}/blobs/${digest}`,
  uploads: `/v2/${name}/blobs/uploads/`,
  upload: `/v2/${name}/blobs/uploads/6b2c3c1e-7a55-4ac1-8f0f-0d5c6c2f8f11`,
  referrers: `/v2/${name}/referrers/${digest}`,
  download: "/download/forged",
};

/** What one caller is told. */
interface Expectation {
  readonly statuses?: readonly number[];
  readonly code?: string;
  readonly text?: RegExp;
}

const admitted: Expectation = {};
const unauthorized: Expectation = { statuses: [401], code: "UNAUTHORIZED" };
const denied = (text: RegExp): Expectation => ({ statuses: [403], code: "DENIED", text });

let server: RegistryServer;
let headers: Readonly<Record<string, string | null>>;
const byAction = new Map<string, string>();

before(async () => {
  server = await startRegistryServer();
  await server.createRepository(name);
  const callers = callersOf(server);
  const stale = server.authorization();
  server.advance(13 * 3_600_000);
  const named = await callers.user("named");
  const pass = async (caller: Promise<MatrixCaller>): Promise<string> => callers.authorizationOf(await caller);
  const key = { accountId: server.accountId, region: server.region, name };
  const statement = { Effect: "Allow", Principal: { AWS: named.principal.arn }, Action: "ecr:*" };
  await putRepositoryPolicy(server.core.metadata, {
    key,
    document: JSON.stringify({ Version: "2012-10-17", Statement: [statement] }),
    principals: { [named.principal.arn]: named.principal.principalId },
    author: { principalArn: "test", requestId: "test", now: server.core.clock.now() },
  });
  headers = {
    anonymous: null,
    garbage: `Basic ${Buffer.from("AWS:garbage").toString("base64")}`,
    expired: stale,
    "other region": server.authorization({ region: "us-east-1" }),
    "other account": callers.authorizationOf(await server.addAccount(foreignAccount)),
    "without permission": await pass(callers.user("nobody")),
    "with permission": await pass(callers.user("somebody", allowAll)),
    "by repository policy": callers.authorizationOf(named),
    "session, allowed": await pass(callers.session("free", [allowAll])),
    "session, not allowed": await pass(callers.session("bound", [{ ...allowAll, Action: "s3:*" }])),
  };
  for (const action of new Set(routes.map((route) => route.action)))
    if (action !== "none") byAction.set(action, await pass(callers.user(`not-${action.replace(":", "-")}`, allowAll, deny(action))));
});
after(async () => {
  await server.close();
});

function expectationsFor(route: Route): Readonly<Record<string, Expectation>> {
  const { action } = route;
  const needsNone = action === "none";
  const closed = (text: RegExp): Expectation => (needsNone ? admitted : denied(text));
  return {
    anonymous: unauthorized,
    garbage: unauthorized,
    expired: { statuses: [401, 403], text: /Your authorization token has expired\. Reauthenticate and try again\./ },
    "other region": { statuses: [400, 401, 403], text: /us-east-1/ },
    "other account": closed(new RegExp(`because no (?:resource|identity)-based policy allows the ${action} action$`)),
    "without permission": closed(new RegExp(`is not authorized to perform: ${action} on resource: .* because no identity-based policy`)),
    "with permission": admitted,
    // The catalog shows a caller the repositories that it may see, and this one may see one.
    "by repository policy": admitted,
    "session, allowed": admitted,
    "session, not allowed": closed(/because no session policy allows/),
  };
}

function judge(answer: Answer, method: string, { statuses, code, text }: Expectation, label: string): void {
  if (statuses === undefined)
    return assert.ok(answer.status !== 401 && answer.status !== 403, `${label}: ${answer.status} ${answer.message}`);
  assert.ok(statuses.includes(answer.status), `${label}: ${answer.status} ${answer.message}`);
  if (method === "HEAD") return;
  if (code !== undefined) assert.equal(answer.code, code, label);
  if (text !== undefined) assert.match(answer.message, text, label);
}

for (const route of routes.filter(({ credentials }) => credentials === "token")) {
  test(`${route.method} ${route.path}`, async () => {
    const target = targets[route.path];
    const ask = (authorization: string | null): Promise<Answer> => server.request(route.method, target, { authorization });
    for (const [caller, expectation] of Object.entries(expectationsFor(route)))
      judge(await ask(headers[caller] ?? null), route.method, expectation, `${caller}: ${route.method} ${target}`);
    if (route.action === "none") return;
    const explicit = await ask(byAction.get(route.action) ?? "");
    const hasOther = "orAction" in route && route.orAction !== undefined;
    // Who may read a blob may ask for its size: the one action is as good as the other.
    if (hasOther) return assert.notEqual(explicit.status, 401);
    judge(explicit, route.method, denied(/with an explicit deny in an identity-based policy$/), `explicit deny: ${route.method} ${target}`);
  });
}

test("methods and paths that no row has are refused to strangers before anything is said about them", async () => {
  for (const kind of Object.keys(targets) as PathKind[]) {
    if (kind === "download") continue;
    for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
      assert.equal((await server.request(method, targets[kind], { authorization: null })).status, 401, `${method} ${kind}`);
  }
});

test("a download ticket that nobody sealed opens nothing", async () => {
  for (const method of ["GET", "HEAD"]) {
    const answer = await server.request(method, targets.download, { authorization: headers["with permission"] ?? null });
    assert.ok(answer.status >= 400 && answer.status < 500, String(answer.status));
  }
});
