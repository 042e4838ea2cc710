/** Upload sessions and mounts in the hands of those they do not belong to, and of many at once. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createUploadSession, deleteUploadSession } from "#metadata/upload-sessions.ts";
import { digestOf } from "#oci/digest.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";
import { createRepository } from "#registry/repository.ts";
import { until } from "#std/testing/until.ts";
import { makeBlob } from "../fixtures/oci-content.ts";
import type { Answer, RequestOptions } from "../registry-server.ts";
import { callEcr } from "../signed-call.ts";
import { expectAlive, expectRefusal, startGround } from "./ground.ts";
import type { Facts, Ground } from "./ground.ts";
import { Line, head } from "./line.ts";

let ground: Ground;
before(async () => void (ground = await startGround()));
after(() => ground.close());

const guessed = "00000000-0000-4000-8000-000000000000";
const uploads = (name: string, id = ""): string => `/v2/${name}/blobs/uploads/${id}`;
const digest012345 = digestOf("sha256", Buffer.from("012345"));

interface Where {
  readonly name?: string;
  readonly options?: RequestOptions;
  readonly region?: string;
}

/** Tries everything that can be done with a session; each time the answer is the one for an id that never was. */
async function refusedLikeGuessed(
  uploadId: string,
  { name = "team/app", options = {}, region = ground.server.region }: Where = {},
): Promise<void> {
  const text = (id: string): string =>
    `The upload with id '${id}' does not exist in the repository with name '${name}' in registry with id '123456789012'`;
  const tries: readonly (readonly [string, string, RequestOptions])[] = [
    ["GET", "", {}],
    ["HEAD", "", {}],
    ["PATCH", "", { body: "345" }],
    ["PATCH", "", { body: "345", headers: { "Content-Range": "3-5" } }],
    ["PATCH", "", { body: "345", headers: { "Content-Range": "nonsense" } }],
    ["PUT", `?digest=${digest012345}`, { body: "345" }],
    ["PUT", `?digest=${digestOf("sha256", Buffer.from("012"))}`, {}],
    ["DELETE", "", {}],
  ];
  for (const [method, query, more] of tries) {
    const shapes: unknown[] = [];
    for (const id of [uploadId, guessed]) {
      const message = method === "HEAD" ? "" : text(id);
      await expectRefusal(ground, {
        verdict: { status: 404, code: method === "HEAD" ? "" : "BLOB_UPLOAD_UNKNOWN", message },
        async send() {
          const answer = await ground.server.request(method, uploads(name, id) + query, {
            ...options,
            ...more,
            headers: { ...options.headers, ...more.headers },
          });
          shapes.push(shapeOf(answer, id));
          return answer;
        },
      });
    }
    assert.deepEqual(shapes[0], shapes[1], `${method} tells a session from a guess`);
  }
  const part = { repositoryName: name, uploadId, partFirstByte: 3, partLastByte: 5, layerPartBlob: "MzQ1" };
  const verdict = { status: 400, code: "UploadNotFoundException", message: text(uploadId) };
  await expectRefusal(ground, { verdict, send: () => callEcr(ground.server, "UploadLayerPart", part, { region }) });
  const end = { repositoryName: name, uploadId, layerDigests: [digest012345] };
  await expectRefusal(ground, { verdict, send: () => callEcr(ground.server, "CompleteLayerUpload", end, { region }) });
}

/** An answer without what is different in any two: time, ids. */
function shapeOf(answer: Answer, id: string): object {
  const { date: _date, "x-amzn-requestid": _requestId, ...headers } = answer.headers;
  return {
    status: answer.status,
    ...(JSON.parse(JSON.stringify({ headers, body: answer.body.toString() }).replaceAll(id, "<id>")) as object),
  };
}

/** The session's owner goes on as if nothing had been. */
async function expectOwnerGoesOn(path: string): Promise<void> {
  const put = await ground.server.request("PUT", `${path}?digest=${digest012345}`, { body: "345" });
  assert.deepEqual([put.status, put.message], [201, ""]);
}

