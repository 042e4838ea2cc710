/** Bad names, digests, tags, ranges, pages and sizes on `/v2/`: a precise refusal, nothing changed, the server alive. */
import { after, before, describe, test } from "node:test";
import { digestOf } from "#oci/digest.ts";
import { makeBlob } from "../fixtures/oci-content.ts";
import type { RequestOptions } from "../registry-server.ts";
import { expectRefusal, startGround, withoutUpload } from "./ground.ts";
import type { Facts, Ground, Verdict } from "./ground.ts";

let ground: Ground;
before(async () => void (ground = await startGround()));
after(() => ground.close());

const hex = "a".repeat(64);
const absent = `sha256:${hex}`;
const uploads = "/v2/team/app/blobs/uploads/";

function refused(
  method: string,
  path: string,
  verdict: Verdict,
  options: RequestOptions = {},
  after?: (facts: Facts) => Facts,
): Promise<void> {
  // A HEAD has the status and no words.
  const expected = method === "HEAD" ? { status: verdict.status, code: "", message: "" } : verdict;
  return expectRefusal(ground, { send: () => ground.server.request(method, path, options), verdict: expected, ...(after && { after }) });
}

const letters = "a repository name consists of a-z, 0-9, '.', '_', '-' and '/'";
const joints = "the parts of a repository name begin and end with a-z or 0-9 and are joined by '/', '.', '_', '__' or hyphens";
const lengths = "a repository name has 2 to 256 characters";
const slash = "the path holds an escaped slash; write slashes as they are";
const escape = "the path holds a percent-escape that is not UTF-8";

describe("names that no repository can have", () => {
  const names: readonly (readonly [string, string, string])[] = [
    ["too short", "a", lengths],
    ["too long", "x".repeat(257), lengths],
    ["a component of 300 bytes", `a/${"b".repeat(300)}`, lengths],
    ["the parent folder", "..", joints],
    ["the parent folder inside", "team/../app", joints],
    ["the parent folder, escaped", "%2e%2e/%2e%2e/etc/passwd", joints],
    ["the same folder", "team/./app", joints],
    ["an escaped slash", "team%2Fapp", slash],
    ["an escaped slash at the end", "team/app%2f", slash],
    ["a slash too many", "team//app", joints],
    ["a leading slash", "/team/app", joints],
    ["a trailing slash", "team/app/", joints],
    ["a trailing dot", "team/app.", joints],
    ["a trailing space", "team/app%20", letters],
    ["NUL", "team/app%00", letters],
    ["a line break", "team/app%0D%0ASet-Cookie:a", letters],
    ["a backslash", "team%5Capp", letters],
    ["upper case", "team/App", letters],
    ["a Cyrillic a", "team/%D0%B0pp", letters],
    ["a full-width a", "team/%EF%BD%81pp", letters],
    ["a combining accent", "team/a%CC%81pp", letters],
    ["an overlong dot", "%C0%AE%C0%AE/app", escape],
    ["no UTF-8", "team/%FFapp", escape],
    ["half an escape", "team/%zz", escape],
    ["a SQL wildcard", "team/%25", letters],
    ["three underscores", "team/a___b", joints],
    ["a leading hyphen", "-team/app", joints],
    ["a colon", "team/app%3Av1", letters],
    ["more than any path", "a".repeat(5_000), "the path has $ characters; the limit is 4096"],
  ];
  for (const [what, name, problem] of names) {
    test(what, async () => {
      const routes: readonly (readonly [string, string, RequestOptions])[] = [
        ["GET", "tags/list", {}],
        ["POST", "blobs/uploads/", {}],
        ["POST", `blobs/uploads/?mount=${absent}&from=team/app`, {}],
        ["POST", `blobs/uploads/?digest=${digestOf("sha256", Buffer.from("x"))}`, { body: "x" }],
        ["PUT", "manifests/v1", { body: ground.image.bytes, headers: { "Content-Type": ground.image.mediaType } }],
        ["DELETE", `blobs/${absent}`, {}],
        ["HEAD", `manifests/${absent}`, {}],
      ];
      for (const [method, rest, options] of routes) {
        const path = `/v2/${name}/${rest}`;
        const shown = problem.replace("$", String(path.replace(/\?.*/, "").length));
        await refused(method, path, { status: 400, code: "NAME_INVALID", message: `The repository name is not valid: ${shown}` }, options);
      }
    });
  }
});

