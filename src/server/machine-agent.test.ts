import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { systemRandom } from "#std/random.ts";
import { until } from "#std/testing/until.ts";
import type { FetchedAnswer } from "./machine-agent-source.ts";
import { createMachineAgent } from "./machine-agent.ts";
import { heldBy } from "./testing/machine-credentials.ts";

const clock = { time: Date.UTC(2026, 10, 21, 8), now: () => clock.time };
const failures: unknown[] = [];
const hourMs = 3_600_000;

/** The registry in the test's hands: what it says, how often it was asked with which tag, and when it answers. */
const registry = {
  state: "here" as "here" | "away",
  until: Promise.resolve(),
  tag: '"node"',
  refusal: undefined as FetchedAnswer | undefined,
  asked: [] as (string | undefined)[],
  given: 0,
  answer: async (heldTag: string | undefined): Promise<FetchedAnswer> => {
    registry.asked.push(heldTag);
    if (registry.state === "away") throw new Error("away");
    await registry.until;
    if (registry.refusal !== undefined) return registry.refusal;
    if (heldTag === registry.tag) return { kind: "unchanged" };
    const expiration = new Date(clock.time + 6 * hourMs).toISOString();
    return { kind: "given", credentials: heldBy(`ASIA${++registry.given}`, expiration), entityTag: registry.tag };
  },
};
const agent = createMachineAgent({
  fetchCredentials: (heldTag) => registry.answer(heldTag),
  clock,
  random: systemRandom,
  onFailure: (error) => failures.push(error),
});
let url: string;
before(async () => {
  await new Promise<void>((resolve) => void agent.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(agent.address() as AddressInfo).port}`;
});
after(() => void agent.close());

const ttl = "x-aws-ec2-metadata-token-ttl-seconds";
const roles = "/latest/meta-data/iam/security-credentials/";
const ask = (method: string, path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url + path, { method, headers });
const tokenFor = async (seconds: string): Promise<string> => (await ask("PUT", "/latest/api/token", { [ttl]: seconds })).text();

test("a token by PUT first, and nothing through a proxy", async () => {
  const statuses = async (...asked: Promise<Response>[]): Promise<number[]> => (await Promise.all(asked)).map(({ status }) => status);
  assert.deepEqual(
    await statuses(
      ask("GET", roles),
      ask("GET", roles, { "x-aws-ec2-metadata-token": "guessed" }),
      ask("GET", "/latest/api/token"),
      ask("PUT", "/latest/api/token"),
      ask("PUT", "/latest/api/token", { [ttl]: "0" }),
      ask("PUT", "/latest/api/token", { [ttl]: "21601" }),
      ask("PUT", "/latest/api/token", { [ttl]: "60", "x-forwarded-for": "192.0.2.1" }),
      ask("POST", roles),
    ),
    [401, 401, 405, 400, 400, 400, 403, 405],
  );
  const token = await tokenFor("60");
  const headers = { "x-aws-ec2-metadata-token": token };
  assert.equal(await (await ask("GET", roles, headers)).text(), "node");
  const held = (await (await ask("GET", `${roles}node`, headers)).json()) as Record<string, string>;
  assert.deepEqual([held["Code"], held["Type"], held["AccessKeyId"], held["Token"]], ["Success", "AWS-HMAC", "ASIA1", "token"]);
  assert.equal((await ask("GET", `${roles}other`, headers)).status, 404);
  clock.time += 61_000;
  assert.equal((await ask("GET", roles, headers)).status, 401);
});

const key = async (): Promise<string> => ((await (await ask("GET", "/v1/credentials")).json()) as { AccessKeyId: string }).AccessKeyId;

test("credentials are kept, renewed an hour before their end, and outlive a registry that is away", async () => {
  const first = await key();
  assert.equal(await key(), first);
  clock.time += 5 * hourMs + 1000;
  const second = await key();
  assert.notEqual(second, first);
  registry.state = "away";
  clock.time += 5.5 * hourMs;
  assert.equal(await key(), second);
  clock.time += hourMs;
  assert.equal((await ask("GET", "/v1/credentials")).status, 500);
  assert.ok(failures.length > 0);
  registry.state = "here";
  assert.notEqual(await key(), second);
});

test("what is held is asked about every five seconds at most, and by one of many", async () => {
  const held = await key();
  registry.asked.length = 0;
  assert.equal(await key(), held);
  assert.deepEqual(registry.asked, []);
  clock.time += 5_000;
  assert.deepEqual(new Set(await Promise.all(Array.from({ length: 20 }, () => key()))), new Set([held]));
  assert.deepEqual(registry.asked, [registry.tag]);
  // A machine whose profile has another role has new credentials.
  registry.tag = '"other"';
  clock.time += 5_000;
  assert.notEqual(await key(), held);
});

test("a slow registry costs nobody what is held", async () => {
  const held = await key();
  clock.time += 5_000;
  let goOn: () => void = () => undefined;
  registry.until = new Promise<void>((resolve) => (goOn = resolve));
  registry.tag = '"after"';
  assert.equal(await key(), held);
  goOn();
  await until(async () => (await key()) !== held);
});

test("a machine that was revoked is given nothing more, in the form of either endpoint, until it is enrolled again", async () => {
  const headers = { "x-aws-ec2-metadata-token": await tokenFor("60") };
  const held = await key();
  registry.refusal = { kind: "refused", status: 401, code: "UnauthorizedException", message: "who is that" };
  assert.equal(await key(), held);
  clock.time += 5_000;
  failures.length = 0;
  registry.asked.length = 0;
  const byContainer = await ask("GET", "/v1/credentials");
  assert.deepEqual([byContainer.status, await byContainer.json()], [401, { Code: "UnauthorizedException", Message: "who is that" }]);
  for (const path of [roles, `${roles}node`, "/latest/meta-data/iam/info", "/latest/meta-data/instance-id"])
    assert.equal((await ask("GET", path, headers)).status, 404, path);
  assert.deepEqual([registry.asked.length, failures.length], [1, 1]);
  clock.time += 5_000;
  assert.equal((await ask("GET", "/v1/credentials")).status, 401);
  assert.deepEqual([registry.asked.length, failures.length], [2, 1]);
  // Being away is no news of the machine.
  registry.state = "away";
  clock.time += 5_000;
  assert.equal((await ask("GET", "/v1/credentials")).status, 500);
  Object.assign(registry, { state: "here", refusal: undefined });
  assert.notEqual(await key(), held);
});
