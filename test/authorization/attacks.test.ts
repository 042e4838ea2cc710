/** What others' registries were broken by, tried with real users of this one: names that look alike, rights of another kind, sessions of others. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { sql } from "kysely";
import { namedTagKey } from "#access/condition-keys.ts";
import { makeBlob, makeImage } from "../fixtures/oci-content.ts";
import { iam, iamDocument } from "../iam-client.ts";
import { startRegistryServer } from "../registry-server.ts";
import type { Answer, RegistryServer, RequestOptions } from "../registry-server.ts";
import { callEcr } from "../signed-call.ts";
import { allowAll, callersOf, deny } from "./callers.ts";
import type { MatrixCaller } from "./callers.ts";

let server: RegistryServer;
let callers: ReturnType<typeof callersOf>;
const image = makeImage({ seed: "first" });
const other = makeImage({ seed: "second" });
const push = { body: other.bytes, headers: { "Content-Type": other.mediaType } };

before(async () => {
  server = await startRegistryServer();
  callers = callersOf(server);
  for (const name of ["team/shop", "team-shop", "team/shop-x", "team/sho", "team/shop/web", "team"]) {
    await server.createRepository(name);
    await server.push(name, image, "latest");
    await server.push(name, other);
  }
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

function arn(name: string): string {
  return `arn:aws:ecr:${server.region}:${server.accountId}:repository/${name}`;
}

/** Asks the data plane as somebody. */
function ask(caller: MatrixCaller, method: string, target: string, options: RequestOptions = {}): Promise<Answer> {
  return server.request(method, target, { ...options, authorization: callers.authorizationOf(caller) });
}

/** Calls an ECR operation as somebody, and answers the exception or `ok`. */
async function call(caller: MatrixCaller, operation: string, input: object): Promise<string> {
  const answer = await callEcr(server, operation, input, { credentials: caller.credentials });
  return answer.status === 200 ? "ok" : answer.json<{ __type: string }>().__type;
}

/** Every tag, manifest and link there is: what an attack must not have changed. */
async function facts(): Promise<unknown> {
  const tables = ["tag", "manifest", "blob_link", "repository"];
  return Promise.all(tables.map(async (table) => (await sql.raw(`select * from "${table}"`).execute(server.core.metadata.read)).rows));
}

const digest = image.digest;
const blob = image.config.digest;
const requests: readonly (readonly [string, string, RequestOptions?])[] = [
  ["GET", "tags/list"],
  ["GET", "manifests/latest"],
  ["HEAD", "manifests/latest"],
  ["PUT", "manifests/latest", push],
  ["PUT", `manifests/${other.digest}?tag=latest`, push],
  ["DELETE", "manifests/latest"],
  ["GET", `blobs/${blob}`],
  ["HEAD", `blobs/${blob}`],
  ["DELETE", `blobs/${blob}`],
  ["POST", "blobs/uploads/"],
  ["POST", `blobs/uploads/?mount=${blob}&from=team/shop`],
  ["GET", `referrers/${digest}`],
];

