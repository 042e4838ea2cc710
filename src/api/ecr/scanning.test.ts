import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { RegistryScanningRule, StartImageScanCommandInput } from "@aws-sdk/client-ecr";
import {
  BatchGetRepositoryScanningConfigurationCommand,
  DescribeImageScanFindingsCommand,
  DescribeImagesCommand,
  DescribeRepositoriesCommand,
  ECRClient,
  GetRegistryScanningConfigurationCommand,
  PutImageScanningConfigurationCommand,
  PutRegistryScanningConfigurationCommand,
  StartImageScanCommand,
  paginateDescribeImageScanFindings,
  waitUntilImageScanComplete,
} from "@aws-sdk/client-ecr";
import { listChanges } from "#metadata/changes.ts";
import { runScan } from "#registry/scanner.ts";
import type { ContentScanner, ScanFinding, ScanResult } from "#registry/scanner.ts";
import { makeArtifact, makeImage, makeIndex } from "../../../test/fixtures/oci-content.ts";
import { runJobs } from "../../../test/follow-up-jobs.ts";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";

let server: RegistryServer;
let client: ECRClient;
const registryId = "123456789012";
const dayMs = 86_400_000;

before(async () => {
  server = await startRegistryServer();
  client = new ECRClient({ endpoint: server.url, region: server.region, credentials: server.credentials, maxAttempts: 1 });
});

after(async () => {
  client.destroy();
  await server.close();
});

const heap: ScanFinding = {
  name: "CVE-2025-10001",
  severity: "HIGH",
  description: "Heap overflow in libfoo.",
  uri: "https://security.example/CVE-2025-10001",
  source: "DEBIAN_CVE",
  cvss: [
    { source: "NVD", version: "2.0", score: 7.5, vector: "AV:N/AC:L/Au:N/C:P/I:P/A:P" },
    { source: "NVD", version: "3.1", score: 8.1, vector: "CVSS:3.1/AV:N" },
  ],
  packages: [{ name: "libfoo", version: "1.2.3", release: "1", epoch: 2, manager: "OS", blobDigest: "sha256:9c" }],
  fixAvailable: "YES",
};
const sourceUpdatedAt = 1_762_905_600_000;

/** Answers the same for everything. */
function scanner(result: ScanResult | Error): ContentScanner {
  return { scan: async () => (result instanceof Error ? Promise.reject(result) : result) };
}

const found = (...findings: ScanFinding[]): ContentScanner => scanner({ outcome: "scanned", findings, sourceUpdatedAt });
const scanAll = (engine: ContentScanner | undefined, attempt?: number) =>
  runJobs(server.core, { scan: (run) => runScan(run, engine) }, attempt);
const configure = (scanType: "BASIC" | "ENHANCED", ...rules: RegistryScanningRule[]) =>
  client.send(new PutRegistryScanningConfigurationCommand({ scanType, rules }));
const rule = (scanFrequency: "SCAN_ON_PUSH" | "CONTINUOUS_SCAN" | "MANUAL", filter: string): RegistryScanningRule => ({
  scanFrequency,
  repositoryFilters: [{ filter, filterType: "WILDCARD" }],
});
const findings = (repositoryName: string, imageTag = "v1") =>
  client.send(new DescribeImageScanFindingsCommand({ repositoryName, imageId: { imageTag } }));
const start = (repositoryName: string, imageId: StartImageScanCommandInput["imageId"] = { imageTag: "v1" }) =>
  client.send(new StartImageScanCommand({ repositoryName, imageId }));
const changesOf = async (kind: string) =>
  (await listChanges(server.core.metadata, { limit: 10_000 })).filter((change) => change.kind === kind);

async function refused(call: Promise<unknown>, name: string, message: string | RegExp): Promise<void> {
  await assert.rejects(call, (error: Error) => {
    assert.equal(error.name, name, error.message);
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    return true;
  });
}

