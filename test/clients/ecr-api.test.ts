/** Every operation, every paginator and every waiter of the service `ecr`, by boto3, the aws cli and AWS's SDK, against a server as a process. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { findAuditRecords } from "#cli/audit.ts";
import { startUpstreamDouble } from "#pullthrough/testing/upstream-double.ts";
import type { UpstreamDouble } from "#pullthrough/testing/upstream-double.ts";
import { signRequest } from "#aws/sigv4-signer.ts";
import { until } from "#std/testing/until.ts";
import { rootKey, startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { openBoto3, openCli, openSdk } from "./ecr-drivers.ts";
import type { OpenDriver } from "./ecr-drivers.ts";
import { goAllTheWay } from "./ecr-journey.ts";
import type { EcrDriver, JourneyGround } from "./ecr-steps.ts";
import { needs } from "./tool.ts";

interface Model {
  readonly operations: Readonly<Record<string, unknown>>;
  readonly pagination: Readonly<Record<string, unknown>>;
  readonly waiters: Readonly<Record<string, unknown>>;
}

const model = JSON.parse(readFileSync(new URL("../../models/ecr-2015-09-21.json", import.meta.url), "utf8")) as Model;
const hasBoto3 = spawnSync("python3", ["-c", "import boto3"]).status === 0;
let upstream: UpstreamDouble;
let server: ServerProcess;
let ground: JourneyGround;

before(async () => {
  upstream = await startUpstreamDouble();
  const environment = { SUPERCARGO_TRUSTED_HOSTS: upstream.host, SUPERCARGO_REGIONS: "us-east-1,eu-west-1" };
  server = await startServerProcess({ environment });
  ground = {
    accountId: "000000000000",
    region: "us-east-1",
    otherRegion: "eu-west-1",
    host: server.host,
    upstreamUrl: `http://${upstream.host}`,
    secretArn: await createSecret(),
  };
});
after(async () => {
  await server.close();
  await upstream.close();
});

/** By hand: none of the three clients that are tested here is needed for it. */
async function createSecret(): Promise<string> {
  const body = JSON.stringify({ Name: "ecr-pullthroughcache/journey", SecretString: '{"username":"alice","accessToken":"secret"}' });
  const plain = {
    Host: `127.0.0.1:${server.port}`,
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "secretsmanager.CreateSecret",
  };
  const bodySha256 = createHash("sha256").update(body).digest("hex");
  const rawHeaders = signRequest(
    { method: "POST", target: "/", rawHeaders: Object.entries(plain).flat() },
    { credentials: rootKey, region: "us-east-1", service: "secretsmanager", now: Date.now(), bodySha256 },
  );
  const headers = Array.from({ length: rawHeaders.length / 2 }, (_, index): [string, string] => [
    rawHeaders[index * 2] ?? "",
    rawHeaders[index * 2 + 1] ?? "",
  ]);
  const answer = await fetch(server.url, { method: "POST", headers, body });
  assert.equal(answer.status, 200);
  return ((await answer.json()) as { ARN: string }).ARN;
}

/** Remembers what was asked of a driver and succeeded. */
function remembering(driver: EcrDriver): { readonly driver: EcrDriver; readonly done: Record<"call" | "items" | "wait", Set<string>> } {
  const done = { call: new Set<string>(), items: new Set<string>(), wait: new Set<string>() };
  const noting = async <T>(set: Set<string>, name: string, work: Promise<T>): Promise<T> => {
    const answer = await work;
    set.add(name);
    return answer;
  };
  return {
    done,
    driver: {
      call: (operation, input) => noting(done.call, operation, driver.call(operation, input)),
      items: (operation, input, pageSize) => noting(done.items, operation, driver.items(operation, input, pageSize)),
      wait: (waiter, input) => noting(done.wait, waiter, driver.wait(waiter, input)),
    },
  };
}

const clients: readonly (readonly [name: string, skip: { readonly skip?: string }, open: (server: ServerProcess) => OpenDriver])[] = [
  ["AWS SDK for JavaScript", {}, openSdk],
  ["boto3", hasBoto3 ? {} : { skip: "not installed: python3's boto3" }, openBoto3],
  ["aws cli", needs("aws"), openCli],
];

for (const [name, skip, open] of clients) {
  test(`${name}: all operations, paginators and waiters of the model`, { ...skip, timeout: 600_000 }, async () => {
    const { driver, close } = open(server);
    const remembered = remembering(driver);
    try {
      await goAllTheWay(remembered.driver, ground);
    } finally {
      close();
    }
    const { call, items, wait } = remembered.done;
    const missing = (all: object, seen: ReadonlySet<string>): string[] => Object.keys(all).filter((each) => !seen.has(each));
    assert.deepEqual(missing(model.operations, call), []);
    assert.deepEqual(missing(model.pagination, items), []);
    assert.deepEqual(missing(model.waiters, wait), []);
  });
}

interface AuditRecord {
  readonly eventSource: string;
  readonly eventName: string;
  readonly awsRegion: string;
  readonly recipientAccountId: string;
  readonly requestID: string;
  readonly userIdentity: { readonly arn: string };
  readonly errorCode?: string;
}

/** What the audit log tells of the operations that succeeded. It is written behind the answers. */
async function auditRecords(): Promise<readonly AuditRecord[]> {
  const lines = await Array.fromAsync(findAuditRecords(join(server.folder, "audit"), {}));
  const records = lines.map((line) => JSON.parse(line) as AuditRecord);
  return records.filter(({ eventSource, errorCode }) => eventSource === "ecr.amazonaws.com" && errorCode === undefined);
}

test("every operation left its audit record: what, where, by whom", async () => {
  let records: readonly AuditRecord[] = [];
  const missing = (): string[] => {
    const recorded = new Set(records.map(({ eventName }) => eventName));
    return Object.keys(model.operations).filter((operation) => !recorded.has(operation));
  };
  const isWhole = async (): Promise<boolean> => {
    records = await auditRecords();
    return missing().length === 0;
  };
  await until(isWhole, { everyMs: 200, otherwise: () => `no record of ${missing().join(", ")}` });
  const { accountId, region } = ground;
  for (const { eventName, awsRegion, recipientAccountId, requestID, userIdentity } of records) {
    const facts = [awsRegion, recipientAccountId, userIdentity.arn];
    assert.deepEqual(facts, [region, accountId, `arn:aws:iam::${accountId}:root`], eventName);
    assert.match(requestID, /^[0-9a-f-]{36}$/, eventName);
  }
});