describe("rights on one repository are no rights on another", () => {
  const exact = (): Promise<MatrixCaller> => callers.user("exact", { Effect: "Allow", Action: "ecr:*", Resource: arn("team/shop") });
  const below = (): Promise<MatrixCaller> => callers.user("below", { Effect: "Allow", Action: "ecr:*", Resource: arn("team/*") });
  let only: MatrixCaller;
  let prefix: MatrixCaller;
  before(async () => {
    only = await exact();
    prefix = await below();
  });

  test("what looks like the name is not the name", async () => {
    const before = await facts();
    for (const name of ["team-shop", "team/shop-x", "team/sho", "team/shop/web", "team", "team/none"])
      for (const [method, path, options] of requests) {
        const { status, message } = await ask(only, method, `/v2/${name}/${path}`, options);
        assert.equal(status, 403, `${method} ${name}/${path}: ${message}`);
      }
    for (const name of ["team-shop", "team", "teams/shop"])
      for (const [method, path, options] of requests)
        assert.equal((await ask(prefix, method, `/v2/${name}/${path}`, options)).status, 403, `${method} ${name}/${path}`);
    assert.deepEqual(await facts(), before);
    // What it may do, it can: the refusals above are not for another reason.
    assert.equal((await ask(only, "GET", "/v2/team/shop/tags/list")).status, 200);
    assert.equal((await ask(prefix, "GET", "/v2/team/shop/web/tags/list")).status, 200);
  });

  test("no way to write a name makes it another one", async () => {
    const before = await facts();
    const names = [
      "team%2Fshop",
      "team%2fshop",
      "team%252Fshop",
      "team/shop/../shop-x",
      "team/shop/%2e%2e/shop-x",
      "team/shop%2F..%2Fshop-x",
      "team/./shop-x",
      "team//shop",
      "/team/shop-x",
      "team/shop/",
      "Team/Shop",
      "TEAM/SHOP-X",
      "team/ſhop",
      "team/shop%00-x",
      "team/shop%20",
      "team/shop;-x",
      "team/shop%3Fx=",
      "team\\shop-x",
      "team/shop%5C..%5Cshop-x",
    ].map((name) => name.replaceAll(/[^\x21-\x7e]/g, encodeURIComponent));
    for (const name of names)
      for (const [method, path, options] of requests) {
        const { status, code } = await ask(only, method, `/v2/${name}/${path}`, options);
        assert.ok([400, 403, 404].includes(status), `${method} ${name}/${path}: ${status}`);
        if (method !== "HEAD")
          assert.ok(["NAME_INVALID", "DENIED", "UNSUPPORTED", "NAME_UNKNOWN"].includes(String(code)), `${name}: ${code}`);
      }
    for (const repositoryName of [
      "team-shop",
      "team/shop-x",
      "Team/Shop",
      "team/shop/",
      "team//shop",
      "team/shop/../shop-x",
      "team%2Fshop-x",
    ])
      for (const [operation, input] of [
        ["ListImages", {}],
        ["PutImage", { imageManifest: other.bytes.toString(), imageTag: "latest" }],
        ["BatchGetImage", { imageIds: [{ imageTag: "latest" }] }],
        ["DeleteRepository", { force: true }],
      ] as const)
        assert.match(
          await call(only, operation, { repositoryName, ...input }),
          /^(?:AccessDeniedException|InvalidParameterException)$/,
          `${operation} ${repositoryName}`,
        );
    assert.deepEqual(await facts(), before);
  });

  test("a policy that names another case allows nothing", async () => {
    const caller = await callers.user("shouting", { Effect: "Allow", Action: "ecr:*", Resource: arn("TEAM/shop") });
    for (const [method, path, options] of requests) assert.equal((await ask(caller, method, `/v2/team/shop/${path}`, options)).status, 403);
  });
});

describe("rights of one kind are no rights of another", () => {
  const pulls = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "ecr:ListImages"];
  const pushes = ["ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"];
  const is = (kind: "read" | "write" | "delete") => (row: (typeof requests)[number]) =>
    kind === (row[0] === "DELETE" ? "delete" : row[0] === "PUT" || row[0] === "POST" ? "write" : "read");

  for (const [name, actions, closed] of [
    ["who only pulls does not write and does not delete", pulls, ["write", "delete"]],
    ["who only pushes does not delete and does not read", pushes, ["delete", "read"]],
    ["who only deletes does not write and does not read", ["ecr:BatchDeleteImage"], ["write", "read"]],
    ["who only makes repositories does nothing in them", ["ecr:CreateRepository"], ["write", "read", "delete"]],
  ] as const)
    test(name, async () => {
      const caller = await callers.user(actions[0]?.replace(":", "-") ?? "", { Effect: "Allow", Action: actions, Resource: "*" });
      const before = await facts();
      for (const kind of closed)
        for (const [method, path, options] of requests.filter(is(kind))) {
          const { status, message } = await ask(caller, method, `/v2/team/shop/${path}`, options);
          assert.equal(status, 403, `${method} ${path}: ${message}`);
        }
      assert.deepEqual(await facts(), before);
    });
});

