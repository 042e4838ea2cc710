/**
 * `node bench/side-channel.ts`: can somebody tell by the clock what an answer does not say? Asks one server thousands of times, one request
 * after the other, for things that must not be told apart, in an order drawn anew each round, and compares how long the answers took.
 * `node bench/side-channel.ts --samples 10000 --only mount`
 */
import { Agent, request as httpRequest } from "node:http";
import { parseArgs } from "node:util";
import { CreateRepositoryCommand, DeleteRepositoryCommand, ECRClient, GetAuthorizationTokenCommand } from "@aws-sdk/client-ecr";
import { GetFederationTokenCommand, STSClient } from "@aws-sdk/client-sts";
import { createEcrClient, registryPassword } from "../test/aws-client.ts";
import { createOciClient, sha256 } from "../test/oci-client.ts";
import { rootKey, startServerProcess } from "../test/server-process.ts";
import type { ServerProcess } from "../test/server-process.ts";
import { pinToLoadCore } from "./load.ts";
import { serverCore } from "./peers.ts";

const { values: options } = parseArgs({ options: { samples: { type: "string", default: "3000" }, only: { type: "string" } } });
const samples = Number(options.samples);
/** Of each cause, before anything counts: compilers and caches settle. */
const warmUp = 300;
/** Under the hypothesis that there is no difference, a |z| beyond this comes once in fifteen thousand comparisons. */
const separableZ = 4;
const region = "us-east-1";

/** One request, over and over. The first of a group stands in it twice: how far it is from itself is what noise does. */
interface Cause {
  readonly name: string;
  readonly method: string;
  readonly path: string;
}

/** Causes that must not be told apart. */
interface Group {
  readonly name: string;
  readonly status: number;
  readonly causes: readonly Cause[];
}

const layer = new TextEncoder().encode("a layer that the visitor may not see");
const blob = sha256(layer);
const nowhere = `sha256:${"0".repeat(64)}`;

function mount(name: string, query: string): Cause {
  return { name, method: "POST", path: `/v2/open/shop/blobs/uploads/?${query}` };
}

/** The same request about a repository that is there, one that never was, and one that is deleted. The names are of one length. */
function hidden(rest: string): readonly Cause[] {
  return ["real", "none", "gone"].map((name) => ({ name: `hidden/${name}`, method: "GET", path: `/v2/hidden/${name}/${rest}` }));
}

const groups: readonly Group[] = [
  {
    name: "mount that fails",
    status: 202,
    causes: [
      mount("source not readable", `mount=${blob}&from=hidden/real`),
      mount("source missing", `mount=${blob}&from=hidden/none`),
      mount("source deleted", `mount=${blob}&from=hidden/gone`),
      mount("blob missing", `mount=${nowhere}&from=hidden/real`),
    ],
  },
  {
    name: "mount without a source",
    status: 202,
    causes: [mount("blob hidden", `mount=${blob}`), mount("blob missing", `mount=${nowhere}`)],
  },
  { name: "manifest denied", status: 403, causes: hidden("manifests/latest") },
  { name: "blob denied", status: 403, causes: hidden(`blobs/${blob}`) },
  {
    name: "blob of elsewhere",
    status: 404,
    causes: [blob, nowhere].map((digest) => ({
      name: digest === blob ? "hidden" : "missing",
      method: "GET",
      path: `/v2/open/shop/blobs/${digest}`,
    })),
  },
];

/** Fills the registry, and answers the Authorization header of somebody who may see only a part of it. */
async function prepare(server: ServerProcess): Promise<string> {
  const ecr = createEcrClient(server.url, region);
  const oci = createOciClient(server.url, await registryPassword(ecr));
  for (const repositoryName of ["open/shop", "hidden/real", "hidden/gone"])
    await ecr.send(new CreateRepositoryCommand({ repositoryName, tags: [{ Key: "team", Value: "red" }] }));
  for (const name of ["hidden/real", "hidden/gone"]) await oci.pushImage(name, "latest", [layer]);
  await ecr.send(new DeleteRepositoryCommand({ repositoryName: "hidden/gone", force: true }));
  const sts = new STSClient({ endpoint: server.url, region, credentials: rootKey });
  const statement = (Action: string, Resource: string): object => ({ Effect: "Allow", Action, Resource });
  const Policy = JSON.stringify({
    Version: "2012-10-17",
    Statement: [statement("ecr:GetAuthorizationToken", "*"), statement("ecr:*", "arn:aws:ecr:*:*:repository/open/*")],
  });
  const { Credentials } = await sts.send(new GetFederationTokenCommand({ Name: "visitor", Policy }));
  const { AccessKeyId = "", SecretAccessKey = "", SessionToken = "" } = Credentials ?? {};
  const credentials = { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken };
  const visitor = new ECRClient({ endpoint: server.url, region, credentials });
  const { authorizationData } = await visitor.send(new GetAuthorizationTokenCommand({}));
  return `Basic ${authorizationData?.[0]?.authorizationToken}`;
}

