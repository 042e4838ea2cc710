/** What is measured. Each case gives one figure for each peer; ratios are made from medians over alternating rounds. */
import { randomBytes } from "node:crypto";
import { pushManifest, pushSmallBlob } from "./content.ts";
import type { BenchFile } from "./content.ts";
import { downloadRate, headRate, requestRate, send, uploadRate } from "./load.ts";
import { repository } from "./peers.ts";
import type { Peer } from "./peers.ts";
import { tagName } from "./tags.ts";

/** What the cases need to be there. */
export interface Prepared {
  /** Digest of the manifest behind tag `v1`. */
  readonly manifestDigest: string;
  readonly small: BenchFile;
  readonly medium: BenchFile;
  readonly large: readonly BenchFile[];
  /** A file of 1 GB that no peer holds yet, made anew for each push by changing its first bytes. */
  readonly freshFile: () => Promise<BenchFile>;
  readonly secondsPerRun: number;
  readonly tagCounts: { readonly few: number; readonly many: number };
  /** Digests of manifests to delete in the repository with many tags, one a round. */
  readonly victims: ReadonlyMap<string, string[]>;
}

/** One measurement. */
export interface Case {
  readonly name: string;
  readonly unit: "requests/s" | "MB/s" | "ms" | "s" | "MB";
  readonly better: "higher" | "lower";
  /** The ratio to docker-registry that is asked of us, where one is. */
  readonly target?: string;
  readonly peers: readonly Peer["name"][];
  readonly rounds?: number;
  run(peer: Peer, prepared: Prepared): Promise<number>;
}

const registries: readonly Peer["name"][] = ["supercargo", "docker-registry"];
const everyone: readonly Peer["name"][] = [...registries, "nginx"];

function blobPath(peer: Peer, file: BenchFile): string {
  return peer.name === "nginx" ? `/${file.digest.slice("sha256:".length)}` : `/v2/${repository}/blobs/${file.digest}`;
}

async function timedMs(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** Median of several timed requests for one page. */
async function pageMs(peer: Peer, path: string): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < 15; index++) {
    times.push(
      await timedMs(async () => {
        const answer = await send(peer, "GET", path);
        if (answer.status !== 200) throw new Error(`${peer.name} ${path}: ${answer.status}`);
      }),
    );
  }
  return times.toSorted((a, b) => a - b)[7] ?? Number.NaN;
}

const manifestCases: Case[] = [1, 16, 128].flatMap((connections) => [
  {
    name: `manifest GET by tag, ${connections} connections`,
    unit: "requests/s",
    better: "higher",
    target: "≥ 12",
    peers: registries,
    run: (peer, { secondsPerRun }) => requestRate(peer, `/v2/${repository}/manifests/v1`, connections, secondsPerRun),
  } as const,
  {
    name: `manifest GET by digest, ${connections} connections`,
    unit: "requests/s",
    better: "higher",
    peers: registries,
    run: (peer, { secondsPerRun, manifestDigest }) =>
      requestRate(peer, `/v2/${repository}/manifests/${manifestDigest}`, connections, secondsPerRun),
  } as const,
]);

/** All cases, in the order of the table. */
export const cases: readonly Case[] = [
  ...manifestCases,
  {
    name: "manifest HEAD by tag, 16 connections",
    unit: "requests/s",
    better: "higher",
    peers: registries,
    run: (peer, { secondsPerRun }) => headRate(peer, `/v2/${repository}/manifests/v1`, 16, secondsPerRun),
  },
  {
    name: "blob GET 1 MB, 16 connections",
    unit: "requests/s",
    better: "higher",
    peers: everyone,
    run: (peer, { small, secondsPerRun }) => requestRate(peer, blobPath(peer, small), 16, secondsPerRun),
  },
  {
    name: "blob GET 100 MB",
    unit: "MB/s",
    better: "higher",
    peers: everyone,
    run: (peer, { medium }) => downloadRate(peer, [blobPath(peer, medium)], medium.sizeBytes),
  },
  {
    name: "blob GET 8 x 1 GB at once",
    unit: "MB/s",
    better: "higher",
    target: "≥ 0.9",
    peers: everyone,
    run: (peer, { large }) =>
      downloadRate(
        peer,
        large.map((file) => blobPath(peer, file)),
        large[0]?.sizeBytes ?? 0,
      ),
  },
  {
    name: "blob push 1 GB",
    unit: "MB/s",
    better: "higher",
    target: "≥ 2.5",
    peers: registries,
    async run(peer, { freshFile }) {
      const { file, digest, sizeBytes } = await freshFile();
      return uploadRate(peer, repository, file, digest, sizeBytes);
    },
  },
  {
    name: "1,000 small pushes (blob and manifest)",
    unit: "s",
    better: "lower",
    peers: registries,
    rounds: 1,
    run: async (peer) =>
      (await timedMs(async () => {
        let next = 0;
        const worker = async (): Promise<void> => {
          while (next < 1000) {
            const number = next++;
            const bytes = randomBytes(4096);
            await pushManifest(
              peer,
              { digest: await pushSmallBlob(peer, bytes, "bench/small"), sizeBytes: bytes.length },
              String(number),
              [`t${number}`],
              "bench/small",
            );
          }
        };
        await Promise.all(Array.from({ length: 8 }, worker));
      })) / 1000,
  },
  {
    name: "tags/list first page of 100, few tags",
    unit: "ms",
    better: "lower",
    peers: registries,
    run: (peer) => pageMs(peer, "/v2/bench/tags-few/tags/list?n=100"),
  },
  {
    name: "tags/list first page of 100, many tags",
    unit: "ms",
    better: "lower",
    peers: registries,
    run: (peer) => pageMs(peer, "/v2/bench/tags-many/tags/list?n=100"),
  },
  {
    name: "tags/list last page of 100, few tags",
    unit: "ms",
    better: "lower",
    peers: registries,
    run: (peer, { tagCounts }) => pageMs(peer, `/v2/bench/tags-few/tags/list?n=100&last=${tagName(tagCounts.few - 101)}`),
  },
  {
    name: "tags/list last page of 100, many tags",
    unit: "ms",
    better: "lower",
    peers: registries,
    run: (peer, { tagCounts }) => pageMs(peer, `/v2/bench/tags-many/tags/list?n=100&last=${tagName(tagCounts.many - 101)}`),
  },
  {
    name: "delete of one manifest, many tags",
    unit: "ms",
    better: "lower",
    target: "≥ 100",
    peers: registries,
    run: (peer, { victims }) => {
      const digest = victims.get(peer.name)?.pop() ?? "";
      return timedMs(async () => {
        const answer = await send(peer, "DELETE", `/v2/bench/tags-many/manifests/${digest}`);
        if (answer.status !== 202) throw new Error(`${peer.name}: DELETE answered ${answer.status} ${answer.body.toString()}`);
      });
    },
  },
];
