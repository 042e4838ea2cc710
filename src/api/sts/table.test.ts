import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { AssumeRootCommand, GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { emptyBodySha256, presign } from "#aws/sigv4-signer.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { Answer, RegistryServer } from "../../../test/registry-server.ts";
import { callQuery } from "../../../test/signed-call.ts";
import { stsOperations } from "./table.ts";

let server: RegistryServer;
let client: STSClient;
const form = "Action=GetCallerIdentity&Version=2011-06-15";

before(async () => {
  server = await startRegistryServer();
  client = new STSClient({ endpoint: server.url, region: server.region, credentials: server.credentials, maxAttempts: 1 });
});

after(async () => {
  client.destroy();
  assert.deepEqual(server.errors, []);
  await server.close();
});

const identity = { UserId: "123456789012", Account: "123456789012", Arn: "arn:aws:iam::123456789012:root" };

/** Status, code and type of an answer that must be an error of the Query protocol. */
function fault(answer: Answer): readonly [number, string | undefined, string | undefined] {
  const text = answer.body.toString("utf8");
  assert.equal(answer.headers["content-type"], "text/xml");
  assert.ok(text.startsWith('<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'), text);
  assert.match(text, new RegExp(`<RequestId>${String(answer.headers["x-amzn-requestid"])}</RequestId>`));
  return [answer.status, /<Code>(.*?)<\/Code>/.exec(text)?.[1], /<Type>(.*?)<\/Type>/.exec(text)?.[1]];
}

test("the SDK learns who it is", async () => {
  const { $metadata, ...answer } = await client.send(new GetCallerIdentityCommand({}));
  assert.deepEqual(answer, identity);
  assert.equal($metadata.httpStatusCode, 200);
});

test("the answer is the XML that clients without the SDK look for", async () => {
  const answer = await callQuery(server, form);
  assert.equal(
    answer.body.toString("utf8"),
    `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><UserId>123456789012</UserId><Account>123456789012</Account><Arn>arn:aws:iam::123456789012:root</Arn></GetCallerIdentityResult><ResponseMetadata><RequestId>${String(answer.headers["x-amzn-requestid"])}</RequestId></ResponseMetadata></GetCallerIdentityResponse>`,
  );
});

function presigned(expiresSeconds: number, skewMs = 0): string {
  return presign(
    { method: "GET", target: `/?${form}`, rawHeaders: ["Host", server.host] },
    {
      credentials: server.credentials,
      region: server.region,
      service: "sts",
      now: server.core.clock.now() + skewMs,
      bodySha256: emptyBodySha256,
      expiresSeconds,
    },
  );
}

test("a presigned GET proves an identity for as long as it says", async () => {
  const get = (target: string) => server.request("GET", target, { authorization: null, headers: { Host: server.host } });
  const answer = await get(presigned(60));
  assert.equal(answer.status, 200);
  assert.match(answer.body.toString("utf8"), /<Arn>arn:aws:iam::123456789012:root<\/Arn>/);
  assert.equal((await get(presigned(900, -899_000))).status, 200);
  assert.equal(fault(await get(presigned(60, -61_000)))[1], "RequestExpired");
  assert.deepEqual(fault(await get(presigned(60).replace("GetCallerIdentity", "GetSessionToken"))), [
    403,
    "SignatureDoesNotMatch",
    "Sender",
  ]);
  assert.deepEqual(fault(await get(`/?${form}`)), [403, "MissingAuthenticationToken", "Sender"]);
});

test("what is refused is refused in XML, with the codes of the Query services", async () => {
  const wrong = { ...server.credentials, secretAccessKey: "wrong" };
  const unknown = { ...server.credentials, accessKeyId: "AKIAABCDEFGHIJKLMNOP" };
  assert.deepEqual(fault(await callQuery(server, form, { credentials: wrong })), [403, "SignatureDoesNotMatch", "Sender"]);
  assert.deepEqual(fault(await callQuery(server, form, { credentials: unknown })), [403, "InvalidClientTokenId", "Sender"]);
  assert.deepEqual(fault(await callQuery(server, form, { skewMs: -960_000 })), [403, "SignatureDoesNotMatch", "Sender"]);
  assert.deepEqual(fault(await callQuery(server, form, { sentBody: `${form}&a=b` })), [403, "SignatureDoesNotMatch", "Sender"]);
  assert.deepEqual(fault(await callQuery(server, form, { service: "ecr" })), [403, "SignatureDoesNotMatch", "Sender"]);
  const bad: readonly (readonly [string, number, string])[] = [
    ["Action=GetCallerIdentity&Version=2010-05-08", 400, "InvalidAction"],
    ["Action=GetCallerIdentity", 400, "InvalidAction"],
    ["Action=Nothing&Version=2011-06-15", 400, "InvalidAction"],
    ["Action=toString&Version=2011-06-15", 400, "InvalidAction"],
    ["Action=%3Cb%3E&Version=2011-06-15", 400, "InvalidAction"],
    ["Version=2011-06-15", 400, "MissingAction"],
    [`${form}&Action=AssumeRole`, 400, "MalformedQueryString"],
    [`${form}&a=%ff`, 400, "MalformedQueryString"],
    [`${form}&a=${"x".repeat(600_000)}`, 413, "RequestEntityTooLargeException"],
  ];
  for (const [body, status, code] of bad)
    assert.deepEqual(fault(await callQuery(server, body)), [status, code, "Sender"], body.slice(0, 80));
});

test("operations that are not offered are refused by name", async () => {
  for (const [operation, row] of Object.entries(stsOperations)) {
    if (!("refused" in row)) continue;
    const answer = await callQuery(server, `Action=${operation}&Version=2011-06-15`);
    assert.deepEqual(fault(answer), [400, "NotImplemented", "Sender"]);
    assert.ok(answer.body.toString("utf8").includes(`The operation ${operation} is not implemented by this registry: ${row.refused}`));
  }
  const assume = new AssumeRootCommand({ TargetPrincipal: "123456789012", TaskPolicyArn: { arn: "arn:aws:iam::aws:policy/root-task/X" } });
  await assert.rejects(client.send(assume), { name: "NotImplemented" });
});
