/** What scans found, in ECR's two shapes: one for basic scanning, and Amazon Inspector's for enhanced. */
import { createHash } from "node:crypto";
import type { Json } from "#std/json.ts";
import type { RegistryRef } from "#registry/context.ts";
import { describeScan } from "#registry/scan.ts";
import type { DescribedScan, ScanState } from "#registry/scan.ts";
import type { ScanType } from "#registry/scan-rule.ts";
import type { ScanFinding, ScanSummary, VulnerablePackage } from "#registry/scanner.ts";
import { registryOf } from "../call.ts";
import { checkImageId, imageIdShape, manifestName, namedTags } from "./image.ts";
import type {
  Attribute,
  EnhancedImageScanFinding,
  ImageScanFinding,
  ImageScanFindings,
  ImageScanFindingsSummary,
  ImageScanStatus,
} from "./model/shapes.ts";
import { openPage, sealPage } from "./page.ts";
import { repositoryArn, repositoryNameOf } from "./shape.ts";
import type { EcrRows } from "./table.ts";

const defaultPage = 100;

/** Reading what a scan found. */
export const scanFindingOperations: EcrRows<"DescribeImageScanFindings"> = {
  DescribeImageScanFindings: {
    action: "ecr:DescribeImageScanFindings",
    resource: repositoryArn,
    conditionKeys: (_call, input) => namedTags([input.imageId]),
    check: (input) => checkImageId(input.imageId, "imageId"),
    handle: async (call, input) => {
      const registry = registryOf(call, input);
      const name = repositoryNameOf(input.repositoryName);
      const { imageDigest, imageTag } = input.imageId;
      const listing = ["DescribeImageScanFindings", registry.accountId, registry.region, name, imageDigest ?? "", imageTag ?? ""];
      const after = openPage(call, listing, input.nextToken, isOrdinal);
      const page = { after, limit: input.maxResults ?? defaultPage };
      const described = await describeScan(call.context, registry, name, manifestName(input.imageId), page);
      const { manifest, state } = described;
      const place = { registry, repositoryName: name, arn: repositoryArn(call, input) };
      return {
        registryId: registry.accountId,
        repositoryName: name,
        imageId: imageIdShape(manifest.digest, imageTag),
        imageScanStatus: scanStatusShape(state),
        ...(state.summary !== undefined && { imageScanFindings: findingsShape(place, described, state.summary) }),
        ...sealPage(call, listing, described.next),
      };
    },
  },
};

function isOrdinal(position: Json): position is number {
  return typeof position === "number";
}

/** ECR's `ImageScanStatus`. */
export function scanStatusShape({ status, description }: ScanState): ImageScanStatus {
  return { status, ...(description !== undefined && { description }) };
}

/** ECR's `ImageScanFindingsSummary`. Scan times are whole seconds there. */
export function scanSummaryShape({ completedAt, sourceUpdatedAt, severityCounts }: ScanSummary): ImageScanFindingsSummary {
  return {
    imageScanCompletedAt: wholeSeconds(completedAt),
    vulnerabilitySourceUpdatedAt: wholeSeconds(sourceUpdatedAt),
    // Inspector counts UNTRIAGED too, which the model does not know.
    findingSeverityCounts: severityCounts,
  };
}

function wholeSeconds(at: number): number {
  return Math.floor(at / 1_000) * 1_000;
}

/** Where an image is. */
interface Place {
  readonly registry: RegistryRef;
  readonly repositoryName: string;
  readonly arn: string;
}

function findingsShape(place: Place, described: DescribedScan, summary: ScanSummary): ImageScanFindings {
  const { findings, scanType } = described;
  const shapes: Readonly<Record<ScanType, () => ImageScanFindings>> = {
    BASIC: () => ({ findings: findings.map(basicShape) }),
    ENHANCED: () => ({ enhancedFindings: findings.map((finding) => enhancedShape(place, described, summary, finding)) }),
  };
  return { ...scanSummaryShape(summary), ...shapes[scanType]() };
}