test("a repository's scan on push is changed", async () => {
  const repositoryName = "scanning/flag";
  await server.createRepository(repositoryName);
  for (const scanOnPush of [true, false]) {
    const answer = await client.send(
      new PutImageScanningConfigurationCommand({ repositoryName, imageScanningConfiguration: { scanOnPush } }),
    );
    assert.deepEqual(
      [answer.registryId, answer.repositoryName, answer.imageScanningConfiguration],
      [registryId, repositoryName, { scanOnPush }],
    );
    const { repositories } = await client.send(new DescribeRepositoriesCommand({ repositoryNames: [repositoryName] }));
    assert.deepEqual(repositories?.[0]?.imageScanningConfiguration, { scanOnPush });
  }
  await refused(
    client.send(new PutImageScanningConfigurationCommand({ repositoryName: "none/such", imageScanningConfiguration: {} })),
    "RepositoryNotFoundException",
    `The repository with name 'none/such' does not exist in the registry with id '${registryId}'`,
  );
});

test("the registry's configuration is replaced whole, and its rules fit its type", async () => {
  const get = async () => {
    const answer = await client.send(new GetRegistryScanningConfigurationCommand({}));
    assert.equal(answer.registryId, registryId);
    return answer.scanningConfiguration;
  };
  assert.deepEqual(await get(), { scanType: "BASIC", rules: [] });
  const put = await configure("ENHANCED", rule("CONTINUOUS_SCAN", "a"), rule("SCAN_ON_PUSH", "*"));
  assert.deepEqual(put.registryScanningConfiguration, await get());
  assert.equal((await get())?.rules?.length, 2);
  const invalid = /^Invalid parameter at 'rules' failed to satisfy constraint: 'The scan frequency /;
  await refused(configure("BASIC", rule("CONTINUOUS_SCAN", "a")), "InvalidParameterException", invalid);
  await refused(configure("ENHANCED", rule("MANUAL", "a")), "InvalidParameterException", invalid);
  await refused(configure("BASIC", rule("SCAN_ON_PUSH", "a"), rule("SCAN_ON_PUSH", "b")), "InvalidParameterException", invalid);
  await client.send(new PutRegistryScanningConfigurationCommand({}));
  assert.deepEqual(await get(), { scanType: "BASIC", rules: [] });
});

test("the effective configuration of repositories, and what is told of its changes", async () => {
  for (const name of ["effective/a", "effective/b", "effective/flag"])
    await server.createRepository(name, { scanOnPush: name.endsWith("flag") });
  const before = (await changesOf("scan-frequency-set")).length;
  await configure("ENHANCED", rule("CONTINUOUS_SCAN", "effective/a"), rule("SCAN_ON_PUSH", "effective/*"));
  const repositoryNames = ["effective/b", "effective/a", "effective/none", "effective/b"];
  const answer = await client.send(new BatchGetRepositoryScanningConfigurationCommand({ repositoryNames }));
  assert.deepEqual(
    answer.scanningConfigurations?.map(({ repositoryName, scanFrequency, scanOnPush, appliedScanFilters }) => [
      repositoryName,
      scanFrequency,
      scanOnPush,
      appliedScanFilters?.map(({ filter }) => filter),
    ]),
    [
      ["effective/b", "SCAN_ON_PUSH", true, ["effective/*"]],
      ["effective/a", "CONTINUOUS_SCAN", true, ["effective/a"]],
    ],
  );
  assert.equal(answer.scanningConfigurations?.[0]?.repositoryArn, `arn:aws:ecr:${server.region}:${registryId}:repository/effective/b`);
  const failure = { repositoryName: "effective/none", failureCode: "REPOSITORY_NOT_FOUND", failureReason: "REPOSITORY_NOT_FOUND" };
  assert.deepEqual(answer.failures, [failure]);
  const told = (await changesOf("scan-frequency-set")).slice(before).map((change) => [change.repositoryName, change.before, change.after]);
  assert.deepEqual(told, [
    ["effective/a", { scanType: "BASIC", scanFrequency: "MANUAL" }, { scanType: "ENHANCED", scanFrequency: "CONTINUOUS_SCAN" }],
    ["effective/b", { scanType: "BASIC", scanFrequency: "MANUAL" }, { scanType: "ENHANCED", scanFrequency: "SCAN_ON_PUSH" }],
  ]);
  await configure("BASIC");
});

