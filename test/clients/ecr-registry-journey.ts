/** The part of the journey through ECR that is about a registry as a whole. */
import assert from "node:assert/strict";
import { expectItems, time, withoutTimes } from "./ecr-steps.ts";
import type { Journey, Members } from "./ecr-steps.ts";

/** Token, settings and configurations of the registry as a whole. */
export async function setUpRegistry(journey: Journey): Promise<void> {
  const { driver, expect, accountId, region, otherRegion, host } = journey;
  const { authorizationData } = await driver.call("GetAuthorizationToken", {});
  const [data] = authorizationData as readonly Members[];
  assert.match(Buffer.from(String(data?.["authorizationToken"]), "base64").toString(), /^AWS:[^:]+$/);
  assert.deepEqual(withoutTimes({ ...data, authorizationToken: "" }), {
    authorizationToken: "",
    expiresAt: time,
    proxyEndpoint: `http://${host}`,
  });
  const setting = { name: "BLOB_MOUNTING", value: "DISABLED" };
  await expect("PutAccountSetting", setting, setting);
  await expect("GetAccountSetting", { name: setting.name }, setting);
  await expect("PutAccountSetting", { ...setting, value: "ENABLED" }, { ...setting, value: "ENABLED" });
  const statement = { Effect: "Allow", Principal: { AWS: accountId }, Action: "ecr:ReplicateImage", Resource: "*" };
  const policyText = JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
  for (const operation of ["PutRegistryPolicy", "GetRegistryPolicy", "DeleteRegistryPolicy"])
    await expect(operation, operation === "PutRegistryPolicy" ? { policyText } : {}, { registryId: accountId, policyText });
  const scanning = {
    scanType: "BASIC",
    rules: [{ scanFrequency: "SCAN_ON_PUSH", repositoryFilters: [{ filter: "scanned/*", filterType: "WILDCARD" }] }],
  };
  await expect("PutRegistryScanningConfiguration", scanning, { registryScanningConfiguration: scanning });
  await expect("GetRegistryScanningConfiguration", {}, { registryId: accountId, scanningConfiguration: scanning });
  const repositoryFilters = [{ filter: "copied/", filterType: "PREFIX_MATCH" }];
  const replicationConfiguration = { rules: [{ destinations: [{ region: otherRegion, registryId: accountId }], repositoryFilters }] };
  await expect("PutReplicationConfiguration", { replicationConfiguration }, { replicationConfiguration });
  await expect("DescribeRegistry", {}, { registryId: accountId, replicationConfiguration });
  const none = { replicationConfiguration: { rules: [] } };
  await expect("PutReplicationConfiguration", none, none);
  const signingProfileArn = `arn:aws:signer:${region}:${accountId}:/signing-profiles/release`;
  const signingConfiguration = {
    rules: [{ signingProfileArn, repositoryFilters: [{ filter: "signed/*", filterType: "WILDCARD_MATCH" }] }],
  };
  await expect("PutSigningConfiguration", { signingConfiguration }, { signingConfiguration });
  for (const operation of ["GetSigningConfiguration", "DeleteSigningConfiguration"])
    await expect(operation, {}, { registryId: accountId, signingConfiguration });
}

/** Whose pulls do not count. */
export async function excludePullers({ driver, expect, accountId }: Journey): Promise<void> {
  const principals = ["one", "two", "three"].map((name) => `arn:aws:iam::${accountId}:role/${name}`);
  for (const principalArn of principals)
    await expect("RegisterPullTimeUpdateExclusion", { principalArn }, { principalArn, createdAt: time });
  const first = await driver.call("ListPullTimeUpdateExclusions", { maxResults: 2 });
  const second = await driver.call("ListPullTimeUpdateExclusions", { maxResults: 2, nextToken: first["nextToken"] });
  const listed = [first, second].flatMap((page) => page["pullTimeUpdateExclusions"] as string[]);
  assert.deepEqual(listed.toSorted(), principals.toSorted());
  assert.ok(!("nextToken" in second));
  for (const principalArn of principals) await expect("DeregisterPullTimeUpdateExclusion", { principalArn }, { principalArn });
}

/** Pull-through cache rules. */
export async function fetchThroughRules(journey: Journey): Promise<void> {
  const { expect, accountId: registryId, upstreamUrl: upstreamRegistryUrl, secretArn: credentialArn } = journey;
  const prefixes = ["rule-a", "rule-b", "rule-c"];
  const rule = (ecrRepositoryPrefix: string): Members => ({ ecrRepositoryPrefix, registryId });
  for (const ecrRepositoryPrefix of prefixes)
    await expect(
      "CreatePullThroughCacheRule",
      { ecrRepositoryPrefix, upstreamRegistryUrl },
      { ...rule(ecrRepositoryPrefix), upstreamRegistryUrl, createdAt: time },
    );
  await expectItems(journey, "DescribePullThroughCacheRules", {}, "ecrRepositoryPrefix", prefixes);
  const updated = { ...rule("rule-a"), credentialArn };
  await expect("UpdatePullThroughCacheRule", { ecrRepositoryPrefix: "rule-a", credentialArn }, { ...updated, updatedAt: time });
  await expect(
    "DescribePullThroughCacheRules",
    { ecrRepositoryPrefixes: ["rule-a"] },
    { pullThroughCacheRules: [{ ...updated, upstreamRegistryUrl, createdAt: time, updatedAt: time }] },
  );
  await expect("ValidatePullThroughCacheRule", { ecrRepositoryPrefix: "rule-a" }, { ...updated, upstreamRegistryUrl, isValid: true });
  for (const ecrRepositoryPrefix of prefixes) {
    const shown = ecrRepositoryPrefix === "rule-a" ? updated : rule(ecrRepositoryPrefix);
    await expect("DeletePullThroughCacheRule", { ecrRepositoryPrefix }, { ...shown, upstreamRegistryUrl, createdAt: time });
  }
}

/** Repository creation templates. */
export async function makeTemplates(journey: Journey): Promise<void> {
  const { expect, accountId: registryId } = journey;
  const prefixes = ["template-a", "template-b", "template-c"];
  const shown = (prefix: string, more: Members = {}): Members => ({
    registryId,
    repositoryCreationTemplate: {
      prefix,
      appliedFor: ["CREATE_ON_PUSH"],
      encryptionConfiguration: { encryptionType: "AES256" },
      imageTagMutability: "MUTABLE",
      createdAt: time,
      updatedAt: time,
      ...more,
    },
  });
  for (const prefix of prefixes)
    await expect("CreateRepositoryCreationTemplate", { prefix, appliedFor: ["CREATE_ON_PUSH"] }, shown(prefix));
  await expectItems(journey, "DescribeRepositoryCreationTemplates", {}, "prefix", prefixes);
  const change = { description: "Everything of the team", resourceTags: [{ Key: "team", Value: "sea" }], imageTagMutability: "IMMUTABLE" };
  await expect("UpdateRepositoryCreationTemplate", { prefix: "template-a", ...change }, shown("template-a", change));
  const { registryId: _registry, repositoryCreationTemplate } = shown("template-a", change);
  await expect(
    "DescribeRepositoryCreationTemplates",
    { prefixes: ["template-a", "none"] },
    { registryId, repositoryCreationTemplates: [repositoryCreationTemplate] },
  );
  for (const prefix of prefixes)
    await expect("DeleteRepositoryCreationTemplate", { prefix }, shown(prefix, prefix === "template-a" ? change : {}));
}
