/** Bodies that break off, are shorter or longer than announced, or are chunked wrongly: nothing of them stays, and the session goes on where it stood. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { digestOf } from "#oci/digest.ts";
import { makeBlob } from "../fixtures/oci-content.ts";
import { signedEcrHeaders } from "../signed-call.ts";
import { expectAlive, settlesAt, startGround, withoutUpload } from "./ground.ts";
import type { Ground } from "./ground.ts";
import { Line, head } from "./line.ts";

let ground: Ground;
before(async () => void (ground = await startGround()));
after(() => ground.close());

const port = (): number => Number(new URL(ground.server.url).port);
const bytes = makeBlob(100_000, "aborted").bytes;
const digest = digestOf("sha256", bytes);

/** A request that would be good if its body came: its head without the length, and the body. */
interface GoodRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** The session that it belongs to. */
  readonly uploadId?: string;
}

type Prepare = () => Promise<GoodRequest>;

function ofDataPlane(method: string, target: string, body: Buffer, more: Readonly<Record<string, string>> = {}): GoodRequest {
  return { method, target, headers: { Host: ground.server.host, Authorization: ground.server.authorization(), ...more }, body };
}

function ofApi(operation: string, input: object, uploadId?: string): GoodRequest {
  const body = Buffer.from(JSON.stringify(input));
  const headers = signedEcrHeaders(ground.server, operation, body);
  return { method: "POST", target: "/", headers, body, ...(uploadId !== undefined && { uploadId }) };
}

async function ofSession(make: (path: string) => GoodRequest): Promise<GoodRequest> {
  const { path, uploadId } = await ground.openUpload("012");
  return { ...make(path), uploadId };
}

const requests: Readonly<Record<string, Prepare>> = {
  PATCH: () => ofSession((path) => ofDataPlane("PATCH", path, bytes)),
  "PATCH with a range": () => ofSession((path) => ofDataPlane("PATCH", path, bytes, { "Content-Range": `3-${bytes.length + 2}` })),
  PUT: () =>
    ofSession((path) => ofDataPlane("PUT", `${path}?digest=${digestOf("sha256", Buffer.concat([Buffer.from("012"), bytes]))}`, bytes)),
  "a single POST": async () => ofDataPlane("POST", `/v2/team/app/blobs/uploads/?digest=${digest}`, bytes),
  "a manifest": async () => ofDataPlane("PUT", "/v2/team/other/manifests/v1", Buffer.from(`{"schemaVersion":2,${" ".repeat(50_000)}}`)),
  UploadLayerPart: async () => {
    const { uploadId } = await ground.openUpload();
    const part = { partFirstByte: 0, partLastByte: bytes.length - 1, layerPartBlob: bytes.toString("base64") };
    return ofApi("UploadLayerPart", { repositoryName: "team/app", uploadId, ...part }, uploadId);
  },
  PutImage: async () => ofApi("PutImage", { repositoryName: "team/other", imageManifest: " ".repeat(50_000), imageTag: "v1" }),
  CreateRepository: async () =>
    ofApi("CreateRepository", {
      repositoryName: "team/new",
      tags: Array.from({ length: 40 }, (_, key) => ({ Key: `${key}`, Value: "x".repeat(200) })),
    }),
};

/** How a body can break off. The client is gone or silent afterwards. */
const breaks: Readonly<Record<string, (line: Line, request: GoodRequest) => Promise<void>>> = {
  "before its first byte": async (line, { method, target, headers, body }) => {
    await line.say(head(method, target, { ...headers, "Content-Length": String(body.length) }));
    await sleep(20);
    line.socket.destroy();
  },
  "in the middle, by a close": async (line, { method, target, headers, body }) => {
    await line.say(head(method, target, { ...headers, "Content-Length": String(body.length) }), body.subarray(0, body.length / 2));
    await sleep(20);
    line.socket.destroy();
  },
  "in the middle, by a reset": async (line, { method, target, headers, body }) => {
    await line.say(head(method, target, { ...headers, "Content-Length": String(body.length) }), body.subarray(0, body.length / 2));
    await sleep(20);
    line.socket.resetAndDestroy();
  },
  "one byte before its end, by a half close": async (line, { method, target, headers, body }) => {
    await line.say(head(method, target, { ...headers, "Content-Length": String(body.length) }), body.subarray(0, -1));
    line.socket.end();
  },
  "because it announces more than it has": async (line, { method, target, headers, body }) => {
    await line.say(head(method, target, { ...headers, "Content-Length": String(body.length + 1) }), body);
    line.socket.end();
  },
  "inside a chunk": async (line, { method, target, headers, body }) => {
    await line.say(
      head(method, target, { ...headers, "Transfer-Encoding": "chunked" }),
      `${body.length.toString(16)}\r\n`,
      body.subarray(0, 1_000),
    );
    await sleep(20);
    line.socket.destroy();
  },
  "before its last chunk": async (line, { method, target, headers, body }) => {
    await line.say(head(method, target, { ...headers, "Transfer-Encoding": "chunked" }), `${body.length.toString(16)}\r\n`, body, "\r\n");
    await sleep(20);
    line.socket.end();
  },
  "with a chunk size that is no number": async (line, { method, target, headers, body }) => {
    await line.say(
      head(method, target, { ...headers, "Transfer-Encoding": "chunked" }),
      "1000\r\n",
      body.subarray(0, 0x1000),
      "\r\nxyz\r\n",
    );
    await line.end();
  },
  "with a chunk longer than its size": async (line, { method, target, headers, body }) => {
    await line.say(
      head(method, target, { ...headers, "Transfer-Encoding": "chunked" }),
      "10\r\n",
      body.subarray(0, 0x1000),
      "\r\n0\r\n\r\n",
    );
    await line.end();
  },
  "with a chunk size beyond all numbers": async (line, { method, target, headers, body }) => {
    await line.say(head(method, target, { ...headers, "Transfer-Encoding": "chunked" }), "fffffffffffffffff\r\n", body);
    await line.end();
  },
};