test("without an engine a scan fails and says so, and may be asked for again at once", async () => {
  const repositoryName = "scanning/no-engine";
  await server.createRepository(repositoryName, { scanOnPush: true });
  await server.push(repositoryName, makeImage({ seed: 1 }), "v1");
  assert.deepEqual((await findings(repositoryName)).imageScanStatus, { status: "IN_PROGRESS" });
  await scanAll(undefined);
  const status = { status: "FAILED", description: "No scan engine is installed in this registry." };
  const answer = await findings(repositoryName);
  assert.deepEqual([answer.imageScanStatus, answer.imageScanFindings], [status, undefined]);
  const { imageDetails } = await client.send(new DescribeImagesCommand({ repositoryName }));
  assert.deepEqual([imageDetails?.[0]?.imageScanStatus, imageDetails?.[0]?.imageScanFindingsSummary], [status, undefined]);
  assert.deepEqual((await start(repositoryName)).imageScanStatus, { status: "IN_PROGRESS" });
  await scanAll(undefined);
});

test("scan on push, basic: findings with ECR's members, counts in the summary, an entry for the event", async () => {
  const repositoryName = "scanning/basic";
  await server.createRepository(repositoryName, { scanOnPush: true });
  const image = makeImage({ seed: 2 });
  await server.push(repositoryName, image, "v1");
  await server.push(repositoryName, makeIndex([image]), "all");
  await server.push(repositoryName, makeArtifact(), "chart");
  const low: ScanFinding = { name: "CVE-2", severity: "UNTRIAGED", packages: [] };
  assert.equal(await scanAll(found(low, heap)), 1, "the image alone");
  await waitUntilImageScanComplete({ client, maxWaitTime: 10 }, { repositoryName, imageId: { imageTag: "v1" } });
  const answer = await findings(repositoryName);
  const imageId = { imageDigest: image.digest, imageTag: "v1" };
  assert.deepEqual([answer.registryId, answer.repositoryName, answer.imageId], [registryId, repositoryName, imageId]);
  assert.deepEqual(answer.imageScanStatus, { status: "COMPLETE", description: "The scan was completed successfully." });
  const severityCounts = { HIGH: 1, UNTRIAGED: 1 };
  const { findings: list, imageScanCompletedAt, ...summary } = answer.imageScanFindings ?? {};
  assert.deepEqual(summary, { vulnerabilitySourceUpdatedAt: new Date(sourceUpdatedAt), findingSeverityCounts: severityCounts });
  assert.equal(imageScanCompletedAt?.getMilliseconds(), 0);
  assert.deepEqual(list, [
    {
      name: "CVE-2025-10001",
      description: "Heap overflow in libfoo.",
      uri: "https://security.example/CVE-2025-10001",
      severity: "HIGH",
      attributes: [
        { key: "package_name", value: "libfoo" },
        { key: "package_version", value: "2:1.2.3-1" },
        { key: "CVSS2_VECTOR", value: "AV:N/AC:L/Au:N/C:P/I:P/A:P" },
        { key: "CVSS2_SCORE", value: "7.5" },
        { key: "CVSS3_VECTOR", value: "CVSS:3.1/AV:N" },
        { key: "CVSS3_SCORE", value: "8.1" },
      ],
    },
    { name: "CVE-2", severity: "UNDEFINED", attributes: [] },
  ]);
  const { imageDetails = [] } = await client.send(new DescribeImagesCommand({ repositoryName }));
  const shown = imageDetails.map(({ imageTags, imageScanStatus, imageScanFindingsSummary }) => [
    imageTags?.[0],
    imageScanStatus?.status,
    imageScanFindingsSummary?.findingSeverityCounts,
  ]);
  assert.deepEqual(shown, [
    ["v1", "COMPLETE", severityCounts],
    ["all", undefined, undefined],
    ["chart", undefined, undefined],
  ]);
  const change = (await changesOf("scan-completed")).at(-1);
  assert.deepEqual(
    [change?.repositoryName, change?.subject, change?.after],
    [repositoryName, image.digest, { scanType: "BASIC", status: "COMPLETE", severityCounts, tags: ["v1"] }],
  );
});

