import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { systemRandom } from "#std/random.ts";
import { createMachineAgent } from "./machine-agent.ts";

const clock = { time: Date.UTC(2026, 10, 21, 8), now: () => clock.time };
const failures: unknown[] = [];
let fetched = 0;
let isAway = false;
const agent = createMachineAgent({
  fetchCredentials: async () => {
    if (isAway) throw new Error("away");
    fetched++;
    return {
      AccessKeyId: `ASIA${fetched}`,
      SecretAccessKey: "secret",
      Token: "token",
      Expiration: new Date(clock.time + 6 * 3_600_000).toISOString(),
      RoleArn: "arn:aws:iam::123456789012:role/node",
      AccountId: "123456789012",
      LastUpdated: new Date(clock.time).toISOString(),
      RoleName: "node",
      InstanceProfileArn: "arn:aws:iam::123456789012:instance-profile/node",
      MachineId: "i-1",
      Region: "eu-west-1",
    };
  },
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

test("credentials are kept, renewed an hour before their end, and outlive a registry that is away", async () => {
  const key = async (): Promise<string> => ((await (await ask("GET", "/v1/credentials")).json()) as { AccessKeyId: string }).AccessKeyId;
  const first = await key();
  assert.equal(await key(), first);
  clock.time += 5 * 3_600_000 + 1000;
  const second = await key();
  assert.notEqual(second, first);
  isAway = true;
  clock.time += 5.5 * 3_600_000;
  assert.equal(await key(), second);
  clock.time += 3_600_000;
  assert.equal((await ask("GET", "/v1/credentials")).status, 500);
  assert.ok(failures.length > 0);
  isAway = false;
  assert.notEqual(await key(), second);
});
