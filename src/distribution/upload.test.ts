import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { digestOf } from "#oci/digest.ts";
import { makeBlob } from "../../test/fixtures/oci-content.ts";
import type { Content } from "../../test/fixtures/oci-content.ts";
import { startRegistryServer } from "../../test/registry-server.ts";
import type { Answer, RegistryServer } from "../../test/registry-server.ts";

let server: RegistryServer;
const uploads = "/v2/team/app/blobs/uploads/";

before(async () => {
  server = await startRegistryServer();
  for (const name of ["team/app", "team/source", "blobs/uploads"]) await server.createRepository(name);
});
after(() => server.close());

async function start(): Promise<string> {
  const answer = await server.request("POST", uploads);
  assert.equal(answer.status, 202);
  return String(answer.headers.location);
}

async function assertStored(answer: Answer, content: Content, name = "team/app"): Promise<void> {
  assert.equal(answer.status, 201, answer.message);
  assert.equal(answer.headers.location, `/v2/${name}/blobs/${content.digest}`);
  assert.equal(answer.headers["docker-content-digest"], content.digest);
  const read = await server.request("GET", answer.headers.location);
  assert.deepEqual([read.status, read.body.equals(content.bytes)], [200, true]);
}

test("POST opens a session", async () => {
  for (const path of [uploads, uploads.slice(0, -1)]) {
    const answer = await server.request("POST", path);
    const uuid = String(answer.headers["docker-upload-uuid"]);
    assert.match(uuid, /^[0-9a-f-]{36}$/);
    assert.deepEqual([answer.status, answer.headers.location, answer.headers.range], [202, `${uploads}${uuid}`, "0-0"]);
    assert.equal(answer.headers["content-length"], "0");
  }
  const missing = await server.request("POST", "/v2/team/none/blobs/uploads/");
  assert.deepEqual([missing.status, missing.code], [404, "NAME_UNKNOWN"]);
});

describe("every form of pushing", () => {
  for (const algorithm of ["sha256", "sha512"] as const) {
    const blob = (form: string): Content => makeBlob(3000, `${algorithm} ${form}`, { algorithm });
    test(`single POST, ${algorithm}`, async () => {
      const content = blob("single");
      await assertStored(await server.request("POST", `${uploads}?digest=${content.digest}`, { body: content.bytes }), content);
    });
    test(`single POST without a length, ${algorithm}`, async () => {
      const content = blob("single chunked");
      const body = [content.bytes.subarray(0, 999), content.bytes.subarray(999)];
      await assertStored(await server.request("POST", `${uploads}?digest=${encodeURIComponent(content.digest)}`, { body }), content);
    });
    test(`POST and PUT, ${algorithm}`, async () => {
      const content = blob("put");
      await assertStored(await server.request("PUT", `${await start()}?digest=${content.digest}`, { body: content.bytes }), content);
    });
    test(`POST, PATCH without range or length, empty PUT, ${algorithm}`, async () => {
      const content = blob("stream");
      const path = await start();
      const body = [content.bytes.subarray(0, 1), content.bytes.subarray(1)];
      const patched = await server.request("PATCH", path, { body });
      assert.deepEqual([patched.status, patched.headers.range, patched.headers.location], [202, "0-2999", path]);
      await assertStored(await server.request("PUT", `${path}?digest=${content.digest}`), content);
    });
    test(`chunks with ranges, the last in the PUT, ${algorithm}`, async () => {
      const content = blob("chunks");
      const path = await start();
      for (const [first, last] of [
        [0, 999],
        [1000, 1999],
      ] as const) {
        const headers = { "Content-Range": `${first}-${last}` };
        const answer = await server.request("PATCH", path, { body: content.bytes.subarray(first, last + 1), headers });
        assert.deepEqual([answer.status, answer.headers.range], [202, `0-${last}`]);
      }
      const headers = { "Content-Range": "2000-2999" };
      const body = content.bytes.subarray(2000);
      await assertStored(await server.request("PUT", `${path}?digest=${content.digest}`, { body, headers }), content);
    });
    test(`an announced algorithm, ${algorithm}`, async () => {
      const content = blob("announced");
      const opened = await server.request("POST", `${uploads}?digest-algorithm=${algorithm}`);
      assert.equal(opened.status, 202);
      await assertStored(
        await server.request("PUT", `${opened.headers.location}?digest=${content.digest}`, { body: content.bytes }),
        content,
      );
    });
  }
  test("the empty blob", async () => {
    const empty = makeBlob(0);
    await assertStored(await server.request("PUT", `${await start()}?digest=${empty.digest}`), empty);
    await assertStored(await server.request("POST", `${uploads}?digest=${empty.digest}`, { body: "" }), empty);
    const path = await start();
    const patched = await server.request("PATCH", path, { body: "" });
    assert.deepEqual([patched.status, patched.headers.range], [202, "0-0"]);
    await assertStored(await server.request("PUT", `${path}?digest=${empty.digest}`), empty);
  });
  test("the same blob twice at once", async () => {
    const content = makeBlob(100_000, "twice");
    const paths = [await start(), await start()];
    const answers = await Promise.all(
      paths.map((path) => server.request("PUT", `${path}?digest=${content.digest}`, { body: content.bytes })),
    );
    for (const answer of answers) await assertStored(answer, content);
  });
  test("into a repository whose name looks like a path", async () => {
    const content = makeBlob(10, "odd");
    const opened = await server.request("POST", "/v2/blobs/uploads/blobs/uploads/");
    assert.equal(opened.status, 202);
    const answer = await server.request("PUT", `${opened.headers.location}?digest=${content.digest}`, { body: content.bytes });
    await assertStored(answer, content, "blobs/uploads");
  });
});

