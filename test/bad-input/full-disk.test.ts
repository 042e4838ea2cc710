/** A disk that is full at each step of storing, below the blobs and below the database: the same precise refusal on both planes, nothing changed, and all is well again with room. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { sql } from "kysely";
import { digestOf } from "#oci/digest.ts";
import type { SegmentWriter, StorageDriver } from "#storage/driver.ts";
import { StorageError } from "#storage/driver.ts";
import { makeBlob, makeImage } from "../fixtures/oci-content.ts";
import type { Answer } from "../registry-server.ts";
import { callEcr } from "../signed-call.ts";
import { expectRefusal, startGround } from "./ground.ts";
import type { Ground, Verdict } from "./ground.ts";

let ground: Ground;
/** Where the driver finds no room. */
let full: "openSegment" | "write" | "finish" | "commit" | undefined;

before(async () => void (ground = await startGround({ storage: tightDriver })));
after(() => ground.close());

/** The driver with a disk that is full when the test says so. A write fails after a part of it is on the disk, as real ones do. */
function tightDriver(driver: StorageDriver): StorageDriver {
  const noSpace = (): never => {
    throw new StorageError("no-space", "write failed with ENOSPC");
  };
  return new Proxy(driver, {
    get(target, name) {
      if (name === "openSegment") {
        return async (key: string) => {
          if (full === name) noSpace();
          const writer = await driver.openSegment(key);
          return tightWriter(writer, noSpace);
        };
      }
      if (name === "commit" && full === name) return async () => noSpace();
      const member: unknown = Reflect.get(target, name);
      return typeof member === "function" ? (member.bind(target) as unknown) : member;
    },
  });
}

function tightWriter(writer: SegmentWriter, noSpace: () => never): SegmentWriter {
  return {
    async write(chunk) {
      await writer.write(full === "write" ? chunk.slice(0, chunk.byteLength / 2) : chunk);
      if (full === "write") noSpace();
    },
    finish: async () => (full === "finish" ? noSpace() : await writer.finish()),
    abort: () => writer.abort(),
  };
}

const message = "The registry cannot store more bytes now: its disk is full";
const ofData: Verdict = { status: 507, code: "UNKNOWN", message };
const ofApi: Verdict = { status: 500, code: "ServerException", message };
const bytes = makeBlob(90_000, "full disk").bytes;
const digest = digestOf("sha256", bytes);
const app = { repositoryName: "team/app" };

/** Sends it while the disk is full, and again when there is room. */
async function refusedUntilThereIsRoom(where: typeof full, verdict: Verdict, send: () => Promise<Answer>): Promise<void> {
  full = where;
  try {
    await expectRefusal(ground, { verdict, send });
  } finally {
    full = undefined;
  }
  const answer = await send();
  assert.ok(answer.status < 300, answer.body.toString());
}

describe("no room for the bytes of a blob", () => {
  for (const where of ["openSegment", "write", "finish"] as const) {
    test(`at ${where}`, async () => {
      const append = await ground.openUpload("012");
      await refusedUntilThereIsRoom(where, ofData, () => ground.server.request("PATCH", append.path, { body: bytes }));
      const closing = await ground.openUpload();
      await refusedUntilThereIsRoom(where, ofData, () => ground.server.request("PUT", `${closing.path}?digest=${digest}`, { body: bytes }));
      const single = `/v2/team/app/blobs/uploads/?digest=${digest}`;
      await refusedUntilThereIsRoom(where, ofData, () => ground.server.request("POST", single, { body: bytes }));
      const { uploadId } = await ground.openUpload();
      const part = { ...app, uploadId, partFirstByte: 0, partLastByte: 2, layerPartBlob: "YWJj" };
      await refusedUntilThereIsRoom(where, ofApi, () => callEcr(ground.server, "UploadLayerPart", part));
    });
  }
  test("at commit", async () => {
    const whole = makeBlob(50_000, "full at commit");
    const patched = await ground.openUpload(whole.bytes.toString("latin1").slice(0, 0));
    assert.equal((await ground.server.request("PATCH", patched.path, { body: whole.bytes })).status, 202);
    await refusedUntilThereIsRoom("commit", ofData, () => ground.server.request("PUT", `${patched.path}?digest=${whole.digest}`));
    const single = makeBlob(50_000, "full at commit of a single POST");
    const path = `/v2/team/app/blobs/uploads/?digest=${single.digest}`;
    await refusedUntilThereIsRoom("commit", ofData, () => ground.server.request("POST", path, { body: single.bytes }));
    const part = Buffer.from("full at the end of parts");
    const { uploadId } = await ground.openUpload(part.toString());
    const complete = { ...app, uploadId, layerDigests: [digestOf("sha256", part)] };
    await refusedUntilThereIsRoom("commit", ofApi, () => callEcr(ground.server, "CompleteLayerUpload", complete));
  });
});

