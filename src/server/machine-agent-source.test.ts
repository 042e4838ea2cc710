import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { fetchMachineCredentials } from "./machine-agent-source.ts";
import { heldBy } from "./testing/machine-credentials.ts";

/** What the next request is answered, and what it carried. */
const next = { status: 200, headers: {} as Record<string, string>, body: "", asked: {} as Record<string, unknown> };
const server = createServer((request, response) => {
  const { authorization, "if-none-match": tag } = request.headers;
  next.asked = { authorization, tag };
  response.writeHead(next.status, next.headers).end(next.body);
});
let url: string;
before(async () => {
  await new Promise<void>((resolve) => void server.listen(0, "::1", resolve));
  url = `http://[::1]:${(server.address() as AddressInfo).port}/v1/credentials`;
});
after(() => void server.close());

function answerWith(status: number, body: string, headers: Record<string, string> = {}): void {
  Object.assign(next, { status, body, headers, asked: {} });
}

test("credentials come with their tag, and a tag that still stands brings none", async () => {
  const credentials = heldBy("ASIA1", "2026-11-21T14:00:00Z");
  answerWith(200, JSON.stringify(credentials), { etag: '"tag"' });
  assert.deepEqual(await fetchMachineCredentials(url, "token", undefined), { kind: "given", credentials, entityTag: '"tag"' });
  assert.deepEqual(next.asked, { authorization: "token", tag: undefined });
  answerWith(304, "");
  assert.deepEqual(await fetchMachineCredentials(url, "token", '"tag"'), { kind: "unchanged" });
  assert.deepEqual(next.asked, { authorization: "token", tag: '"tag"' });
});

test("only the registry's own refusal is one; anything else says nothing about the machine", async () => {
  for (const status of [400, 401, 403, 404]) {
    answerWith(status, '{"Code":"UnauthorizedException","Message":"no"}');
    const refused = { kind: "refused", status, code: "UnauthorizedException", message: "no" };
    assert.deepEqual(await fetchMachineCredentials(url, "token", undefined), refused);
  }
  const others: readonly (readonly [number, string, Record<string, string>?])[] = [
    [304, ""],
    [302, "", { location: "https://elsewhere.example/v1/credentials" }],
    [403, "<html>blocked by a proxy</html>"],
    [404, '{"message":"another server"}'],
    [401, "null"],
    [408, '{"Code":"Timeout"}'],
    [429, '{"Code":"SlowDown"}'],
    [500, '{"Code":"InternalFailure"}'],
    [503, '{"Code":"IDPCommunicationError"}'],
    [200, "{}"],
    [200, "[]"],
    [200, "no json"],
    [200, JSON.stringify({ ...heldBy("ASIA1", "2026-11-21T14:00:00Z"), Token: 7 })],
    [200, JSON.stringify(heldBy("ASIA1", "never"))],
    [200, " ".repeat(65_537)],
  ];
  for (const [status, body, headers] of others) {
    answerWith(status, body, headers);
    await assert.rejects(fetchMachineCredentials(url, "token", undefined), Error, `${status} ${body.slice(0, 40)}`);
  }
});