const sha256Length = "a sha256 digest has 64 hexadecimal digits";
const beginning = "a digest begins with 'sha256:' or 'sha512:'";
const digits = "a digest consists of the hexadecimal digits 0-9 and a-f, in lower case";

describe("what is no digest", () => {
  const digests: readonly (readonly [string, string, string])[] = [
    ["no digits", "sha256:", sha256Length],
    ["a digit too few", absent.slice(0, -1), sha256Length],
    ["a digit too many", `${absent}a`, sha256Length],
    ["the length of the other algorithm", `sha512:${hex}`, "a sha512 digest has 128 hexadecimal digits"],
    ["upper-case digits", `sha256:${hex.toUpperCase()}`, digits],
    ["other letters", `sha256:${"g".repeat(64)}`, digits],
    ["full-width digits", `sha256:${"\uff11".repeat(64)}`, digits],
    ["mixed-case algorithm", `SHA256:${hex}`, beginning],
    ["an algorithm that is not registered", `md5:${"a".repeat(32)}`, beginning],
    ["an algorithm that we do not have", `sha384:${"a".repeat(96)}`, beginning],
    ["an empty algorithm", `:${hex}`, beginning],
    ["two colons", `sha256:sha256:${hex}`, sha256Length],
    ["NUL at the end", `${absent}\0`, sha256Length],
    ["a line break in it", `sha256:${hex.slice(1)}\n`, digits],
    ["folders", `sha256:${"..".padEnd(64, "a")}`, digits],
    ["a SQL wildcard", `sha256:${"%".padEnd(64, "_")}`, digits],
  ];
  for (const [what, digest, problem] of digests) {
    test(what, async () => {
      const text = encodeURIComponent(digest).replace("%3A", ":");
      const { path } = await ground.openUpload("01234");
      const verdict = { status: 400, code: "DIGEST_INVALID", message: `The digest '${digest}' is not valid: ${problem}` };
      const body = ground.image.bytes;
      for (const method of ["GET", "HEAD", "DELETE"]) {
        await refused(method, `/v2/team/app/blobs/${text}`, verdict);
        await refused(method, `/v2/team/app/manifests/${text}`, verdict);
      }
      await refused("GET", `/v2/team/app/referrers/${text}`, verdict);
      await refused("PUT", `/v2/team/app/manifests/${text}`, verdict, { body, headers: { "Content-Type": ground.image.mediaType } });
      await refused("POST", `${uploads}?digest=${text}`, verdict, { body: "01234" });
      await refused("POST", `${uploads}?mount=${text}&from=team/other`, verdict);
      await refused("PUT", `${path}?digest=${text}`, verdict, { body: "56789" });
    });
  }
  test("a digest that is a path", async () => {
    const verdict = { status: 400, code: "NAME_INVALID", message: `The repository name is not valid: ${slash}` };
    await refused("GET", "/v2/team/app/blobs/sha256:..%2F..%2Fetc%2Fpasswd", verdict);
    await refused("GET", "/v2/team/app/blobs/sha256:../../etc/passwd", { status: 404, code: "UNSUPPORTED", message: "404 page not found" });
  });
  test("none, two, an algorithm that nobody can announce", async () => {
    const { path } = await ground.openUpload();
    const one = { status: 400, code: "DIGEST_INVALID", message: "Exactly one digest must be given in the query" };
    for (const query of ["", "?digest", `?digest=${absent}&digest=sha256:${"b".repeat(64)}`]) {
      const verdict = query === "?digest" ? { ...one, message: `The digest '' is not valid: ${beginning}` } : one;
      await refused("PUT", path + query, verdict, { body: "01234" });
    }
    const algorithm = { status: 400, code: "DIGEST_INVALID", message: "The digest algorithm is not supported; use sha256 or sha512" };
    for (const name of ["md5", "SHA256", "", "sha256,sha512", "__proto__"])
      await refused("POST", `${uploads}?digest-algorithm=${name}`, algorithm);
  });
});