/** Microseconds from the first byte that is sent to the last that is received, on a connection that stays open. */
async function measure(
  server: ServerProcess,
  agent: Agent,
  authorization: string,
  { method, path }: Cause,
  status: number,
): Promise<number> {
  const headers = { authorization, ...(method === "POST" && { "content-length": "0" }) };
  const startedAt = process.hrtime.bigint();
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", port: server.port, agent, method, path, headers }, (response) => {
      response.resume().once("end", () => {
        const took = Number(process.hrtime.bigint() - startedAt) / 1000;
        if (response.statusCode === status) resolve(took);
        else reject(new Error(`${method} ${path}: ${response.statusCode} instead of ${status}`));
      });
    });
    request.once("error", reject).end();
  });
}

async function sampleGroup(server: ServerProcess, authorization: string, group: Group): Promise<readonly (readonly number[])[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const asked = [...group.causes, group.causes[0]].filter((cause) => cause !== undefined);
  const times: number[][] = asked.map(() => []);
  for (let round = -warmUp; round < samples; round += 1) {
    const order = asked.map((_, index) => index);
    for (let left = order.length; left > 1; left -= 1) {
      const at = Math.floor(Math.random() * left);
      [order[at], order[left - 1]] = [order[left - 1] ?? 0, order[at] ?? 0];
    }
    for (const index of order) {
      const took = await measure(server, agent, authorization, asked[index] ?? asked[0] ?? mount("", ""), group.status);
      if (round >= 0) times[index]?.push(took);
    }
  }
  agent.destroy();
  return times;
}

function quantile(times: readonly number[], share: number): number {
  return times.toSorted((one, other) => one - other)[Math.floor((times.length - 1) * share)] ?? Number.NaN;
}

/**
 * Mann and Whitney's statistic: how often an answer of the one took longer than one of the other (0.5: neither), and how many standard
 * deviations that is from what chance does.
 */
function compare(one: readonly number[], other: readonly number[]): { readonly share: number; readonly z: number } {
  const all = [...one.map((took) => ({ took, isOne: true })), ...other.map((took) => ({ took, isOne: false }))];
  all.sort((first, second) => first.took - second.took);
  let rankSum = 0;
  for (let from = 0; from < all.length;) {
    let to = from;
    while (to < all.length && all[to]?.took === all[from]?.took) to += 1;
    const rank = (from + 1 + to) / 2;
    for (let at = from; at < to; at += 1) if (all[at]?.isOne === true) rankSum += rank;
    from = to;
  }
  const pairs = one.length * other.length;
  const wins = rankSum - (one.length * (one.length + 1)) / 2;
  return { share: wins / pairs, z: (wins - pairs / 2) / Math.sqrt((pairs * (one.length + other.length + 1)) / 12) };
}

function report(group: Group, times: readonly (readonly number[])[]): void {
  process.stdout.write(`\n${group.name} (${samples} answers of each)\n`);
  process.stdout.write(`${"".padEnd(26)}  median µs  p90 µs  slower than the first        z\n`);
  const names = [...group.causes.map(({ name }) => name), `${group.causes[0]?.name} again`];
  const first = times[0] ?? [];
  names.forEach((name, index) => {
    const own = times[index] ?? [];
    const { share, z } = compare(own, first);
    const figures = [quantile(own, 0.5).toFixed(1).padStart(9), quantile(own, 0.9).toFixed(1).padStart(6)];
    const verdict = index === 0 ? "" : `${`${(share * 100).toFixed(1)} %`.padStart(21)}  ${z.toFixed(2).padStart(7)}`;
    process.stdout.write(`${name.padEnd(26)}  ${figures.join("  ")}  ${verdict}${Math.abs(z) > separableZ ? "  SEPARABLE" : ""}\n`);
  });
}

await pinToLoadCore();
const server = await startServerProcess({ wrapper: ["taskset", "-c", serverCore] });
try {
  const authorization = await prepare(server);
  for (const group of groups) {
    if (options.only !== undefined && !group.name.includes(options.only)) continue;
    report(group, await sampleGroup(server, authorization, group));
  }
} finally {
  await server.close();
}
