/** The aws cli waits for scans; an engine of the test's own makes them. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { runScan } from "#registry/scanner.ts";
import type { ContentScanner } from "#registry/scanner.ts";
import { makeImage } from "../fixtures/oci-content.ts";
import { runJobs } from "../follow-up-jobs.ts";
import { startRegistryServer } from "../registry-server.ts";
import type { RegistryServer } from "../registry-server.ts";
import { json, mustRun, needs, runTool } from "./tool.ts";

let server: RegistryServer;
before(async () => {
  server = await startRegistryServer();
});
after(() => server.close());

const engine: ContentScanner = {
  scan: async () => ({
    outcome: "scanned",
    findings: [{ name: "CVE-2025-10001", severity: "CRITICAL", packages: [{ name: "libfoo", version: "1" }] }],
    sourceUpdatedAt: 1_762_905_600_000,
  }),
};

test("aws ecr wait image-scan-complete, and what was found", needs("aws"), async () => {
  const environment = {
    AWS_ACCESS_KEY_ID: server.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.credentials.secretAccessKey,
    AWS_ENDPOINT_URL: server.url,
    AWS_DEFAULT_REGION: server.region,
    AWS_PAGER: "",
  };
  const aws = (...words: string[]): Promise<string> => mustRun(["aws", "ecr", ...words, "--output", "json"], { environment });
  const image = ["--repository-name", "scanned/app", "--image-id", "imageTag=v1"];
  await server.createRepository("scanned/app", { scanOnPush: true });
  await server.push("scanned/app", makeImage(), "v1");
  await runJobs(server.core, { scan: (run) => runScan(run, engine) });
  await aws("wait", "image-scan-complete", ...image);
  const found = json<{ imageScanFindings: { findings: { name: string }[]; findingSeverityCounts: object } }>(
    await aws("describe-image-scan-findings", ...image),
  );
  assert.deepEqual(found.imageScanFindings.findingSeverityCounts, { CRITICAL: 1 });
  assert.deepEqual(
    found.imageScanFindings.findings.map(({ name }) => name),
    ["CVE-2025-10001"],
  );
  await server.push("scanned/app", makeImage({ seed: 2 }), "v2");
  await runJobs(server.core, { scan: (run) => runScan(run, undefined) });
  const failed = await runTool(
    ["aws", "ecr", "wait", "image-scan-complete", "--repository-name", "scanned/app", "--image-id", "imageTag=v2"],
    {
      environment,
    },
  );
  assert.match(failed.stderr, /Waiter ImageScanComplete failed/);
});