describe("who may not put an image moves no tag", () => {
  const put = (repositoryName: string, imageTag?: string): object => ({
    repositoryName,
    imageManifest: other.bytes.toString(),
    ...(imageTag !== undefined && { imageTag }),
  });
  let tags: unknown;
  beforeEach(async () => void (tags = await facts()));

  test("with everything else allowed", async () => {
    const caller = await callers.user("creator", allowAll, deny("ecr:PutImage"));
    for (const target of [
      "latest",
      "new",
      other.digest,
      `${other.digest}?tag=latest`,
      `${other.digest}?tag=new&tag=latest`,
      `${other.digest}?TAG=latest`,
      "new?tag=latest",
      "%6Catest",
    ])
      assert.equal((await ask(caller, "PUT", `/v2/team/shop/manifests/${target}`, push)).status, 403, target);
    for (const tag of ["latest", "new", undefined])
      assert.equal(await call(caller, "PutImage", put("team/shop", tag)), "AccessDeniedException");
    assert.equal((await ask(caller, "POST", "/v2/team/shop/manifests/latest", push)).status, 405);
    assert.equal((await ask(caller, "PATCH", "/v2/team/shop/manifests/latest", push)).status, 405);
    // A blob that is a manifest is only a blob.
    assert.equal(
      (await ask(caller, "POST", `/v2/team/shop/blobs/uploads/?digest=${other.digest}&tag=latest`, { body: other.bytes })).status,
      201,
    );
    const [before] = tags as unknown[];
    const [after] = (await facts()) as unknown[];
    assert.deepEqual(after, before);
  });

  test("with one tag forbidden, among however many", async () => {
    const guard = { Effect: "Deny", Action: "ecr:PutImage", Resource: "*", Condition: { StringEquals: { [namedTagKey]: "latest" } } };
    const caller = await callers.user("guarded", allowAll, guard);
    for (const target of [
      "latest",
      "%6Catest",
      "lat%65st",
      `${other.digest}?tag=latest`,
      `${other.digest}?tag=a&tag=latest`,
      `${other.digest}?tag=latest&tag=a`,
      `${other.digest}?tag=a&tag=latest&tag=latest&tag=b`,
      `${other.digest}?%74ag=%6Catest`,
      `${other.digest}?n=1;tag=x&tag=latest`,
      `${other.digest.replace(":", "%3A")}?tag=latest`,
    ]) {
      const { status, message } = await ask(caller, "PUT", `/v2/team/shop/manifests/${target}`, push);
      assert.equal(status, 403, `${target}: ${message}`);
    }
    assert.equal(await call(caller, "PutImage", put("team/shop", "latest")), "AccessDeniedException");
    assert.deepEqual(await facts(), tags);
    // A tag beside a tag has no effect, and an allowed one is allowed.
    for (const target of ["mine?tag=latest", `${other.digest}?tag=yours`])
      assert.equal((await ask(caller, "PUT", `/v2/team/shop/manifests/${target}`, push)).status, 201);
    const current = await server.request("GET", "/v2/team/shop/manifests/latest");
    assert.equal(current.headers["docker-content-digest"], image.digest);
  });
});