test("a chunk at the wrong place is 416 and says where to go on", async () => {
  const path = await start();
  const wrong = await server.request("PATCH", path, { body: "xyz", headers: { "Content-Range": "5-7" } });
  assert.deepEqual([wrong.status, wrong.code, wrong.headers.location, wrong.headers.range], [416, "BLOB_UPLOAD_INVALID", path, "0-0"]);
  assert.equal(wrong.message, "First byte of the layer part is 5 instead of 0");
  assert.equal((await server.request("PATCH", path, { body: "0123", headers: { "Content-Range": "0-3" } })).status, 202);
  for (const method of ["PATCH", "PUT"]) {
    const digest = digestOf("sha256", Buffer.from("0123"));
    const target = method === "PUT" ? `${path}?digest=${digest}` : path;
    const again = await server.request(method, target, { body: "0123", headers: { "Content-Range": "0-3" } });
    assert.deepEqual([again.status, again.headers.location, again.headers.range], [416, path, "0-3"], method);
  }
  const status = await server.request("GET", path);
  assert.deepEqual([status.status, status.headers.range, status.headers.location], [204, "0-3", path]);
  assert.equal(status.headers["content-length"], undefined);
  const malformed = await server.request("PATCH", path, { body: "4", headers: { "Content-Range": "4-x" } });
  assert.deepEqual([malformed.status, malformed.code, malformed.headers.range], [416, "RANGE_INVALID", "0-3"]);
});

test("a range that disagrees with the length is 400", async () => {
  const path = await start();
  const answer = await server.request("PATCH", path, { body: "0123456789", headers: { "Content-Range": "0-8" } });
  assert.deepEqual([answer.status, answer.code], [400, "SIZE_INVALID"]);
  assert.equal((await server.request("GET", path)).headers.range, "0-0");
});

