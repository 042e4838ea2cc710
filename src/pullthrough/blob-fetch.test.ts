import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { createRepository } from "#registry/repository.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { until } from "#std/testing/until.ts";
import { makeBlob } from "../../test/fixtures/oci-content.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { RegistryServer } from "../../test/registry-server.ts";
import { createBlobFetches } from "./blob-fetch.ts";
import type { Upstream } from "./upstream.ts";

let server: RegistryServer;
const name = "hub/app" as RepositoryName;
const accounts = ["111111111111", "222222222222"] as const;

before(async () => {
  server = await startRegistryServer();
  for (const accountId of accounts) {
    await server.addAccount(accountId);
    await createRepository(contextOf(accountId), { accountId, region: server.region }, name);
  }
});
after(() => server.close());

function contextOf(accountId: string) {
  return { core: server.core, actor: { accountId, principalId: "ecr.amazonaws.com", arn: "ecr.amazonaws.com" }, requestId: "test" };
}

test("an upstream that lets all fetches of an account wait holds up no other account", async () => {
  const fetches = createBlobFetches({ isOnlyNode: true });
  const content = makeBlob(100, "content");
  const waiting: ((answer: Awaited<ReturnType<Upstream["getBlob"]>>) => void)[] = [];
  const hostile = { getBlob: () => new Promise((resolve) => void waiting.push(resolve)) } as unknown as Upstream;
  const kind = { getBlob: async () => ({ outcome: "found", body: Readable.from([content.bytes]), sizeBytes: 100 }) } as unknown as Upstream;
  const join = (accountId: string, upstream: Upstream, { digest } = content) => {
    const registry = { accountId, region: server.region };
    return fetches.join({ ctx: contextOf(accountId), registry, name, digest, upstream, upstreamName: "app" });
  };
  const stuck = Array.from({ length: 40 }, (_one, at) => join(accounts[0], hostile, makeBlob(10, `stuck${at}`)));
  await join(accounts[1], kind).stored;
  assert.equal(waiting.length, 16, "the account itself has its limit");
  const ended = Promise.allSettled(stuck.map(({ stored }) => stored));
  for (let at = 0; at < stuck.length; at += 1) {
    await until(() => waiting[at] !== undefined, { everyMs: 0 });
    waiting[at]?.({ outcome: "not-found", problem: "after all" });
  }
  assert.ok((await ended).every(({ status }) => status === "rejected"));
});