describe("a session", () => {
  test("of another repository", async () => {
    const { path, uploadId } = await ground.openUpload("012");
    await refusedLikeGuessed(uploadId, { name: "team/other" });
    await expectOwnerGoesOn(path);
  });
  test("of the repository of that name in another region", async () => {
    const created = await callEcr(ground.server, "CreateRepository", { repositoryName: "team/app" }, { region: "us-east-1" });
    assert.equal(created.status, 200);
    const { path, uploadId } = await ground.openUpload("012");
    const headers = { Host: "123456789012.dkr.ecr.us-east-1.localhost" };
    const options = { headers, authorization: ground.server.authorization({ region: "us-east-1" }) };
    await refusedLikeGuessed(uploadId, { options, region: "us-east-1" });
    await expectOwnerGoesOn(path);
  });
  test("of another principal of the same account", async () => {
    const { server } = ground;
    const uploadId = "11111111-1111-4111-8111-111111111111";
    const now = server.core.clock.now();
    const author = { principalArn: "arn:aws:iam::123456789012:user/other", requestId: "test", now };
    const key = { accountId: server.accountId, region: server.region, name: "team/app" };
    await createUploadSession(server.core.metadata, {
      uploadId,
      key,
      principalId: "somebody-else",
      algorithm: "sha256",
      expiresAt: now + 1_000_000,
      author,
    });
    await refusedLikeGuessed(uploadId);
    assert.deepEqual(await deleteUploadSession(server.core.metadata, uploadId), []);
  });
  test("that is finished", async () => {
    const { path, uploadId } = await ground.openUpload("012");
    await expectOwnerGoesOn(path);
    await refusedLikeGuessed(uploadId);
  });
  test("that was given up", async () => {
    const { path, uploadId } = await ground.openUpload("012");
    assert.equal((await ground.server.request("DELETE", path)).status, 204);
    await refusedLikeGuessed(uploadId);
  });
  test("that a wrong digest has ended", async () => {
    const { path, uploadId } = await ground.openUpload("012");
    assert.equal((await ground.server.request("PUT", `${path}?digest=${digest012345}`)).status, 400);
    await refusedLikeGuessed(uploadId);
  });
  test("whose id is written in upper case, with a space, or as a path", async () => {
    const { path, uploadId } = await ground.openUpload("012");
    for (const id of [
      uploadId.toUpperCase(),
      `${uploadId}%20`,
      `${uploadId}%00`,
      `%20${uploadId}`,
      `${uploadId.slice(0, -1)}%25`,
      uploadId.replaceAll(/[a-f]/g, "_"),
    ]) {
      const shown = decodeURIComponent(id);
      if (shown === uploadId) continue;
      const message = `The upload with id '${shown}' does not exist in the repository with name 'team/app' in registry with id '123456789012'`;
      await expectRefusal(ground, {
        verdict: { status: 404, code: "BLOB_UPLOAD_UNKNOWN", message },
        send: () => ground.server.request("PATCH", uploads("team/app", id), { body: "345" }),
      });
    }
    await expectOwnerGoesOn(path);
  });
});

test("a session that has expired is gone for its owner too", async () => {
  const own = await startGround();
  try {
    const { path, uploadId } = await own.openUpload("012");
    own.server.advance(24 * 3_600_000 + 1);
    const authorization = own.server.authorization();
    const before = await own.facts();
    const message = `The upload with id '${uploadId}' does not exist in the repository with name 'team/app' in registry with id '123456789012'`;
    for (const [method, query] of [
      ["GET", ""],
      ["PATCH", ""],
      ["PUT", `?digest=${digest012345}`],
      ["DELETE", ""],
    ] as const) {
      const answer = await own.server.request(method, path + query, { authorization, ...(method === "GET" ? {} : { body: "345" }) });
      assert.deepEqual([answer.status, answer.code, answer.message], [404, "BLOB_UPLOAD_UNKNOWN", message]);
    }
    assert.deepEqual(await own.facts(), before);
  } finally {
    await own.close();
  }
});

describe("many at once on one session", () => {
  const bodies = Array.from({ length: 12 }, (_, index) => makeBlob(40_000, `parallel ${index}`));
  test("appends that name the same place: one wins whole, the others are told so", async () => {
    const { path, uploadId } = await ground.openUpload();
    const headers = { "Content-Range": "0-39999" };
    const answers = await Promise.all(bodies.map((body) => ground.server.request("PATCH", path, { body: body.bytes, headers })));
    const winners = answers.flatMap((answer, index) => (answer.status === 202 ? [index] : []));
    assert.equal(winners.length, 1);
    for (const answer of answers)
      if (answer.status !== 202) assert.ok([416, 429].includes(answer.status), `${answer.status} ${answer.message}`);
    const won = bodies[winners[0] ?? -1];
    assert.ok(won !== undefined);
    assert.equal((await ground.facts())["upload_segment"]?.filter((row) => row.includes(uploadId)).length, 1);
    assert.equal((await ground.server.request("PUT", `${path}?digest=${won.digest}`)).status, 201);
    await expectNothingLeft(uploadId);
  });
  test("appends that name no place: what was accepted is there, in some order, and nothing else", async () => {
    const { path, uploadId } = await ground.openUpload();
    const answers = await Promise.all(bodies.slice(0, 3).map((body) => ground.server.request("PATCH", path, { body: body.bytes })));
    const accepted = answers.flatMap((answer, index) => (answer.status === 202 ? [{ index, range: String(answer.headers.range) }] : []));
    const inOrder = accepted
      .toSorted((a, b) => Number(a.range.slice(2)) - Number(b.range.slice(2)))
      .map(({ index }) => bodies[index]?.bytes ?? Buffer.alloc(0));
    const whole = Buffer.concat(inOrder);
    assert.equal((await ground.server.request("GET", path)).headers.range, `0-${whole.length - 1}`);
    assert.equal((await ground.server.request("PUT", `${path}?digest=${digestOf("sha256", whole)}`)).status, 201);
    await expectNothingLeft(uploadId);
  });
  for (const [method, query] of [
    ["PATCH", ""],
    ["PUT", `?digest=${digest012345}`],
  ] as const) {
    test(`a ${method} whose session is given up in its middle is told so`, async () => {
      const { path, uploadId } = await ground.openUpload("012");
      const line = new Line(Number(new URL(ground.server.url).port));
      const headers = { Host: ground.server.host, Authorization: ground.server.authorization(), "Content-Length": "3" };
      await line.say(head(method, path + query, headers), "34");
      const segments = async (): Promise<number> =>
        ((await ground.facts())["files"] ?? []).filter((file) => file.includes(uploadId)).length;
      await until(async () => (await segments()) >= 2);
      assert.equal((await ground.server.request("DELETE", path)).status, 204);
      await line.say("5");
      await line.until(/BLOB_UPLOAD_UNKNOWN/);
      assert.deepEqual(line.statuses, [404]);
      line.socket.destroy();
      await expectNothingLeft(uploadId);
      await expectAlive(ground);
    });
  }
  test("an append, an end and a cancel", async () => {
    for (let round = 0; round < 10; round++) {
      const { path, uploadId } = await ground.openUpload("012");
      const all = await Promise.all([
        ground.server.request("PATCH", path, { body: bodies[round]?.bytes ?? "" }),
        ground.server.request("PUT", `${path}?digest=${digest012345}`, { body: "345" }),
        ground.server.request("DELETE", path),
      ]);
      for (const { status, message } of all) assert.ok([201, 202, 204, 400, 404, 429].includes(status), `${status} ${message}`);
      await ground.server.request("DELETE", path);
      await expectNothingLeft(uploadId);
    }
    await expectAlive(ground);
  });

  async function expectNothingLeft(uploadId: string): Promise<void> {
    const { upload_session: sessions = [], upload_segment: segments = [], files = [] } = await ground.facts();
    assert.deepEqual(
      [...sessions, ...segments].filter((row) => row.includes(uploadId)),
      [],
    );
    assert.deepEqual(
      files.filter((file) => file.startsWith("segments/") && file.includes(uploadId)),
      [],
    );
  }
});