describe("bad digests are 400", () => {
  const wrong = digestOf("sha256", Buffer.from("something else"));
  test("single POST", async () => {
    const answer = await server.request("POST", `${uploads}?digest=${wrong}`, { body: "bytes" });
    assert.deepEqual([answer.status, answer.code], [400, "DIGEST_INVALID"]);
  });
  test("PUT with the bytes, PUT after a PATCH", async () => {
    const answer = await server.request("PUT", `${await start()}?digest=${wrong}`, { body: "bytes" });
    assert.deepEqual([answer.status, answer.code], [400, "DIGEST_INVALID"]);
    const path = await start();
    await server.request("PATCH", path, { body: "bytes" });
    assert.equal((await server.request("PUT", `${path}?digest=${wrong}`)).status, 400);
    assert.equal((await server.request("HEAD", `/v2/team/app/blobs/${wrong}`)).status, 404);
  });
  for (const digest of ["sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "", `SHA256:${"a".repeat(64)}`]) {
    test(`'${digest}'`, async () => {
      for (const answer of [
        await server.request("PUT", `${await start()}?digest=${digest}`, { body: "bytes" }),
        await server.request("POST", `${uploads}?digest=${digest}`, { body: "bytes" }),
        await server.request("POST", `${uploads}?mount=${digest}&from=team/source`),
      ])
        assert.deepEqual([answer.status, answer.code], [400, "DIGEST_INVALID"]);
    });
  }
  test("none, two, an unknown algorithm", async () => {
    const path = await start();
    const other = digestOf("sha256", Buffer.from("x"));
    for (const query of ["", "?other=1", `?digest=${wrong}&digest=${other}`]) {
      assert.equal((await server.request("PUT", `${path}${query}`, { body: "bytes" })).status, 400, query);
    }
    assert.equal((await server.request("POST", `${uploads}?digest-algorithm=md5`)).status, 400);
  });
});

test("DELETE gives up a session", async () => {
  const path = await start();
  await server.request("PATCH", path, { body: "bytes" });
  assert.equal((await server.request("DELETE", path)).status, 204);
  for (const method of ["GET", "PATCH", "DELETE"]) {
    const answer = await server.request(method, path, method === "PATCH" ? { body: "x" } : {});
    assert.deepEqual([answer.status, answer.code], [404, "BLOB_UPLOAD_UNKNOWN"], method);
  }
});

describe("sessions belong to one repository and cannot be guessed", () => {
  for (const id of ["none", "00000000-0000-4000-8000-000000000000", "%00", "..%5c", "é", "x".repeat(1000), "a%27b"]) {
    test(id.slice(0, 40), async () => {
      const answer = await server.request("GET", `${uploads}${encodeURI(decodeURIComponent(id))}`);
      assert.deepEqual([answer.status, answer.code], [404, "BLOB_UPLOAD_UNKNOWN"]);
    });
  }
  test("not through another repository", async () => {
    const path = await start();
    const other = path.replace("team/app", "team/source");
    for (const [method, body] of [
      ["GET", undefined],
      ["PATCH", "x"],
      ["DELETE", undefined],
    ] as const) {
      const answer = await server.request(method, other, body === undefined ? {} : { body });
      assert.deepEqual([answer.status, answer.code], [404, "BLOB_UPLOAD_UNKNOWN"]);
    }
    assert.equal((await server.request("GET", path)).status, 204);
  });
  test("not after it is finished", async () => {
    const content = makeBlob(10, "finished");
    const path = await start();
    assert.equal((await server.request("PUT", `${path}?digest=${content.digest}`, { body: content.bytes })).status, 201);
    assert.equal((await server.request("GET", path)).status, 404);
  });
});

describe("mounting", () => {
  const content = makeBlob(500, "to mount");
  before(async () => {
    await server.request("POST", `/v2/team/source/blobs/uploads/?digest=${content.digest}`, { body: content.bytes });
  });
  const mount = (query: string): Promise<Answer> => server.request("POST", `${uploads}?mount=${content.digest}${query}`);

  test("failed mounts answer the same 202, and a session", async () => {
    const missing = `sha256:${"2".repeat(64)}`;
    const answers = [
      await mount("&from=team/none"),
      await mount("&from=UPPER"),
      await mount("&from="),
      await server.request("POST", `${uploads}?mount=${missing}&from=team/source`),
      await server.request("POST", `${uploads}?mount=${missing}`),
    ];
    const shapes = answers.map((answer) => {
      const { location, "docker-upload-uuid": uuid, date: _date, "x-amzn-requestid": _id, ...rest } = answer.headers;
      assert.equal(location, `${uploads}${String(uuid)}`);
      return { status: answer.status, body: answer.body.toString(), rest };
    });
    for (const shape of shapes) assert.deepEqual(shape, shapes[0]);
    assert.equal(shapes[0]?.status, 202);
    const put = await server.request("PUT", `${answers[0]?.headers.location}?digest=${content.digest}`, { body: content.bytes });
    await assertStored(put, content);
    assert.equal((await server.request("DELETE", `/v2/team/app/blobs/${content.digest}`)).status, 202);
  });
  test("from a repository, and from any", async () => {
    for (const query of ["&from=team/source", "&from=team%2Fsource&origin=localhost", ""]) {
      await assertStored(await mount(query), content);
      assert.equal((await server.request("DELETE", `/v2/team/app/blobs/${content.digest}`)).status, 202);
    }
  });
  test("the target must exist", async () => {
    const answer = await server.request("POST", `/v2/team/none/blobs/uploads/?mount=${content.digest}&from=team/source`);
    assert.deepEqual([answer.status, answer.code], [404, "NAME_UNKNOWN"]);
  });
});