for (const [what, prepare] of Object.entries(requests)) {
  describe(`${what} breaks off`, () => {
    for (const [how, breakOff] of Object.entries(breaks)) {
      test(how, async () => {
        const request = await prepare();
        const before = await ground.facts();
        const line = new Line(port());
        await breakOff(line, request);
        await line.end();
        // Who can still be told is told that it was bad; nobody is told that it was good.
        assert.ok(
          line.statuses.every((status) => status >= 400 && status < 500),
          line.text,
        );
        await settlesAt(ground, before);
        await expectAlive(ground);
        if (request.uploadId !== undefined) await expectSessionGoesOn(request.uploadId);
      });
    }
  });
}

/** Appends three bytes, when the append that broke off has let go of the session; answers what the session holds then. */
async function appendWhenFree(path: string): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    const answer = await ground.server.request("PATCH", path, { body: "345" });
    if (answer.status === 429 && attempt < 50) await sleep(20);
    else {
      assert.equal(answer.status, 202, answer.message);
      return String(answer.headers.range);
    }
  }
}

/** Nothing of what broke off counts, and the session takes the next bytes. */
async function expectSessionGoesOn(uploadId: string): Promise<void> {
  const path = `/v2/team/app/blobs/uploads/${uploadId}`;
  const range = String((await ground.server.request("GET", path)).headers.range);
  assert.match(range, /^0-[02]$/);
  assert.equal(await appendWhenFree(path), range === "0-2" ? "0-5" : "0-2");
}

describe("a body that is longer than it announces", () => {
  const shorter = 1_000;
  // Node answers the rest with 400 and closes at once, which may overtake the answer to the request itself.
  test("counts as far as it was announced or not at all, and the rest is no request", async () => {
    const { method, target, headers, body, uploadId = "" } = await ofSession((path) => ofDataPlane("PATCH", path, bytes));
    const before = await ground.facts();
    const line = new Line(port());
    await line.say(head(method, target, { ...headers, "Content-Length": String(shorter) }), body);
    await line.end();
    assert.ok(
      line.statuses.every((status) => status === 202 || status === 400),
      line.text,
    );
    assert.match(await appendWhenFree(target), /^0-(?:1005|5)$/);
    assert.deepEqual(withoutUpload(await ground.facts(), uploadId), withoutUpload(before, uploadId));
    await expectAlive(ground);
  });
  for (const what of ["a single POST", "UploadLayerPart", "PutImage", "CreateRepository"]) {
    test(`${what}: what was announced is not what it promises`, async () => {
      const prepare = requests[what];
      assert.ok(prepare !== undefined);
      const { method, target, headers, body } = await prepare();
      const before = await ground.facts();
      const line = new Line(port());
      await line.say(head(method, target, { ...headers, "Content-Length": String(shorter) }), body.subarray(0, shorter));
      await line.until(what === "a single POST" ? /DIGEST_INVALID/ : /InvalidSignatureException/);
      await line.say(body.subarray(shorter));
      await line.end();
      assert.deepEqual(line.statuses, [400, 400]);
      await settlesAt(ground, before);
      await expectAlive(ground);
    });
  }
});

test("a client that goes away twenty times in a row leaves no segment behind", async () => {
  const { path } = await ground.openUpload("012");
  const before = await ground.facts();
  for (let round = 0; round < 20; round++) {
    const line = new Line(port());
    const { headers } = ofDataPlane("PATCH", path, bytes);
    await line.say(head("PATCH", path, { ...headers, "Content-Length": String(bytes.length) }), bytes.subarray(0, 10_000));
    if (round % 2 === 0) await sleep(5);
    line.socket.resetAndDestroy();
  }
  await settlesAt(ground, before);
  await expectAlive(ground);
});
