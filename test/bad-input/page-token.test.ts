/** Page tokens of the AWS APIs that are forged, foreign or changed: refused, whoever made them. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { parseRepositoryName } from "#oci/repository-name.ts";
import { createDownloadTicket } from "#registry/blob.ts";
import { sealPageToken } from "#registry/page-token.ts";
import { makeInstanceKey } from "#sealing/instance-key.ts";
import { createSealer } from "#sealing/sealer.ts";
import { systemRandom } from "#std/random.ts";
import type { Answer } from "../registry-server.ts";
import { callEcr } from "../signed-call.ts";
import { expectAlive, expectRefusal, startGround } from "./ground.ts";
import type { Ground } from "./ground.ts";

let ground: Ground;
before(async () => void (ground = await startGround()));
after(() => ground.close());

const app = { repositoryName: "team/app" };
const message = "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'";

describe("page tokens that this listing did not hand out", () => {
  const page = (operation: string, nextToken: string, more: object = {}): Promise<Answer> =>
    callEcr(ground.server, operation, { ...(operation === "DescribeRepositories" ? {} : app), maxResults: 1, nextToken, ...more });
  /** A real token of a listing. */
  async function tokenOf(operation: string, more: object = {}): Promise<string> {
    const answer = await callEcr(ground.server, operation, {
      ...(operation === "DescribeRepositories" ? {} : app),
      maxResults: 1,
      ...more,
    });
    return answer.json<{ nextToken: string }>().nextToken;
  }
  async function refusedToken(send: () => Promise<Answer>): Promise<void> {
    await expectRefusal(ground, {
      send,
      verdict: { status: 400, code: "InvalidParameterException", message },
    });
  }
  const listings = ["ListImages", "DescribeImages", "DescribeRepositories"];
  for (const operation of listings) {
    test(`${operation}: invented, cut, changed, of another listing, of another kind`, async () => {
      const real = await tokenOf(operation);
      assert.equal((await page(operation, real)).status, 200);
      const others = await Promise.all(listings.filter((other) => other !== operation).map((other) => tokenOf(other)));
      const foreign = createSealer([makeInstanceKey(systemRandom)], systemRandom).seal("page:", Buffer.from('["123456789012",1]'));
      const context = { core: ground.server.core, actor: ground.server.principal, requestId: "test" };
      const other = { ...context, actor: { ...context.actor, accountId: "210987654321" } };
      const name = parseRepositoryName("team/app");
      assert.ok(name.ok);
      const registry = { accountId: ground.server.accountId, region: ground.server.region };
      const { ticket } = await createDownloadTicket(
        { ...context, actor: ground.server.principal },
        registry,
        name.value,
        ground.image.layers[0]?.digest ?? ground.image.digest,
      );
      const changed = real.split("").map((letter, at) => `${real.slice(0, at)}${letter === "A" ? "B" : "A"}${real.slice(at + 1)}`);
      const listing =
        operation === "DescribeRepositories"
          ? [operation, registry.accountId, registry.region]
          : [operation, registry.accountId, registry.region, "team/app", "ANY", "ACTIVE"];
      const purpose = JSON.stringify(listing);
      const tokens = [
        "",
        "x",
        "\0",
        "a".repeat(5_000),
        real.slice(0, -1),
        `${real}A`,
        `${real}=`,
        ground.server.token,
        ticket,
        foreign,
        ...others,
      ];
      tokens.push(
        sealPageToken(other, purpose, 1),
        sealPageToken(context, purpose, { a: 1 }),
        sealPageToken(context, purpose, null),
        sealPageToken(context, purpose, ["1", 1]),
      );
      for (const token of tokens) await refusedToken(() => page(operation, token));
      for (const token of changed) {
        const answer = await page(operation, token);
        // The last letter holds bits that base64 does not use; a change there may be no change.
        const isSame = Buffer.from(token, "base64url").equals(Buffer.from(real, "base64url"));
        assert.equal(answer.status, isSame ? answer.status : 400, token);
      }
      await expectAlive(ground);
    });
  }
  test("of another repository, filter or region", async () => {
    const real = await tokenOf("ListImages");
    await refusedToken(() => page("ListImages", real, { repositoryName: "team/other" }));
    await refusedToken(() => page("ListImages", real, { filter: { tagStatus: "TAGGED" } }));
    const repositories = await tokenOf("DescribeRepositories");
    await refusedToken(() => callEcr(ground.server, "DescribeRepositories", { nextToken: repositories }, { region: "us-east-1" }));
  });
  test("of another account, by its own owner", async () => {
    const real = await tokenOf("DescribeRepositories");
    const credentials = await ground.addAccount("210987654321");
    await refusedToken(() => callEcr(ground.server, "DescribeRepositories", { nextToken: real }, { credentials }));
  });
});