test("findings come in pages", async () => {
  const repositoryName = "scanning/pages";
  await server.createRepository(repositoryName, { scanOnPush: true });
  await server.push(repositoryName, makeImage({ seed: 3 }), "v1");
  const many = Array.from({ length: 25 }, (_, index): ScanFinding => ({ name: `CVE-${index}`, severity: "LOW", packages: [] }));
  await scanAll(found(...many));
  const names: (string | undefined)[] = [];
  const sizes: number[] = [];
  const pages = paginateDescribeImageScanFindings({ client, pageSize: 10 }, { repositoryName, imageId: { imageTag: "v1" } });
  for await (const { imageScanFindings } of pages) {
    sizes.push(imageScanFindings?.findings?.length ?? 0);
    names.push(...(imageScanFindings?.findings ?? []).map(({ name }) => name));
    assert.deepEqual(imageScanFindings?.findingSeverityCounts, { LOW: 25 });
  }
  assert.deepEqual(sizes, [10, 10, 5]);
  assert.deepEqual(
    names,
    many.map(({ name }) => name),
  );
});

test("StartImageScan: once a day, of images only, never where scanning is enhanced", async () => {
  const repositoryName = "scanning/start";
  await server.createRepository(repositoryName);
  const image = makeImage({ seed: 4 });
  await server.push(repositoryName, image, "v1");
  await server.push(repositoryName, makeIndex([image]), "all");
  await server.push(repositoryName, makeArtifact({ seed: 4 }), "chart");
  const where = `in the repository with name '${repositoryName}' in the registry with id '${registryId}'`;
  await refused(
    findings(repositoryName),
    "ScanNotFoundException",
    `Image scan does not exist for the image with '{imageDigest:'null', imageTag:'v1'}' ${where}`,
  );
  const answer = await start(repositoryName);
  const imageId = { imageDigest: image.digest, imageTag: "v1" };
  assert.deepEqual([answer.registryId, answer.repositoryName, answer.imageId], [registryId, repositoryName, imageId]);
  assert.deepEqual(answer.imageScanStatus, { status: "IN_PROGRESS" });
  const quota = "The scan quota per image has been exceeded. Wait and try again.";
  await refused(start(repositoryName), "LimitExceededException", quota);
  await scanAll(found());
  await refused(start(repositoryName, { imageDigest: image.digest }), "LimitExceededException", quota);
  // The scan was a day ago; a clock that is moved so far would spoil signatures and tokens.
  await server.core.metadata.transaction(async (tx) => {
    await tx
      .updateTable("follow_up")
      .set(({ eb }) => ({ started_at: eb("started_at", "-", dayMs) }))
      .execute();
  });
  await start(repositoryName, { imageDigest: image.digest });
  await scanAll(found(heap));
  assert.deepEqual((await findings(repositoryName)).imageScanFindings?.findingSeverityCounts, { HIGH: 1 });
  await refused(start(repositoryName, { imageTag: "all" }), "UnsupportedImageTypeException", /cannot be scanned$/);
  await refused(start(repositoryName, { imageTag: "chart" }), "UnsupportedImageTypeException", /cannot be scanned$/);
  await refused(
    start(repositoryName, { imageTag: "no" }),
    "ImageNotFoundException",
    `The image with imageId {imageDigest:'null', imageTag:'no'} does not exist within the repository with name '${repositoryName}' in the registry with id '${registryId}'`,
  );
  await refused(start(repositoryName, {}), "InvalidParameterException", /both tag and digest cannot be null/);
  await refused(start("none/such"), "RepositoryNotFoundException", /none\/such/);
  await configure("ENHANCED");
  await refused(start(repositoryName), "ValidationException", "This feature is disabled");
  await configure("BASIC");
});