/** One finding has one package there; the others are left to the enhanced shape. */
function basicShape({ name, severity, description, uri, packages, cvss = [] }: ScanFinding): ImageScanFinding {
  const [vulnerable] = packages;
  const attributes: Attribute[] = [];
  const add = (key: string, value: string | undefined): void => {
    if (value !== undefined) attributes.push({ key, value });
  };
  add("package_name", vulnerable?.name);
  add("package_version", vulnerable && versionText(vulnerable));
  for (const version of ["2", "3"]) {
    const score = cvss.find((each) => each.version.startsWith(version));
    add(`CVSS${version}_VECTOR`, score?.vector);
    add(`CVSS${version}_SCORE`, score && String(score.score));
  }
  return {
    name,
    ...(description !== undefined && { description }),
    ...(uri !== undefined && { uri }),
    severity: severity === "UNTRIAGED" ? "UNDEFINED" : severity,
    attributes,
  };
}

/** As package managers write it: `epoch:version-release`. */
function versionText({ epoch, version, release }: VulnerablePackage): string {
  return `${epoch === undefined || epoch === 0 ? "" : `${epoch}:`}${version}${release === undefined ? "" : `-${release}`}`;
}

function enhancedShape(place: Place, { manifest }: DescribedScan, summary: ScanSummary, finding: ScanFinding): EnhancedImageScanFinding {
  const { accountId, region } = place.registry;
  const { name, severity, description, packages, cvss = [], fixAvailable, exploitAvailable } = finding;
  const score = cvss.toSorted((a, b) => b.version.localeCompare(a.version))[0];
  const id = createHash("sha256")
    .update(JSON.stringify([place.arn, manifest.digest, name]))
    .digest("hex")
    .slice(0, 32);
  const packageNames = [...new Set(packages.map((each) => each.name))].join(", ");
  return {
    awsAccountId: accountId,
    findingArn: `arn:aws:inspector2:${region}:${accountId}:finding/${id}`,
    type: "PACKAGE_VULNERABILITY",
    status: "ACTIVE",
    severity,
    title: packageNames === "" ? name : `${name} - ${packageNames}`,
    ...(description !== undefined && { description }),
    firstObservedAt: summary.completedAt,
    lastObservedAt: summary.completedAt,
    updatedAt: summary.completedAt,
    ...(score !== undefined && {
      score: score.score,
      scoreDetails: {
        cvss: { adjustments: [], score: score.score, scoreSource: score.source, scoringVector: score.vector, version: score.version },
      },
    }),
    packageVulnerabilityDetails: vulnerabilityShape(finding),
    remediation: { recommendation: { text: finding.remediation ?? "None Provided" } },
    resources: [resourceShape(place, manifest)],
    ...(fixAvailable !== undefined && { fixAvailable }),
    ...(exploitAvailable !== undefined && { exploitAvailable }),
  };
}

function vulnerabilityShape(finding: ScanFinding): NonNullable<EnhancedImageScanFinding["packageVulnerabilityDetails"]> {
  const { source, uri, vendorSeverity, cvss = [] } = finding;
  return {
    vulnerabilityId: finding.name,
    ...(source !== undefined && { source }),
    ...(uri !== undefined && { sourceUrl: uri }),
    ...(vendorSeverity !== undefined && { vendorSeverity }),
    referenceUrls: finding.referenceUrls ?? [],
    relatedVulnerabilities: finding.relatedVulnerabilities ?? [],
    cvss: cvss.map(({ score, vector, ...rest }) => ({ ...rest, baseScore: score, scoringVector: vector })),
    vulnerablePackages: finding.packages.map(({ manager, path, blobDigest, ...rest }) => ({
      ...rest,
      ...(manager !== undefined && { packageManager: manager }),
      ...(path !== undefined && { filePath: path }),
      ...(blobDigest !== undefined && { sourceLayerHash: blobDigest }),
    })),
  };
}

function resourceShape({ registry, repositoryName, arn }: Place, { digest, tags, pushedAt }: DescribedScan["manifest"]) {
  return {
    type: "AWS_ECR_CONTAINER_IMAGE",
    id: `${arn}/${digest}`,
    tags: {},
    details: {
      awsEcrContainerImage: {
        registry: registry.accountId,
        repositoryName,
        imageHash: digest,
        imageTags: tags,
        pushedAt: wholeSeconds(pushedAt),
      },
    },
  };
}
