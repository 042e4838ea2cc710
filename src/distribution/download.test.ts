import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { resetRootKey } from "#access/root-key.ts";
import { createDownloadTicket } from "#registry/blob.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { makeImage } from "../../test/fixtures/oci-content.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { Answer, RegistryServer } from "../../test/registry-server.ts";

let server: RegistryServer;
const image = makeImage({ layerSizeBytes: 3000 });
const [layer] = image.layers;

before(async () => {
  server = await startRegistryServer();
  await server.createRepository("team/app");
  await server.push("team/app", image, "v1");
});
after(() => server.close());

async function makeTicket(actor = server.principal): Promise<string> {
  assert.ok(layer !== undefined);
  const context = { core: server.core, actor, requestId: "test" };
  const registry = { accountId: server.accountId, region: server.region };
  return (await createDownloadTicket(context, registry, "team/app" as RepositoryName, layer.digest)).ticket;
}

const get = (ticket: string, headers: Readonly<Record<string, string>> = {}, method = "GET"): Promise<Answer> =>
  server.request(method, `/download/${ticket}`, { headers, authorization: null });

test("a ticket is enough, whole or in part", async () => {
  const ticket = await makeTicket();
  const whole = await get(ticket);
  assert.deepEqual([whole.status, whole.body.equals(layer?.bytes ?? Buffer.alloc(0))], [200, true]);
  assert.equal(whole.headers["cache-control"], "private, no-store");
  const part = await get(ticket, { Range: "bytes=10-19" });
  assert.deepEqual([part.status, part.body], [206, layer?.bytes.subarray(10, 20)]);
  const head = await get(ticket, {}, "HEAD");
  assert.deepEqual([head.status, head.headers["content-length"], head.body.byteLength], [200, String(layer?.bytes.byteLength), 0]);
  assert.equal((await get(ticket, {}, "POST")).status, 405);
});

test("anything else is the same 403", async () => {
  const ticket = await makeTicket();
  const flipped = ticket.slice(0, 60) + (ticket[60] === "A" ? "B" : "A") + ticket.slice(61);
  for (const bad of ["x", flipped, `${ticket}A`, "%00", "x".repeat(4000), server.token]) {
    const answer = await get(bad);
    assert.deepEqual([answer.status, answer.code, answer.message], [403, "DENIED", "The download URL is not valid or has expired"], bad);
  }
});

test("it is asked again who may: another account gets nothing from a ticket of its own making", async () => {
  const stranger = await server.addAccount("210987654321");
  const answer = await get(await makeTicket(stranger));
  assert.deepEqual([answer.status, answer.code], [403, "DENIED"]);
  assert.match(answer.message, /is not authorized to perform: ecr:GetDownloadUrlForLayer/);
});

test("a ticket ends with the blob, with its time, and with its key", async () => {
  const own = await makeTicket();
  server.advance(15 * 60_000 + 1);
  assert.equal((await get(own)).status, 403);
  const late = await makeTicket();
  assert.equal((await get(late)).status, 200);
  const { core } = server;
  await resetRootKey({ metadata: core.metadata, sealer: core.sealer, clock: core.clock, random: core.random, accountId: server.accountId });
  assert.equal((await get(late)).status, 403);
  assert.deepEqual(server.errors, []);
});

test("a deleted blob is gone for its tickets too", async () => {
  const other = await startRegistryServer();
  try {
    await other.createRepository("team/app");
    await other.push("team/app", image, "v1");
    const context = { core: other.core, actor: other.principal, requestId: "test" };
    const registry = { accountId: other.accountId, region: other.region };
    assert.ok(layer !== undefined);
    const { ticket } = await createDownloadTicket(context, registry, "team/app" as RepositoryName, layer.digest);
    assert.equal((await other.request("GET", `/download/${ticket}`, { authorization: null })).status, 200);
    assert.equal((await other.request("DELETE", `/v2/team/app/manifests/${image.digest}`)).status, 202);
    const answer = await other.request("GET", `/download/${ticket}`, { authorization: null });
    assert.deepEqual([answer.status, answer.code], [404, "BLOB_UNKNOWN"]);
  } finally {
    await other.close();
  }
});
