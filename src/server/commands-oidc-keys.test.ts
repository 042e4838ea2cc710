/** Keys that are uploaded for an issuer that cannot be reached: through the control socket, on record, and good for tokens at once. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { findAuditRecords } from "#cli/audit.ts";
import { createOidcProvider } from "#identity/oidc-provider.ts";
import { createRole } from "#identity/role.ts";
import { readIdentityEpoch } from "#metadata/identity-epoch.ts";
import { SignJWT } from "jose";
import type { JWK } from "jose";
import { makeIssuerKey } from "../../test/fake-issuer.ts";
import type { IssuerKey } from "../../test/fake-issuer.ts";
import { trusting } from "../../test/sts-fixture.ts";
import { callControl } from "./control.ts";
import { startInProcess } from "./testing/in-process.ts";
import type { InProcessServer } from "./testing/in-process.ts";

const issuer = "https://kubernetes.default.svc.cluster.local";
const name = issuer.slice("https://".length);
const providerArn = `arn:aws:iam::000000000000:oidc-provider/${name}`;

let running: InProcessServer;
let first: IssuerKey;
let second: IssuerKey;
before(async () => {
  running = await startInProcess();
  [first, second] = await Promise.all([makeIssuerKey("first"), makeIssuerKey("second", "ES256")]);
  const ctx = { core: running.server.foundation.core, accountId: "000000000000" };
  await createOidcProvider(ctx, { name, clientIds: ["sts.amazonaws.com"], thumbprints: [], tags: [] });
  const trust = trusting({ Federated: providerArn }, ["sts:AssumeRoleWithWebIdentity"]);
  const trustDocument = JSON.stringify({ Version: "2012-10-17", Statement: [trust] });
  await createRole(ctx, {
    name: "pods",
    path: "/",
    trustDocument,
    description: undefined,
    maxSessionSeconds: undefined,
    boundaryArn: undefined,
    tags: [],
  });
});
after(() => running.close());

const command = (which: string, input: object): Promise<unknown> =>
  callControl(running.server.foundation.paths.controlSocket, which, input);
const upload = (...keys: readonly JWK[]): Promise<unknown> => command("oidc-keys-set", { providerArn, jwks: { keys } });

/** The code of the answer to a token that is signed with this key. */
async function codeFor(key: IssuerKey): Promise<string> {
  const claims = { aud: "sts.amazonaws.com", sub: "system:serviceaccount:build:runner", iss: issuer };
  const signing = new SignJWT(claims).setProtectedHeader({ alg: key.algorithm, kid: key.keyId }).setIssuedAt().setExpirationTime("5m");
  const answer = await running.ask("GET", "/v1/credentials/pods", { headers: { authorization: await signing.sign(key.privateKey) } });
  return answer.json<{ Code?: string }>().Code ?? "given";
}

async function recordsOf(eventName: string, atLeast: number): Promise<readonly Record<string, unknown>[]> {
  for (let waited = 0; ; waited += 50) {
    const lines = await Array.fromAsync(findAuditRecords(running.server.foundation.paths.auditFolder, { eventName }));
    if (lines.length >= atLeast || waited > 3_000) return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("uploaded keys are good at once, the next set takes their place, and without them the issuer is asked", async () => {
  await assert.rejects(command("oidc-keys-show", { providerArn }), /no keys were set/);
  const { metadata } = running.server.foundation.core;
  const epoch = await readIdentityEpoch(metadata);
  assert.deepEqual(await upload(first.publicJwk), [first.publicJwk]);
  assert.ok((await readIdentityEpoch(metadata)) > epoch);
  assert.deepEqual([await codeFor(first), await codeFor(second)], ["given", "InvalidIdentityToken"]);
  await upload(first.publicJwk, second.publicJwk);
  assert.deepEqual([await codeFor(first), await codeFor(second)], ["given", "given"]);
  await upload(second.publicJwk);
  assert.deepEqual([await codeFor(first), await codeFor(second)], ["InvalidIdentityToken", "given"]);
  assert.deepEqual(await command("oidc-keys-show", { providerArn }), [second.publicJwk]);
  await command("oidc-keys-remove", { providerArn });
  assert.notEqual(await codeFor(second), "given");
  await command("oidc-keys-remove", { providerArn });
});

test("what is no key set, and a provider that is not there, are refused; the keys stay", async () => {
  await upload(first.publicJwk);
  const secret = { kty: "oct", k: "c2VjcmV0", kid: "a-secret" };
  const missing = providerArn.replace("kubernetes", "other");
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ providerArn, jwks: { keys: [secret] } }, /Key 1 is a secret key/],
    [{ providerArn, jwks: {} }, /list of 'keys'/],
    [{ providerArn: missing, jwks: { keys: [first.publicJwk] } }, /not found/],
    [{ providerArn: providerArn.replace("000000000000", "111111111111"), jwks: { keys: [first.publicJwk] } }, /not found/],
    [{ providerArn: "arn:aws:iam::000000000000:role/pods", jwks: { keys: [first.publicJwk] } }, /expected the ARN/],
  ];
  for (const [input, words] of cases) await assert.rejects(command("oidc-keys-set", input), words);
  await assert.rejects(command("oidc-keys-show", { providerArn: missing }), /not found/);
  await assert.rejects(command("oidc-keys-remove", { providerArn: missing }), /not found/);
  assert.equal(await codeFor(first), "given");
});

test("commands that change something are on record, with no word of what they were given by mistake", async () => {
  const records = await recordsOf("OidcKeysSet", 8);
  const [set] = records;
  assert.deepEqual(set?.["userIdentity"], { type: "Operator" });
  assert.deepEqual([set?.["eventSource"], set?.["recipientAccountId"], set?.["readOnly"]], ["supercargo", "000000000000", false]);
  assert.deepEqual(set?.["requestParameters"], { providerArn, jwks: ["first"] });
  const failed = records.filter(({ errorCode }) => errorCode === "CommandFailed");
  assert.deepEqual(
    failed.map(({ recipientAccountId }) => recipientAccountId),
    ["000000000000", "000000000000", "000000000000", "111111111111"],
  );
  assert.match(String(failed[0]?.["errorMessage"]), /secret key/);
  assert.doesNotMatch(JSON.stringify(records), /c2VjcmV0/);
  assert.deepEqual(await recordsOf("OidcKeysShow", 0), []);
  await command("machine-list", {});
  await assert.rejects(command("machine-revoke", { name: "nobody" }));
  const [revoked] = await recordsOf("MachineRevoke", 1);
  assert.deepEqual([revoked?.["errorCode"], revoked?.["requestParameters"]], ["CommandFailed", { name: "nobody" }]);
});