test("enhanced scanning has results of its own, and each type hides the other's", async () => {
  const repositoryName = "scanning/enhanced";
  await server.createRepository(repositoryName, { scanOnPush: true });
  await server.push(repositoryName, makeImage({ seed: 5 }), "v1");
  await scanAll(found());
  await configure("ENHANCED", rule("CONTINUOUS_SCAN", "scanning/enhanced"));
  await refused(findings(repositoryName), "ScanNotFoundException", /^Image scan does not exist/);
  const image = makeImage({ seed: 6 });
  await server.push(repositoryName, image, "v2");
  assert.deepEqual((await findings(repositoryName, "v2")).imageScanStatus, { status: "PENDING" });
  await scanAll(found(heap));
  const answer = await findings(repositoryName, "v2");
  assert.deepEqual(answer.imageScanStatus, { status: "ACTIVE", description: "Continuous scan is selected for image." });
  assert.equal(answer.imageScanFindings?.findings, undefined);
  const [finding, ...others] = answer.imageScanFindings?.enhancedFindings ?? [];
  assert.equal(others.length, 0);
  assert.match(finding?.findingArn ?? "", new RegExp(`^arn:aws:inspector2:${server.region}:${registryId}:finding/[0-9a-f]{32}$`));
  assert.deepEqual(
    [finding?.awsAccountId, finding?.title, finding?.severity, finding?.score, finding?.fixAvailable],
    [registryId, "CVE-2025-10001 - libfoo", "HIGH", 8.1, "YES"],
  );
  assert.deepEqual(finding?.packageVulnerabilityDetails?.vulnerablePackages, [
    { name: "libfoo", version: "1.2.3", release: "1", epoch: 2, packageManager: "OS", sourceLayerHash: "sha256:9c" },
  ]);
  assert.deepEqual(finding?.resources?.[0]?.details?.awsEcrContainerImage?.imageTags, ["v2"]);
  assert.equal(finding?.resources?.[0]?.id, `arn:aws:ecr:${server.region}:${registryId}:repository/${repositoryName}/${image.digest}`);
  await configure("ENHANCED", rule("SCAN_ON_PUSH", "scanning/enhanced"));
  assert.equal((await findings(repositoryName, "v2")).imageScanStatus?.status, "COMPLETE");
  await configure("BASIC");
  assert.equal((await findings(repositoryName)).imageScanStatus?.status, "COMPLETE");
  await refused(findings(repositoryName, "v2"), "ScanNotFoundException", /^Image scan does not exist/);
});

test("what is in the archive is not scanned", async () => {
  const repositoryName = "scanning/archive";
  await server.createRepository(repositoryName, { scanOnPush: true });
  const image = makeImage({ seed: 9 });
  await server.push(repositoryName, image, "v1");
  await server.core.metadata.transaction(async (tx) => {
    await tx.updateTable("manifest").set({ status: "ARCHIVED" }).where("digest", "=", image.digest).execute();
  });
  await scanAll(found(heap));
  assert.deepEqual((await findings(repositoryName)).imageScanStatus, { status: "IMAGE_ARCHIVED", description: "The image is archived." });
  await refused(start(repositoryName), "ImageArchivedException", /is archived$/);
});

test("what a scanner cannot do: an unknown system is unsupported, an error is tried again and then has failed", async () => {
  const repositoryName = "scanning/failing";
  await server.createRepository(repositoryName, { scanOnPush: true });
  await server.push(repositoryName, makeImage({ seed: 7 }), "v1");
  const reason = "UnsupportedImageError: The operating system and/or package manager are not supported.";
  await scanAll(scanner({ outcome: "unsupported", reason }));
  assert.deepEqual((await findings(repositoryName)).imageScanStatus, { status: "UNSUPPORTED_IMAGE", description: reason });
  await server.push(repositoryName, makeImage({ seed: 8 }), "v2");
  await assert.rejects(scanAll(scanner(new Error("the advisories are away")), 1), /away/);
  assert.equal((await findings(repositoryName, "v2")).imageScanStatus?.status, "IN_PROGRESS");
  server.advance(120_000);
  assert.equal(await scanAll(scanner(new Error("the advisories are away")), 3), 1);
  assert.deepEqual((await findings(repositoryName, "v2")).imageScanStatus, {
    status: "FAILED",
    description: "The scan could not be completed.",
  });
});