describe("digests that the bytes do not have", () => {
  const mismatch = (expected: string, bytes: Buffer): Verdict => {
    const actual = digestOf(expected.startsWith("sha512") ? "sha512" : "sha256", bytes);
    const message = `The provided digest '${expected}' does not match the digest '${actual}' calculated from the content`;
    return { status: 400, code: "DIGEST_INVALID", message };
  };
  for (const digest of [absent, `sha512:${hex}${hex}`]) {
    const algorithm = digest.slice(0, 6);
    for (const sizeBytes of [0, 1, 65_536, 200_000]) {
      const body = makeBlob(sizeBytes, "mismatch").bytes;
      const verdict = mismatch(digest, body);
      test(`a whole blob of ${sizeBytes} bytes, ${algorithm}`, async () => {
        await refused("POST", `${uploads}?digest=${digest}`, verdict, { body });
        await refused("POST", `${uploads}?digest=${digest}`, verdict, { body: [body.subarray(0, 7), body.subarray(7)] });
      });
      test(`a session that ends with ${sizeBytes} bytes, ${algorithm}`, async () => {
        const { path, uploadId } = await ground.openUpload();
        await refused("PUT", `${path}?digest=${digest}`, verdict, { body }, (facts) => withoutUpload(facts, uploadId));
      });
    }
    test(`a session of two appends, ${algorithm}`, async () => {
      const { path, uploadId } = await ground.openUpload("01234");
      const verdict = mismatch(digest, Buffer.from("0123456789"));
      await refused("PUT", `${path}?digest=${digest}`, verdict, { body: "56789" }, (facts) => withoutUpload(facts, uploadId));
    });
    test(`a manifest, ${algorithm}`, async () => {
      const { bytes, mediaType } = ground.image;
      const verdict = mismatch(digest, bytes);
      await refused("PUT", `/v2/team/app/manifests/${digest}`, verdict, { body: bytes, headers: { "Content-Type": mediaType } });
      await refused("PUT", `/v2/team/app/manifests/${digest}?tag=v2`, verdict, { body: bytes, headers: { "Content-Type": mediaType } });
    });
  }
});

const tagText =
  "Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}''";

describe("what is no tag", () => {
  const tags = [
    ".v1",
    "-v1",
    "..",
    "a".repeat(129),
    "v 1",
    "v1 ",
    "v1\n",
    "v1\0",
    "v1\0.png",
    "\u0430pp",
    "v+1",
    "v*",
    "v%",
    "a\\b",
    "é",
    "latest?",
  ];
  for (const tag of tags) {
    test(JSON.stringify(tag).slice(0, 20), async () => {
      const verdict = { status: 400, code: "TAG_INVALID", message: tagText };
      const { bytes, mediaType, digest } = ground.image;
      const put = { body: bytes, headers: { "Content-Type": mediaType } };
      const text = encodeURIComponent(tag).replaceAll(".", "%2e");
      for (const method of ["GET", "HEAD", "DELETE"]) await refused(method, `/v2/team/app/manifests/${text}`, verdict);
      await refused("PUT", `/v2/team/app/manifests/${text}`, verdict, put);
      // One bad tag among good ones: none of them is made.
      await refused("PUT", `/v2/team/app/manifests/${digest}?tag=good&tag=${text}&tag=better`, verdict, put);
    });
  }
  test("more of them than a push can have", async () => {
    const { bytes, mediaType, digest } = ground.image;
    const query = Array.from({ length: 101 }, (_, index) => `tag=t${index}`).join("&");
    const verdict = { status: 414, code: "TAG_INVALID", message: "At most 100 tags can be given in one request" };
    await refused("PUT", `/v2/team/app/manifests/${digest}?${query}`, verdict, { body: bytes, headers: { "Content-Type": mediaType } });
  });
});

