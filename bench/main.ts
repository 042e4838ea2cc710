/**
 * `npm run bench`: starts ours, Debian's docker-registry and nginx side by side on this machine and prints ratios.
 * `npm run bench -- --only manifest --rounds 5 --tags 100000 --json results.json`
 * Absolute figures depend on the machine and on what else it does; only ratios from the same run are claimed.
 */
import { createHash } from "node:crypto";
import { createReadStream, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync, writeSync, closeSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { CreateRepositoryCommand } from "@aws-sdk/client-ecr";
import { createEcrClient } from "../test/aws-client.ts";
import { mustRun, needs } from "../test/clients/tool.ts";
import { cases } from "./cases.ts";
import type { Case, Prepared } from "./cases.ts";
import { makeFile, pushManifest, pushSmallBlob } from "./content.ts";
import type { BenchFile } from "./content.ts";
import { pinToLoadCore, uploadRate } from "./load.ts";
import { loadCore, repository, serverCore, startDockerRegistry, startNginx, startSupercargo } from "./peers.ts";
import type { Peer } from "./peers.ts";
import { fillTags } from "./tags.ts";

const { values: options } = parseArgs({
  options: {
    only: { type: "string" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "4" },
    tags: { type: "string", default: "100000" },
    json: { type: "string" },
  },
});
const rounds = Number(options.rounds);
const chosen = cases.filter(({ name }) => options.only === undefined || name.includes(options.only));

function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? Number.NaN) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/**
 * Changes the first bytes of a large file, so that no peer has seen it, and hashes it again. The disk is quiet afterwards: what was written
 * before is not written back while a peer is timed that syncs.
 */
async function freshen(base: BenchFile, mark: number): Promise<BenchFile> {
  const descriptor = openSync(base.file, "r+");
  writeSync(descriptor, Buffer.from(`${mark}-${performance.now()}`), 0, undefined, 0);
  closeSync(descriptor);
  const hash = createHash("sha256");
  await pipeline(createReadStream(base.file, { highWaterMark: 1 << 20 }), hash);
  await mustRun(["sync"], { timeoutMs: 600_000 });
  return { ...base, digest: `sha256:${hash.digest("hex")}` };
}

async function prepare(peers: readonly Peer[], folder: string): Promise<Prepared> {
  const wanted = (part: string): boolean => chosen.some(({ name }) => name.includes(part));
  const small = makeFile(join(folder, "small"), 1);
  const medium = makeFile(join(folder, "medium"), wanted("100 MB") ? 100 : 1);
  const large = Array.from({ length: 8 }, (_, index) => makeFile(join(folder, `large-${index}`), wanted("8 x 1 GB") ? 1000 : 1));
  const fresh = makeFile(join(folder, "fresh"), wanted("push 1 GB") ? 1000 : 1);
  const tagCounts = { few: 1000, many: Number(options.tags) };
  const victims = new Map<string, string[]>();
  let manifestDigest = "";
  for (const peer of peers) {
    const bytes = Buffer.from("{}");
    const config = { digest: await pushSmallBlob(peer, bytes), sizeBytes: bytes.length };
    manifestDigest = await pushManifest(peer, config, "bench", ["v1"]);
    for (const file of [small, medium, ...large]) await uploadRate(peer, repository, file.file, file.digest, file.sizeBytes);
    if (!wanted("tags")) continue;
    await fillTags(peer, "bench/tags-few", tagCounts.few);
    victims.set(peer.name, [await fillTags(peer, "bench/tags-many", tagCounts.many)]);
    for (let round = 1; round < rounds + 1; round++) {
      const again = { digest: await pushSmallBlob(peer, bytes, "bench/tags-many"), sizeBytes: bytes.length };
      victims.get(peer.name)?.push(await pushManifest(peer, again, `victim ${round}`, [`victim-${round}`], "bench/tags-many"));
    }
  }
  let marks = 0;
  return {
    manifestDigest,
    small,
    medium,
    large,
    freshFile: () => freshen(fresh, marks++),
    secondsPerRun: Number(options.seconds),
    tagCounts,
    victims,
  };
}

interface Row {
  readonly name: string;
  readonly unit: string;
  readonly target: string | undefined;
  readonly figures: Record<string, number>;
  readonly ratios: Record<string, number>;
}

async function measure(entry: Case, peers: readonly Peer[], prepared: Prepared): Promise<Row> {
  const figures = new Map<string, number[]>();
  const taking = peers.filter((peer) => entry.peers.includes(peer.name));
  const total = entry.rounds ?? rounds;
  for (let round = total === 1 ? 1 : 0; round <= total; round++) {
    // Alternate who goes first, so that a drifting machine favours nobody; round 0 warms up and does not count.
    for (const peer of round % 2 === 0 ? taking : taking.toReversed()) {
      const figure = await entry.run(peer, prepared);
      if (round > 0) figures.set(peer.name, [...(figures.get(peer.name) ?? []), figure]);
    }
  }
  return rowOf(entry, Object.fromEntries([...figures].map(([name, list]) => [name, median(list)])));
}

