import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { makeImage, makeIndex } from "../../../test/fixtures/oci-content.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { callersOf, allowAll } from "../../../test/authorization/callers.ts";
import { callEcr } from "../../../test/signed-call.ts";
import type { CallOptions } from "../../../test/signed-call.ts";

let server: RegistryServer;

before(async () => {
  server = await startRegistryServer({ limits: { pullTimeExclusions: 5 } });
});
after(async () => {
  await server.close();
  assert.deepEqual(server.errors, []);
});

interface Answered {
  readonly __type?: string;
  readonly message?: string;
  readonly principalArn?: string;
  readonly createdAt?: number;
  readonly pullTimeUpdateExclusions?: readonly string[];
  readonly nextToken?: string;
  readonly imageDetails?: readonly { readonly imageDigest: string; readonly lastRecordedPullTime?: number }[];
}

async function ecr(operation: string, input: object, options: CallOptions = {}): Promise<Answered> {
  return (await callEcr(server, operation, input, options)).json<Answered>();
}

/** When images were pulled last, by digest, in seconds; both ways of asking must agree. */
async function pullTimes(repositoryName: string): Promise<Map<string, number | undefined>> {
  await server.core.pulls.flush();
  const listed = (await ecr("DescribeImages", { repositoryName })).imageDetails ?? [];
  const imageIds = listed.map(({ imageDigest }) => ({ imageDigest }));
  assert.deepEqual((await ecr("DescribeImages", { repositoryName, imageIds })).imageDetails, listed);
  return new Map(listed.map(({ imageDigest, lastRecordedPullTime }) => [imageDigest, lastRecordedPullTime]));
}

test("a pull is recorded of what was really pulled, and looking is no pull", async () => {
  await server.createRepository("pulled/app");
  const [one, other] = [makeImage({ seed: "one" }), makeImage({ seed: "other" })];
  const index = makeIndex([one, other]);
  await server.push("pulled/app", one);
  await server.push("pulled/app", other);
  await server.push("pulled/app", index, "latest");
  await server.request("HEAD", "/v2/pulled/app/manifests/latest");
  await ecr("ListImages", { repositoryName: "pulled/app" });
  await server.request("GET", "/v2/pulled/app/manifests/latest", { headers: { Accept: "text/plain" } });
  assert.deepEqual([...(await pullTimes("pulled/app")).values()], [undefined, undefined, undefined]);
  const before = server.core.clock.now();
  assert.equal((await server.request("GET", "/v2/pulled/app/manifests/latest")).status, 200);
  assert.equal((await server.request("GET", `/v2/pulled/app/manifests/${one.digest}`)).status, 200);
  const times = await pullTimes("pulled/app");
  assert.ok((times.get(index.digest) ?? 0) * 1_000 >= before && (times.get(one.digest) ?? 0) * 1_000 >= before);
  assert.equal(times.get(other.digest), undefined);
  server.advance(60_000);
  const etag = { headers: { "If-None-Match": `"${one.digest}"` } };
  assert.equal((await server.request("GET", `/v2/pulled/app/manifests/${one.digest}`, etag)).status, 304);
  await ecr("BatchGetImage", { repositoryName: "pulled/app", imageIds: [{ imageDigest: other.digest }] });
  const later = await pullTimes("pulled/app");
  assert.equal(later.get(index.digest), times.get(index.digest));
  for (const { digest } of [one, other]) assert.ok((later.get(digest) ?? 0) * 1_000 >= before + 60_000);
});

test("pulls of excluded roles and users do not count", async () => {
  await server.createRepository("pulled/quietly");
  const image = makeImage({ seed: "quiet" });
  await server.push("pulled/quietly", image, "latest");
  const callers = callersOf(server);
  const robot = await callers.session("robot", [allowAll]);
  const user = await callers.user("scanner", allowAll);
  const roleArn = `arn:aws:iam::${server.accountId}:role/robot`;
  const userArn = `arn:aws:iam::${server.accountId}:user/scanner`;
  const pull = async (caller: typeof user): Promise<void> => {
    const { accessKeyId, secretAccessKey, sessionToken } = caller.credentials;
    const headers = sessionToken === undefined ? {} : { "X-Amz-Security-Token": sessionToken };
    const options = { credentials: { accessKeyId, secretAccessKey }, headers };
    await ecr("BatchGetImage", { repositoryName: "pulled/quietly", imageIds: [{ imageTag: "latest" }] }, options);
    const authorization = callers.authorizationOf(caller);
    assert.equal((await server.request("GET", "/v2/pulled/quietly/manifests/latest", { authorization })).status, 200);
  };
  const recorded = async (): Promise<number | undefined> => (await pullTimes("pulled/quietly")).get(image.digest);
  for (const principalArn of [roleArn, userArn]) {
    const registered = await ecr("RegisterPullTimeUpdateExclusion", { principalArn });
    assert.equal(registered.principalArn, principalArn);
    assert.ok((registered.createdAt ?? 0) > 1_000_000_000);
  }
  await pull(robot);
  await pull(user);
  assert.equal(await recorded(), undefined);
  for (const [arn, caller] of [
    [roleArn, robot],
    [userArn, user],
  ] as const) {
    server.advance(60_000);
    const before = server.core.clock.now();
    assert.deepEqual(await ecr("DeregisterPullTimeUpdateExclusion", { principalArn: arn }), { principalArn: arn });
    await pull(caller);
    assert.ok(((await recorded()) ?? 0) * 1_000 >= before, arn);
  }
});

test("exclusions have their errors, their limit and their pages", async () => {
  const arn = (name: string): string => `arn:aws:iam::123456789012:role/path/${name}`;
  const region = "us-east-1";
  const names = ["a", "b", "c", "d", "e"];
  for (const name of names) await ecr("RegisterPullTimeUpdateExclusion", { principalArn: arn(name) }, { region });
  assert.deepEqual(await ecr("RegisterPullTimeUpdateExclusion", { principalArn: arn("c") }, { region }), {
    __type: "ExclusionAlreadyExistsException",
    message: `The pull time update exclusion for principal '${arn("c")}' already exists in the registry with id '123456789012'`,
  });
  assert.deepEqual(await ecr("RegisterPullTimeUpdateExclusion", { principalArn: arn("f") }, { region }), {
    __type: "LimitExceededException",
    message: "The registry with id '123456789012' already has the maximum allowed number of pull time update exclusions which is '5'",
  });
  assert.deepEqual(await ecr("DeregisterPullTimeUpdateExclusion", { principalArn: arn("f") }, { region }), {
    __type: "ExclusionNotFoundException",
    message: `The pull time update exclusion for principal '${arn("f")}' does not exist in the registry with id '123456789012'`,
  });
  for (const principalArn of ["arn:aws:sts::123456789012:assumed-role/a/b", "a", "arn:aws:iam::123456789012:root"]) {
    const refused = await ecr("RegisterPullTimeUpdateExclusion", { principalArn });
    assert.equal(refused.__type, "InvalidParameterException", principalArn);
  }
  const found: string[] = [];
  let nextToken: string | undefined;
  do {
    const page: Answered = await ecr("ListPullTimeUpdateExclusions", { maxResults: 2, nextToken }, { region });
    found.push(...(page.pullTimeUpdateExclusions ?? []));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  assert.deepEqual(found, names.map(arn));
  assert.deepEqual(await ecr("ListPullTimeUpdateExclusions", {}), { pullTimeUpdateExclusions: [] });
});