const rangeForm = "Content-Range must be '<first>-<last>', for example '0-1023'";

describe("ranges of an upload that five bytes do not have", () => {
  const ranges: readonly (readonly [string, number, string, string])[] = [
    ["0-", 416, "RANGE_INVALID", rangeForm],
    ["-5", 416, "RANGE_INVALID", rangeForm],
    ["a-b", 416, "RANGE_INVALID", rangeForm],
    [" ", 416, "RANGE_INVALID", rangeForm],
    ["5", 416, "RANGE_INVALID", rangeForm],
    ["+3-7", 416, "RANGE_INVALID", rangeForm],
    ["3.0-7", 416, "RANGE_INVALID", rangeForm],
    ["0x3-0x7", 416, "RANGE_INVALID", rangeForm],
    ["3-7, 8-9", 416, "RANGE_INVALID", rangeForm],
    ["3-7/10", 416, "RANGE_INVALID", rangeForm],
    ["bytes=3-7", 416, "RANGE_INVALID", rangeForm],
    ["bytes 3-7", 416, "RANGE_INVALID", rangeForm],
    ["0-99999999999999999999", 416, "RANGE_INVALID", rangeForm],
    ["0-9007199254740992", 416, "RANGE_INVALID", "Content-Range holds a position that is too large"],
    ["7-3", 416, "RANGE_INVALID", "Content-Range begins after its end"],
    ["bytes 3-7/7", 416, "RANGE_INVALID", "Content-Range ends beyond the size that it states"],
    ["3-6", 400, "SIZE_INVALID", "The layer part has 5 bytes instead of 4"],
    ["3-8", 400, "SIZE_INVALID", "The layer part has 5 bytes instead of 6"],
    ["0-4", 416, "BLOB_UPLOAD_INVALID", "First byte of the layer part is 0 instead of 3"],
    ["2-6", 416, "BLOB_UPLOAD_INVALID", "First byte of the layer part is 2 instead of 3"],
    ["4-8", 416, "BLOB_UPLOAD_INVALID", "First byte of the layer part is 4 instead of 3"],
  ];
  for (const [range, status, code, message] of ranges) {
    test(range, async () => {
      const { path } = await ground.openUpload("012");
      const options = { body: "34567", headers: { "Content-Range": range } };
      await refused("PATCH", path, { status, code, message }, options);
      await refused("PUT", `${path}?digest=${digestOf("sha256", Buffer.from("01234567"))}`, { status, code, message }, options);
      // In chunks nothing announces the length; the bytes themselves tell.
      await refused("PATCH", path, { status, code, message }, { ...options, body: [Buffer.from("345"), Buffer.from("67")] });
    });
  }
  test("the longest range that can be counted", async () => {
    const { path } = await ground.openUpload();
    const headers = { "Content-Range": "0-9007199254740991" };
    const message = "The layer part has 5 bytes instead of 9007199254740992";
    await refused("PATCH", path, { status: 400, code: "SIZE_INVALID", message }, { body: "01234", headers });
    const verdict = { status: 403, code: "DENIED", message: /exceeds the maximum allowed number of bytes which is '200000'$/ };
    await refused("PATCH", path, verdict, { body: [Buffer.from("01234")], headers });
  });
  for (const range of ["bytes=500000-", "bytes=5-2", "bytes=-0"]) {
    test(`of a download: ${range}`, async () => {
      const [layer] = ground.image.layers;
      const size = layer?.bytes.length ?? 0;
      const message = `The blob has ${size} bytes; the range lies outside`;
      await refused(
        "GET",
        `/v2/team/app/blobs/${layer?.digest}`,
        { status: 416, code: "RANGE_INVALID", message },
        { headers: { Range: range } },
      );
    });
  }
});

