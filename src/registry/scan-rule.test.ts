import assert from "node:assert/strict";
import { test } from "node:test";
import { mediaTypes } from "#oci/media-type.ts";
import { parseManifest } from "#oci/manifest.ts";
import type { ParsedManifest } from "#oci/manifest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { makeArtifact, makeImage, makeIndex, makeBlob } from "../../test/fixtures/oci-content.ts";
import type { Content } from "../../test/fixtures/oci-content.ts";
import { effectiveScanning, isScannable, scanRule } from "./scan-rule.ts";
import type { ScanConfiguration, ScanFrequency } from "./scan-rule.ts";

const rule = (scanFrequency: ScanFrequency, ...filters: string[]): ScanConfiguration["rules"][number] => ({
  scanFrequency,
  repositoryFilters: filters.map((filter) => ({ filter, filterType: "WILDCARD" })),
});
const parsed = ({ bytes, mediaType }: Content): ParsedManifest => {
  const manifest = parseManifest(bytes, mediaType);
  assert.ok(manifest.ok);
  return manifest.value;
};

// Amazon ECR User Guide, "Filters to choose which repositories are scanned".
const names = ["prod", "repo-prod", "prod-repo", "repo-prod-repo", "prodrepo"];
const matches: Readonly<Record<string, readonly string[]>> = {
  prod: names,
  "*prod": ["prod", "repo-prod"],
  "prod*": ["prod", "prod-repo", "prodrepo"],
  "*prod*": names,
  "prod*repo": ["prod-repo", "prodrepo"],
};
for (const [filter, expected] of Object.entries(matches)) {
  test(`the filter ${filter} matches what AWS says`, () => {
    const configuration: ScanConfiguration = { scanType: "BASIC", rules: [rule("SCAN_ON_PUSH", filter)] };
    const matched = names.filter((name) => effectiveScanning(configuration, { name, scanOnPush: false }).frequency === "SCAN_ON_PUSH");
    assert.deepEqual(matched, expected);
  });
}

test("continuous scanning beats scanning on push; the repository's own flag counts with basic scanning only", () => {
  const rules = [rule("SCAN_ON_PUSH", "*", "none"), rule("CONTINUOUS_SCAN", "shop*", "s*")];
  const at = (configuration: ScanConfiguration, name: string, scanOnPush = false) => {
    const { frequency, filters } = effectiveScanning(configuration, { name, scanOnPush });
    return [frequency, ...filters.map(({ filter }) => filter)];
  };
  assert.deepEqual(at({ scanType: "ENHANCED", rules }, "shop"), ["CONTINUOUS_SCAN", "shop*", "s*"]);
  assert.deepEqual(at({ scanType: "ENHANCED", rules }, "other"), ["SCAN_ON_PUSH", "*"]);
  assert.deepEqual(at({ scanType: "ENHANCED", rules: [] }, "other", true), ["MANUAL"]);
  assert.deepEqual(at({ scanType: "BASIC", rules: [] }, "other", true), ["SCAN_ON_PUSH"]);
  assert.deepEqual(at({ scanType: "BASIC", rules: [] }, "other"), ["MANUAL"]);
  assert.deepEqual(at({ scanType: "BASIC", rules: [rule("SCAN_ON_PUSH")] }, "other"), ["MANUAL"]);
});

test("images are scanned, and nothing else is", () => {
  const image = makeImage();
  const inToto = { ...makeBlob(10, 1), mediaType: "application/vnd.in-toto+json" };
  assert.equal(isScannable(parsed(image)), true);
  assert.equal(isScannable(parsed(makeImage({ isDocker: true }))), true);
  assert.equal(isScannable(parsed(makeIndex([image]))), false);
  assert.equal(isScannable(parsed(makeArtifact())), false);
  assert.equal(isScannable(parsed(makeImage({ layers: [inToto] }))), false, "an attestation of buildkit");
});

test("a push is scanned as the registry is set", () => {
  const push = { registry: { accountId: "1", region: "r" }, name: "shop" as RepositoryName, manifest: parsed(makeImage()) };
  const after = (scanning: ScanConfiguration | undefined, pushed = push) =>
    scanRule(new Map(scanning === undefined ? [] : [["scanning", scanning]]), pushed);
  assert.deepEqual(after(undefined), [{ kind: "scan", target: "", when: "new-if-scanned" }]);
  assert.deepEqual(after({ scanType: "BASIC", rules: [rule("SCAN_ON_PUSH", "shop")] }), [{ kind: "scan", target: "", when: "new" }]);
  assert.deepEqual(after({ scanType: "ENHANCED", rules: [] }), []);
  const continuous: ScanConfiguration = { scanType: "ENHANCED", rules: [rule("CONTINUOUS_SCAN", "*")] };
  assert.deepEqual(after(continuous), [{ kind: "scan", target: "ENHANCED", when: "new" }]);
  assert.deepEqual(after(continuous, { ...push, manifest: { ...push.manifest, kind: "index" } }), []);
  assert.equal(push.manifest.mediaType, mediaTypes.ociManifest);
});
