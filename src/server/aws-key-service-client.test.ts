/** Servers that do not answer as KMS does: whoever needs a key is told where and why, and soon. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, test } from "node:test";
import { KeyRefusal } from "#registry/key-service.ts";
import { silentLog } from "#std/log.ts";
import type { Log } from "#std/log.ts";
import { createKmsClients } from "./aws-key-service-client.ts";
import type { KmsClientOptions, KmsClients } from "./aws-key-service-client.ts";

const credentials = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "not/a+secret" };
const json = { "Content-Type": "application/x-amz-json-1.1" };
const described = JSON.stringify({ KeyMetadata: { KeyId: "k", Arn: "a" } });
let servers: Server[] = [];
afterEach(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  servers = [];
});

interface FakeServer {
  readonly endpoint: string;
  /** What was asked, in order. */
  readonly requests: IncomingMessage[];
  stop(): Promise<void>;
}

async function fakeServer(answer: (response: ServerResponse, count: number) => void): Promise<FakeServer> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    request.resume().once("end", () => answer(response, requests.length));
  });
  servers.push(server);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, stop };
}

function clientsFor(endpoint: string, more: Partial<KmsClientOptions> = {}): KmsClients {
  return createKmsClients({ endpoint, credentials, clock: { now: () => 0 }, log: silentLog, ...more });
}

const describe = (clients: KmsClients): Promise<unknown> =>
  clients.ask("eu-central-1", (client, { DescribeKeyCommand }, options) => client.send(new DescribeKeyCommand({ KeyId: "k" }), options));

async function refusalOf(clients: KmsClients): Promise<KeyRefusal> {
  const error = await describe(clients).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof KeyRefusal, String(error));
  return error;
}

test("throttling is tried again a few times, and then told as KMS tells it", async () => {
  const throttle = (response: ServerResponse): void =>
    void response.writeHead(400, json).end(JSON.stringify({ __type: "ThrottlingException", message: "Rate exceeded" }));
  const patient = await fakeServer((response, count) => (count < 2 ? throttle(response) : response.writeHead(200, json).end(described)));
  const busy = await fakeServer(throttle);
  const [{ kmsError, message }] = await Promise.all([refusalOf(clientsFor(busy.endpoint)), describe(clientsFor(patient.endpoint))]);
  assert.equal(patient.requests.length, 2);
  assert.deepEqual([kmsError, message, busy.requests.length], ["ThrottlingException", "Rate exceeded", 3]);
});

test("redirects are not followed, and pages of proxies are no answers", async () => {
  const target = await fakeServer((response) => response.writeHead(200, json).end(described));
  const cases: readonly (readonly [number, Record<string, string>, string])[] = [
    [302, { Location: target.endpoint }, ""],
    [307, { Location: target.endpoint }, ""],
    [403, { "Content-Type": "text/html" }, "<h1>Forbidden</h1>"],
    [502, { "Content-Type": "text/html" }, "<h1>Bad Gateway</h1>"],
    [404, json, "{}"],
  ];
  for (const [status, headers, body] of cases) {
    const { endpoint } = await fakeServer((response) => response.writeHead(status, headers).end(body));
    const { kmsError, message } = await refusalOf(clientsFor(endpoint));
    assert.equal(kmsError, "KeyUnavailableException");
    assert.match(message, new RegExp(`^the KMS at ${endpoint} could not be asked: .*${status}`), message);
  }
  assert.equal(target.requests.length, 0);
});

test("an endpoint that is down is named with the cause; soon it is not asked at all, and later again", async () => {
  let now = 0;
  const lines: string[] = [];
  const note = (_fields: object, message: string): void => void lines.push(message);
  const log: Log = { ...silentLog, warn: note, info: note };
  const server = await fakeServer((response) => response.writeHead(200, json).end(described));
  const clients = clientsFor(server.endpoint, { clock: { now: () => now }, log });
  await describe(clients);
  await server.stop();
  for (let time = 0; time < 3; time += 1) {
    const { kmsError, message } = await refusalOf(clients);
    assert.equal(kmsError, "KeyUnavailableException");
    assert.match(message, new RegExp(`^the KMS at ${server.endpoint} could not be asked: .*ECONNREFUSED`));
  }
  const before = performance.now();
  for (let time = 0; time < 50; time += 1) assert.match((await refusalOf(clients)).message, /ECONNREFUSED/);
  assert.ok(performance.now() - before < 5_000, "nobody waits for a server that is known to be down");
  const revived = createServer((request, response) =>
    request.resume().once("end", () => response.writeHead(200, json).end(described)),
  ).listen(Number(new URL(server.endpoint).port), "127.0.0.1");
  servers.push(revived);
  await new Promise((resolve) => void revived.once("listening", resolve));
  await refusalOf(clients);
  now += 5_000;
  await describe(clients);
  assert.deepEqual(lines, ["the key management service does not answer", "the key management service answers again"]);
});

test("a server that accepts and says nothing is given up, and so are credentials that do not come", async () => {
  const silent = await fakeServer(() => {});
  const before = performance.now();
  assert.match((await refusalOf(clientsFor(silent.endpoint, { timeoutMs: 100 }))).message, /no answer within 0\.1 s$/);
  const never = (): Promise<never> => new Promise(() => {});
  assert.match((await refusalOf(clientsFor(silent.endpoint, { timeoutMs: 100, credentials: never }))).message, /no answer within 0\.1 s$/);
  assert.ok(performance.now() - before < 10_000);
});

test("without credentials nobody is asked", async () => {
  const server = await fakeServer((response) => response.writeHead(200, json).end(described));
  const none = async (): Promise<never> => {
    throw new Error("Could not load credentials from any providers");
  };
  const { kmsError, message } = await refusalOf(clientsFor(server.endpoint, { credentials: none }));
  assert.deepEqual([kmsError, server.requests.length], ["KeyUnavailableException", 0]);
  assert.match(message, /could not be asked: Could not load credentials from any providers$/);
});

test("AWS's own endpoint is asked by AWS's name, whatever endpoint the environment gives to other programs", async () => {
  const trap = await fakeServer((response) => response.writeHead(200, json).end(described));
  const names = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS", "HTTPS_PROXY", "https_proxy"];
  const kept = names.map((name) => [name, process.env[name]] as const);
  for (const name of names) process.env[name] = trap.endpoint;
  try {
    // A region that nobody has: the name is looked up in vain, or not at all where there is no network.
    const clients = createKmsClients({ endpoint: undefined, credentials, clock: { now: () => 0 }, log: silentLog, timeoutMs: 1_500 });
    const asked = clients.ask("xx-nowhere-9", (client, { DescribeKeyCommand }, options) =>
      client.send(new DescribeKeyCommand({ KeyId: "k" }), options),
    );
    await assert.rejects(
      asked,
      (error) => error instanceof KeyRefusal && error.message.startsWith("the KMS of AWS in xx-nowhere-9 could not be asked: "),
    );
    assert.equal(trap.requests.length, 0);
  } finally {
    for (const [name, value] of kept) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
});
