/** Long input made to be slow: whatever a header, a path or a member holds, it is answered in a blink. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Answer } from "../registry-server.ts";
import { callEcr } from "../signed-call.ts";
import { expectAlive, startGround } from "./ground.ts";
import type { Ground } from "./ground.ts";

let ground: Ground;
before(async () => void (ground = await startGround()));
after(() => ground.close());

/** Linear work on input of this size takes a few milliseconds, on a machine that is busy a hundred times that; what backtracks takes minutes. */
const blinkMs = 5_000;
const sizeBytes = 12_000;

async function quick(what: string, send: () => Promise<Answer>): Promise<void> {
  const before = await ground.facts();
  const startedAt = performance.now();
  const answer = await send();
  const tookMs = performance.now() - startedAt;
  assert.ok(answer.status < 500, `${what}: ${answer.status}`);
  assert.ok(tookMs < blinkMs, `${what} took ${tookMs} ms`);
  assert.deepEqual(await ground.facts(), before, what);
}

/** Patterns over which careless expressions stumble. */
const units = [
  "a",
  " ",
  "\t ",
  "a ",
  "-",
  "__",
  "a-",
  ",",
  ", ",
  ";",
  "; q",
  "q=0",
  "0",
  "0,",
  "0-",
  "-0,",
  "0-1,",
  '"',
  '",',
  '"a",',
  "W/",
  'W/"a",',
  "*",
  "*,",
  "=",
  "a=b,",
  "/",
  "a/",
  "%",
  ".",
  ":",
  "\\",
  "(",
  "+",
];

const headers = [
  "Accept",
  "Accept-Encoding",
  "Authorization",
  "Content-Range",
  "Content-Type",
  "Cookie",
  "Host",
  "If-None-Match",
  "If-Range",
  "Origin",
  "Range",
  "User-Agent",
  "X-Amz-Content-Sha256",
  "X-Amz-Date",
  "X-Amz-Security-Token",
  "X-Forwarded-For",
  "X-Forwarded-Host",
];

for (const header of headers) {
  test(header, async () => {
    const { path } = await ground.openUpload();
    const [layer] = ground.image.layers;
    for (const unit of units) {
      // A last letter that fits nothing is what makes an expression try again.
      const value = `x${unit.repeat(sizeBytes / unit.length)}!`.slice(unit === "a" ? 1 : 0);
      const options = header === "Authorization" ? { authorization: `Basic ${value}` } : { headers: { [header]: value } };
      await quick(`GET with ${unit}`, () => ground.server.request("GET", "/v2/team/app/manifests/v1", options));
      if (["Range", "If-Range", "If-None-Match"].includes(header)) {
        const both = { headers: { Range: "bytes=0-1", ...options.headers } };
        await quick(`blob with ${unit}`, () => ground.server.request("GET", `/v2/team/app/blobs/${layer?.digest}`, both));
        const ranges = { headers: { [header]: `bytes=${unit.repeat(sizeBytes / unit.length)}` } };
        await quick(`blob with bytes=${unit}`, () => ground.server.request("GET", `/v2/team/app/blobs/${layer?.digest}`, ranges));
      }
      if (header === "Content-Range")
        await quick(`PATCH with ${unit}`, () => ground.server.request("PATCH", path, { ...options, body: "" }).then((answer) => answer));
      if (header.startsWith("X-Amz") || header === "Authorization" || header === "Host") {
        const tamper = (sent: Record<string, string>): void =>
          void (sent[header] = header === "Authorization" ? `AWS4-HMAC-SHA256 ${value}` : value);
        await quick(`API with ${unit}`, () => callEcr(ground.server, "ListImages", { repositoryName: "team/app" }, { tamper }));
      }
    }
    await expectAlive(ground);
  });
}

describe("what the model's patterns are asked", () => {
  const members: readonly (readonly [string, (text: string) => object])[] = [
    ["CreateRepository", (text) => ({ repositoryName: text })],
    ["PutImage", (text) => ({ repositoryName: "team/app", imageManifest: "{}", imageTag: text })],
    ["PutImage", (text) => ({ repositoryName: "team/app", imageManifest: "{}", imageDigest: text })],
    ["CompleteLayerUpload", (text) => ({ repositoryName: "team/app", uploadId: text, layerDigests: ["sha256:aa"] })],
    ["GetDownloadUrlForLayer", (text) => ({ repositoryName: "team/app", layerDigest: text })],
    ["ListTagsForResource", (text) => ({ resourceArn: `arn:aws:ecr:eu-central-1:123456789012:repository/${text}` })],
    ["ListImages", (text) => ({ repositoryName: "team/app", nextToken: text })],
    [
      "PutImageTagMutability",
      (text) => ({
        repositoryName: "team/app",
        imageTagMutability: "IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters: [{ filterType: "WILDCARD", filter: text }],
      }),
    ],
    [
      "TagResource",
      (text) => ({ resourceArn: "arn:aws:ecr:eu-central-1:123456789012:repository/team/app", tags: [{ Key: text, Value: text }] }),
    ],
  ];
  for (const [operation, input] of members) {
    test(`${operation}: ${Object.keys(input("")).join(", ")}`, async () => {
      for (const unit of units) {
        for (const length of [255, 500_000]) {
          const text = `a${unit.repeat(length / unit.length)}!`;
          await quick(`${operation} with ${length} of ${unit}`, () => callEcr(ground.server, operation, input(text)));
        }
      }
    });
  }
  test("paths and queries of the data plane", async () => {
    for (const unit of units) {
      const text = encodeURIComponent(unit.repeat(3_000 / unit.length))
        .slice(0, 9_000)
        .replace(/%.?$/, "");
      for (const path of [
        `/v2/${text}/tags/list`,
        `/v2/team/app/manifests/${text}`,
        `/v2/team/app/blobs/${text}`,
        `/v2/team/app/tags/list?last=${text}`,
        `/v2/team/app/tags/list?n=${text}`,
        `/v2/_catalog?${text}`,
        `/download/${text}`,
      ]) {
        await quick(path.slice(0, 60), () => ground.server.request("GET", path));
      }
    }
  });
});