describe("an upload session is its owner's", () => {
  const content = makeBlob(1_000, "upload");
  const guessed = "00000000-0000-4000-8000-000000000000";
  const shape = (answer: Answer, id: string): string => {
    const { date: _date, "x-amzn-requestid": _request, ...headers } = answer.headers;
    return JSON.stringify([answer.status, headers, answer.body.toString()]).replaceAll(id, "<id>");
  };

  async function judgeStrangers(owner: MatrixCaller, strangers: Readonly<Record<string, MatrixCaller>>): Promise<void> {
    const opened = await ask(owner, "POST", "/v2/team/shop/blobs/uploads/");
    const id = String(opened.headers["docker-upload-uuid"]);
    const path = (uploadId: string): string => `/v2/team/shop/blobs/uploads/${uploadId}`;
    assert.equal((await ask(owner, "PATCH", path(id), { body: content.bytes.subarray(0, 400) })).status, 202);
    for (const [who, stranger] of Object.entries(strangers)) {
      for (const [method, query, body] of [
        ["GET", "", undefined],
        ["HEAD", "", undefined],
        ["PATCH", "", content.bytes.subarray(400)],
        ["PUT", `?digest=${content.digest}`, content.bytes.subarray(400)],
        ["DELETE", "", undefined],
      ] as const) {
        const options = body === undefined ? {} : { body };
        const [real, none] = [
          await ask(stranger, method, path(id) + query, options),
          await ask(stranger, method, path(guessed) + query, options),
        ];
        assert.equal(real.status, 404, `${who}: ${method}`);
        assert.equal(shape(real, id), shape(none, guessed), `${who}: ${method} tells a session from a guess`);
      }
      const part = { repositoryName: "team/shop", uploadId: id };
      const bytes = { partFirstByte: 400, partLastByte: 400, layerPartBlob: "eA==" };
      assert.equal(await call(stranger, "UploadLayerPart", { ...part, ...bytes }), "UploadNotFoundException", who);
      assert.equal(
        await call(stranger, "CompleteLayerUpload", { ...part, layerDigests: [content.digest] }),
        "UploadNotFoundException",
        who,
      );
    }
    const rest = { body: content.bytes.subarray(400) };
    assert.equal((await ask(owner, "PUT", `${path(id)}?digest=${content.digest}`, rest)).status, 201, "the owner goes on");
  }

  test("nobody else of the account goes on with it, sees it, or ends it", async () => {
    const strangers = {
      "another user": await callers.user("stranger", allowAll),
      "a role session": await callers.session("stranger", [allowAll]),
    };
    await judgeStrangers(await callers.user("owner", allowAll), strangers);
  });

  test("a user that is made anew under the same name is somebody else", async () => {
    const owner = await callers.user("phoenix", allowAll);
    const opened = await ask(owner, "POST", "/v2/team/shop/blobs/uploads/");
    const path = new URL(String(opened.headers.location), server.url).pathname;
    const user = { UserName: "phoenix" };
    await iam(server, "DeleteAccessKey", { ...user, AccessKeyId: owner.credentials.accessKeyId });
    await iam(server, "DeleteUserPolicy", { ...user, PolicyName: "inline" });
    await iam(server, "DeleteUser", user);
    const anew = await callers.user("phoenix", allowAll);
    assert.equal(anew.principal.arn, owner.principal.arn);
    for (const method of ["GET", "PATCH", "DELETE"]) assert.equal((await ask(anew, method, path)).status, 404, method);
    assert.equal((await server.request("GET", path, { authorization: callers.authorizationOf(owner.principal) })).status, 401);
  });
});

test("who leaves a group, or whose group loses a right, has lost it with the next request", async () => {
  const caller = await callers.user("member", { Effect: "Allow", Action: "ecr:GetAuthorizationToken", Resource: "*" });
  const authorization = callers.authorizationOf(caller);
  const pull = async (): Promise<number> => (await server.request("GET", "/v2/team/shop/manifests/latest", { authorization })).status;
  const list = (): Promise<string> => call(caller, "ListImages", { repositoryName: "team/shop" });
  const group = { GroupName: "pullers" };
  const right = iamDocument({ Effect: "Allow", Action: ["ecr:BatchGetImage", "ecr:ListImages"], Resource: "*" });
  const member = { ...group, UserName: "member" };
  await iam(server, "CreateGroup", group);
  const policy = (await iam(server, "CreatePolicy", { PolicyName: "pull", PolicyDocument: right })).first("Arn") ?? "";
  const losses: readonly (readonly [string, Readonly<Record<string, string>>, string, Readonly<Record<string, string>>])[] = [
    ["AddUserToGroup", member, "RemoveUserFromGroup", member],
    ["PutGroupPolicy", { ...group, PolicyName: "own", PolicyDocument: right }, "DeleteGroupPolicy", { ...group, PolicyName: "own" }],
    ["AttachGroupPolicy", { ...group, PolicyArn: policy }, "DetachGroupPolicy", { ...group, PolicyArn: policy }],
  ];
  const give = (at: number): Promise<unknown> => iam(server, losses[at]?.[0] ?? "", losses[at]?.[1]);
  await give(0);
  assert.deepEqual([await pull(), await list()], [403, "AccessDeniedException"]);
  for (const right of [1, 2]) {
    await give(right);
    for (const loss of [0, right]) {
      const [giving, given, taking, taken] = losses[loss] ?? assert.fail();
      assert.deepEqual([await pull(), await list()], [200, "ok"], `before ${taking}`);
      await iam(server, taking, taken);
      assert.deepEqual([await pull(), await list()], [403, "AccessDeniedException"], taking);
      if (loss === 0) await iam(server, giving, given);
    }
  }
});