test("mounts that fail are the same to the byte, whatever the reason, and leave a session and nothing else", async () => {
  const { server, image } = ground;
  const stranger = await server.addAccount("222222222222");
  const host = { Host: "222222222222.dkr.ecr.eu-central-1.localhost", Authorization: server.authorization({ principal: stranger }) };
  const secret = makeBlob(700, "a stranger's secret");
  const strangerKeys = await callEcr(server, "CreateRepository", { repositoryName: "team/secret", registryId: "222222222222" });
  assert.equal(strangerKeys.json<{ __type: string }>().__type, "AccessDeniedException");
  const { core } = server;
  const name = parseRepositoryName("team/secret");
  assert.ok(name.ok);
  await createRepository(
    { core, actor: stranger, requestId: "test" },
    { accountId: "222222222222", region: server.region },
    name.value,
    {},
  );
  const pushed = await server.request("POST", `${uploads("team/secret")}?digest=${secret.digest}`, {
    body: secret.bytes,
    headers: host,
    authorization: null,
  });
  assert.equal(pushed.status, 201, pushed.message);
  await server.createRepository("team/gone");
  const lost = makeBlob(800, "lost");
  assert.equal((await server.request("POST", `${uploads("team/gone")}?digest=${lost.digest}`, { body: lost.bytes })).status, 201);
  assert.equal((await callEcr(server, "DeleteRepository", { repositoryName: "team/gone", force: true })).status, 200);
  const held = image.config.digest;
  const absent = `sha256:${"a".repeat(64)}`;
  const queries = [
    `mount=${absent}&from=team/app`,
    `mount=${absent}`,
    `mount=${absent}&from=team/nothing`,
    `mount=${held}&from=team/nothing`,
    `mount=${held}&from=team/fixed`,
    `mount=${held}&from=team/other`,
    `mount=${held}&from=UPPER`,
    `mount=${held}&from=`,
    `mount=${held}&from=..%2F..%2Fteam%2Fapp`,
    `mount=${held}&from=team%2Fapp%00`,
    `mount=${held}&from=team%2F___`,
    `mount=${held}&from=team%2F%25`,
    `mount=${secret.digest}&from=team/secret`,
    `mount=${secret.digest}`,
    `mount=${lost.digest}&from=team/gone`,
    `mount=${lost.digest}`,
  ];
  const shapes: object[] = [];
  for (const query of queries) {
    const before = await ground.facts();
    const answer = await server.request("POST", `${uploads("team/other")}?${query}`);
    const id = String(answer.headers["docker-upload-uuid"]);
    shapes.push(shapeOf(answer, id));
    assert.equal(answer.status, 202, query);
    const facts = await ground.facts();
    assert.deepEqual(
      facts["upload_session"]?.filter((row) => !row.includes(id)),
      before["upload_session"],
    );
    assert.deepEqual(withoutSessions(facts), withoutSessions(before), query);
  }
  for (const [index, shape] of shapes.entries()) assert.deepEqual(shape, shapes[0], queries[index] ?? "");
  await expectAlive(ground);
});

function withoutSessions(facts: Facts): Facts {
  return { ...facts, upload_session: [] };
}