describe("no room for facts", () => {
  /** SQLite's own limit; what it says then is what it says when a write to the file fails with ENOSPC. */
  async function limitPages(pages: number): Promise<void> {
    await ground.server.core.metadata.transaction(async (tx) => void (await sql.raw(`pragma max_page_count = ${pages}`).execute(tx)));
  }
  /** Fills the pages that are there to the last. */
  async function fillDatabase(): Promise<void> {
    await limitPages(1);
    for (let size = 65_536; size >= 1; size = Math.floor(size / 2)) {
      for (;;) {
        const filled = await ground.server.core.metadata
          .transaction(
            async (tx) =>
              void (await sql`insert into instance (key, value) values (${`fill ${size} ${Math.random()}`}, ${"x".repeat(size)})`.execute(
                tx,
              )),
          )
          .then(
            () => true,
            () => false,
          );
        if (!filled) break;
      }
    }
  }
  async function emptyDatabase(): Promise<void> {
    await limitPages(1_000_000);
    await ground.server.core.metadata.transaction(async (tx) => void (await sql`delete from instance where key like 'fill %'`.execute(tx)));
  }

  const roomy = (by: string): ReturnType<typeof makeImage> =>
    makeImage({ seed: "no room", annotations: { by, long: "x".repeat(100_000) } });
  const [byApi, byPath] = [roomy("PutImage"), roomy("PUT")];
  const requests: Readonly<Record<string, readonly [Verdict, () => Promise<Answer>]>> = {
    CreateRepository: [
      ofApi,
      () =>
        callEcr(ground.server, "CreateRepository", {
          repositoryName: `team/${"x".repeat(250)}`,
          tags: Array.from({ length: 40 }, (_, index) => ({ Key: `${index}`, Value: "x".repeat(250) })),
        }),
    ],
    PutImage: [
      ofApi,
      () => callEcr(ground.server, "PutImage", { repositoryName: "team/app", imageManifest: byApi.bytes.toString(), imageTag: "roomy" }),
    ],
    "PUT of a manifest": [
      ofData,
      () =>
        ground.server.request("PUT", "/v2/team/app/manifests/roomy", { body: byPath.bytes, headers: { "Content-Type": byPath.mediaType } }),
    ],
  };
  before(async () => {
    for (const blob of [byPath.config, ...byPath.layers])
      await ground.server.request("POST", `/v2/team/app/blobs/uploads/?digest=${blob.digest}`, { body: blob.bytes });
  });
  for (const [what, [verdict, send]] of Object.entries(requests)) {
    test(what, async () => {
      await fillDatabase();
      try {
        await expectRefusal(ground, { verdict, send });
      } finally {
        await emptyDatabase();
      }
      const answer = await send();
      assert.ok(answer.status < 300, answer.body.toString());
    });
  }
  test("an upload: what was not stored leaves nothing, and what was can be ended when there is room", async () => {
    const { path } = await ground.openUpload("012345");
    await fillDatabase();
    try {
      const blob = makeBlob(1_000, "no room for its row");
      const answers: number[] = [];
      const before = await ground.facts();
      // Some rows still fit into pages that are not quite full; the first that does not is refused like all others.
      for (let count = 0; count < 200 && !answers.includes(507); count++)
        answers.push((await ground.server.request("POST", "/v2/team/app/blobs/uploads/")).status);
      assert.ok(answers.includes(507), answers.join());
      const { status } = await ground.server.request("POST", `/v2/team/app/blobs/uploads/?digest=${blob.digest}`, { body: blob.bytes });
      assert.equal(status, 507);
      assert.deepEqual((await ground.facts())["files"], before["files"]);
      const end = await ground.server.request("PUT", `${path}?digest=${digestOf("sha256", Buffer.from("012345"))}`);
      assert.ok(end.status === 507 || end.status === 201, `${end.status} ${end.message}`);
    } finally {
      await emptyDatabase();
    }
    const end = await ground.server.request("PUT", `${path}?digest=${digestOf("sha256", Buffer.from("012345"))}`);
    assert.ok(end.status === 201 || end.status === 404, `${end.status} ${end.message}`);
    assert.equal((await ground.server.request("HEAD", `/v2/team/app/blobs/${digestOf("sha256", Buffer.from("012345"))}`)).status, 200);
    assert.deepEqual(ground.server.errors, []);
  });
});