describe("pages that nobody handed out", () => {
  const number = "Invalid parameter at 'n' failed to satisfy constraint: 'must be a number that is not negative'";
  const position = "Invalid parameter at 'last' failed to satisfy constraint: 'must be a value that an earlier page ended with'";
  const queries: readonly (readonly [string, string])[] = [
    ...["-1", "", "abc", "1e3", "1.5", "0x10", "+1", "%001", "9".repeat(19), "NaN", "__proto__"].map((n) => [`n=${n}`, number] as const),
    ...["%00", "a%0Ab", "a".repeat(513), "%1f"].map((last) => [`last=${last}`, position] as const),
  ];
  for (const [query, message] of queries) {
    test(query.slice(0, 20), async () => {
      const verdict = { status: 400, code: "PAGINATION_NUMBER_INVALID", message };
      for (const path of ["/v2/_catalog", "/v2/team/app/tags/list", `/v2/team/app/referrers/${absent}`])
        await refused("GET", `${path}?${query}`, verdict);
    });
  }
  test("a position among referrers is a digest", async () => {
    const verdict = { status: 400, code: "PAGINATION_NUMBER_INVALID", message: position };
    for (const last of ["v1", `${absent}0`, "'"]) await refused("GET", `/v2/team/app/referrers/${absent}?last=${last}`, verdict);
  });
  test("more types than a filter can have", async () => {
    const query = Array.from({ length: 51 }, (_, index) => `artifactType=t${index}`).join("&");
    const verdict = { status: 400, code: "UNSUPPORTED", message: "At most 50 artifact types can be given in one request" };
    await refused("GET", `/v2/team/app/referrers/${absent}?${query}`, verdict);
  });
});

describe("too much", () => {
  const limit = 200_000;
  const large = makeBlob(limit + 1, "large");
  const tooLarge =
    /^The upload with id '[0-9a-f-]{36}' in the repository with name 'team\/app' in registry with id '123456789012' exceeds the maximum allowed number of bytes which is '200000'$/;
  const verdict = { status: 403, code: "DENIED", message: tooLarge };
  const split = [large.bytes.subarray(0, limit), large.bytes.subarray(limit)];

  test("a blob beyond the limit, announced and not", async () => {
    for (const body of [large.bytes, split]) await refused("POST", `${uploads}?digest=${large.digest}`, verdict, { body });
  });
  test("a session beyond the limit, announced and not", async () => {
    const { path } = await ground.openUpload("x");
    const rest = large.bytes.subarray(1);
    for (const body of [rest, [rest.subarray(0, 9), rest.subarray(9)]]) {
      await refused("PATCH", path, verdict, { body });
      await refused("PUT", `${path}?digest=${absent}`, verdict, { body });
    }
  });
  test("more appends than a session takes", async () => {
    const { path } = await ground.openUpload("0");
    for (const byte of ["1", "2"]) await ground.server.request("PATCH", path, { body: byte });
    const message = new RegExp(tooLarge.source.replace("bytes", "parts").replace("200000", "3"));
    await refused("PATCH", path, { ...verdict, message }, { body: "3" });
  });
  test("a manifest beyond the limit, announced and not", async () => {
    const bytes = Buffer.alloc(4_194_305, " ");
    const message =
      "Invalid parameter at 'imageManifest' failed to satisfy constraint: 'Member must have length less than or equal to 4194304'";
    for (const body of [bytes, [bytes.subarray(1), bytes.subarray(0, 1)]]) {
      await refused("PUT", "/v2/team/app/manifests/v2", { status: 413, code: "SIZE_INVALID", message }, { body });
    }
  });
});
