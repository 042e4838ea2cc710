import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { deleteRegistrySetting, putRegistrySetting } from "#metadata/registry-settings.ts";
import { putRegistryPolicy } from "#metadata/resource-policies.ts";
import { allow, author, foreign, no, openDecisions, own, region, repo } from "./testing/decisions.ts";
import type { Decisions } from "./testing/decisions.ts";
import { documentOf } from "./testing/identities.ts";

let opened: Decisions;
const registry = { accountId: own, region };
const scopeSetting = { registry, name: "account:REGISTRY_POLICY_SCOPE", author } as const;
const pull = "ecr:BatchGetImage";

before(async () => {
  opened = await openDecisions();
});
after(() => opened.close());

async function setPolicy(...statements: readonly object[]): Promise<void> {
  await putRegistryPolicy(opened.metadata, { registry, document: documentOf(statements), principals: {}, author });
}

async function setScope(value: "V1" | "V2" | undefined): Promise<void> {
  if (value === undefined) await deleteRegistrySetting(opened.metadata, scopeSetting);
  else await putRegistrySetting(opened.metadata, { ...scopeSetting, value });
}

test("what a registry's policy allows others, by its scope", async () => {
  const maker = await opened.user({ accountId: foreign, inline: [allow("ecr:*")] });
  await setPolicy({ Effect: "Allow", Principal: { AWS: foreign }, Action: "ecr:*", Resource: `arn:aws:ecr:${region}:${own}:repository/*` });
  const always = ["ecr:CreateRepository", "ecr:ReplicateImage", "ecr:BatchImportUpstreamImage"];
  const wider = [pull, "ecr:PutImage", "ecr:DescribeRepositories"];
  // Each row is a change of the setting: what was decided before must not be remembered.
  for (const scope of [undefined, "V1", "V2", "V1", undefined] as const) {
    await setScope(scope);
    for (const resource of [repo("new"), repo("*")]) {
      for (const action of always) assert.equal(await opened.answerTo(maker, action, resource), "yes", `${scope} ${action}`);
      for (const action of wider) {
        const expected = scope === "V1" ? no("resource-based policy", action) : "yes";
        assert.equal(await opened.answerTo(maker, action, resource), expected, `${scope} ${action} ${resource}`);
      }
    }
  }
});

test("what a registry's policy denies at home", async () => {
  const root = opened.rootOf();
  const user = await opened.user({ inline: [allow("ecr:*")] });
  await setPolicy({ Effect: "Deny", Principal: "*", Action: "ecr:*", Resource: "*" });
  const denied = "ecr:DescribeRegistry";
  for (const scope of ["V1", "V2"] as const) {
    await setScope(scope);
    const isAsked = scope === "V2";
    assert.equal((await opened.answerTo(user, pull, repo("new"))) !== "yes", isAsked, scope);
    assert.equal((await opened.answerTo(user, denied, "*")) !== "yes", isAsked, scope);
    assert.equal((await opened.answerTo(user, "ecr:DeleteRegistryPolicy", "*")) !== "yes", isAsked, scope);
    assert.equal((await opened.answerTo(root, denied, "*")) !== "yes", isAsked, scope);
    assert.notEqual(await opened.answerTo(user, "ecr:CreateRepository", repo("new")), "yes", scope);
    // Nobody is locked out for good, and tokens are decided by identity policies alone.
    assert.equal(await opened.answerTo(root, "ecr:DeleteRegistryPolicy", "*"), "yes", scope);
    assert.equal(await opened.answerTo(root, "ecr:PutRegistryPolicy", "*"), "yes", scope);
    assert.equal(await opened.answerTo(user, "ecr:GetAuthorizationToken", "*"), "yes", scope);
  }
});