function rowOf(entry: Pick<Case, "name" | "unit" | "better" | "target">, figures: Record<string, number>): Row {
  const ours = figures["supercargo"] ?? Number.NaN;
  const ratios = Object.fromEntries(
    Object.entries(figures)
      .filter(([name]) => name !== "supercargo")
      .map(([name, theirs]) => [name, entry.better === "higher" ? ours / theirs : theirs / ours]),
  );
  return { name: entry.name, unit: entry.unit, target: entry.target, figures, ratios };
}

function shown(figure: number | undefined): string {
  return figure === undefined ? "" : figure >= 100 ? figure.toFixed(0) : figure.toPrecision(3);
}

function printTable(rows: readonly Row[]): void {
  const lines = [["case", "ours ÷ docker-registry", "target", "ours ÷ nginx", "ours", "docker-registry", "nginx", "unit"]];
  for (const { name, unit, target, figures, ratios } of rows) {
    const ratio = (peer: string): string => (ratios[peer] === undefined ? "" : `${shown(ratios[peer])}×`);
    lines.push([
      name,
      ratio("docker-registry"),
      target ?? "",
      ratio("nginx"),
      shown(figures["supercargo"]),
      shown(figures["docker-registry"]),
      shown(figures["nginx"]),
      unit,
    ]);
  }
  process.stdout.write(
    `${lines.map((line, index) => `| ${line.join(" | ")} |${index === 0 ? `\n|${line.map(() => "---").join("|")}|` : ""}`).join("\n")}\n`,
  );
}

/** The biggest stored file of each size belongs to nobody's format: nginx serves the very files that docker-registry wrote. */
function blobFiles(peer: Peer): Record<string, string> {
  const blobs = join(peer.folder, "data/docker/registry/v2/blobs/sha256");
  return Object.fromEntries(
    readdirSync(blobs).flatMap((part) => readdirSync(join(blobs, part)).map((hex) => [hex, join(blobs, part, hex, "data")])),
  );
}

const missing = needs("wrk", "hey", "curl", "docker-registry", "nginx", "taskset");
if (missing.skip !== undefined) {
  process.stdout.write(`bench skipped: ${missing.skip}\n`);
} else {
  await pinToLoadCore();
  const folder = mkdtempSync(join(tmpdir(), "supercargo-bench-"));
  mkdirSync(join(folder, "files"));
  const peers: Peer[] = [];
  try {
    const supercargo = await startSupercargo(join(folder, "supercargo"));
    peers.push(supercargo);
    const client = createEcrClient(supercargo.url);
    for (const name of ["bench/small", "bench/tags-few", "bench/tags-many"])
      await client.send(new CreateRepositoryCommand({ repositoryName: name }));
    const registry = await startDockerRegistry(join(folder, "docker-registry"));
    peers.push(registry);
    const idle = Object.fromEntries(peers.map((peer) => [peer.name, peer.memory().residentBytes / 1e6]));
    process.stdout.write(
      `servers on core ${serverCore}, load on core ${loadCore} of ${cpus().length} (${cpus()[0]?.model}); ours checks a token on every request, docker-registry and nginx check nobody; ${rounds} rounds after one warm-up, medians\n\n`,
    );
    const prepared = await prepare(peers, join(folder, "files"));
    peers.push(await startNginx(join(folder, "nginx"), blobFiles(registry)));
    const rows: Row[] = [];
    for (const entry of chosen) {
      process.stderr.write(`${entry.name} …\n`);
      rows.push(await measure(entry, peers, prepared));
    }
    const figuresOf = (figure: (peer: Peer) => number): Record<string, number> =>
      Object.fromEntries([supercargo, registry].map((peer) => [peer.name, figure(peer)]));
    rows.push(
      rowOf(
        { name: "start to ready", unit: "ms", better: "lower" },
        figuresOf((peer) => peer.startMs),
      ),
      rowOf({ name: "idle memory", unit: "MB", better: "lower" }, idle),
      rowOf(
        { name: "peak memory of this run", unit: "MB", better: "lower" },
        figuresOf((peer) => peer.memory().peakBytes / 1e6),
      ),
    );
    printTable(rows);
    if (options.json !== undefined)
      writeFileSync(
        options.json,
        JSON.stringify({ rounds, seconds: Number(options.seconds), tags: Number(options.tags), cpu: cpus()[0]?.model, rows }, null, 2),
      );
  } finally {
    for (const peer of peers) await peer.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
