import assert from "node:assert/strict";
import test from "node:test";
import type { Change } from "#metadata/changes.ts";
import { eventsOf, repositoriesOf } from "./event.ts";
import { isWanted } from "./filter.ts";
import type { EventFilter } from "./filter.ts";

const registryId = "0f6e3c1a-95c1-4a3c-8a0e-0a0a5a0c7d11";
const digest = `sha256:${"1f".repeat(32)}`;
const ociManifest = "application/vnd.oci.image.manifest.v1+json";
const ociConfig = "application/vnd.oci.image.config.v1+json";
const service = "arn:aws:iam::111122223333:role/aws-service-role";

function change(entry: Partial<Change> & Pick<Change, "kind">): Change {
  return {
    changeId: 7,
    position: "0.7",
    accountId: "111122223333",
    region: "eu-west-1",
    repositoryId: 1,
    repositoryName: "shop/web",
    at: Date.UTC(2026, 10, 2, 8, 15, 30, 987),
    principalArn: "arn:aws:iam::111122223333:user/ci",
    requestId: "6d6e1f8e-5d9c-4b7e-9f6c-2f9f1c8e0001",
    subject: digest,
    ...entry,
  };
}

/** The envelope of the entry above; the id is not part of what is documented. */
const envelope = {
  version: "0",
  source: "aws.ecr",
  account: "111122223333",
  time: "2026-11-02T08:15:30Z",
  region: "eu-west-1",
  resources: [],
};
const arn = "arn:aws:ecr:eu-west-1:111122223333:repository/shop/web";
const types = { mediaType: ociManifest, artifactMediaType: ociConfig };
const shownTypes = { "manifest-media-type": ociManifest, "artifact-media-type": ociConfig };
const push = { result: "SUCCESS", "repository-name": "shop/web", "image-digest": digest, "action-type": "PUSH" };
const removal = { ...push, "action-type": "DELETE" };

const cases: readonly (readonly [what: string, entry: Partial<Change> & Pick<Change, "kind">, events: readonly object[]])[] = [
  [
    "a push with a tag",
    { kind: "tag-put", subject: "v7", after: { digest, ...types } },
    [{ "detail-type": "ECR Image Action", detail: { ...push, "image-tag": "v7", ...shownTypes } }],
  ],
  ["the manifest of a push with tags, which its tags tell of", { kind: "manifest-pushed", after: { ...types, tags: 2 } }, []],
  [
    "a push without tags",
    { kind: "manifest-pushed", after: { ...types, tags: 0 } },
    [{ "detail-type": "ECR Image Action", detail: { ...push, ...shownTypes } }],
  ],
  [
    "a referrer that is pushed",
    { kind: "manifest-pushed", after: { mediaType: ociManifest, artifactMediaType: "application/spdx+json", isReferrer: true, tags: 0 } },
    [
      {
        "detail-type": "ECR Referrer Action",
        detail: { ...push, "manifest-media-type": ociManifest, "artifact-media-type": "application/spdx+json" },
      },
    ],
  ],
  [
    "an index has no artifact type",
    { kind: "tag-put", subject: "v7", after: { digest, mediaType: "x/index" } },
    [{ "detail-type": "ECR Image Action", detail: { ...push, "image-tag": "v7", "manifest-media-type": "x/index" } }],
  ],
  ["a copy of another registry's tag", { kind: "tag-put", subject: "v7", after: { digest, ...types, replicated: true } }, []],
  ["a copy without tags", { kind: "manifest-pushed", after: { ...types, tags: 0, replicated: true } }, []],
  [
    "what is fetched through a rule",
    {
      kind: "tag-put",
      subject: "v7",
      after: { digest },
      principalArn: `${service}/pullthroughcache.ecr.amazonaws.com/AWSServiceRoleForECRPullThroughCache`,
    },
    [],
  ],
  [
    "a tag that is removed",
    { kind: "tag-deleted", subject: "v7", before: { digest } },
    [{ "detail-type": "ECR Image Action", detail: { ...removal, "image-tag": "v7" } }],
  ],
  ["the manifest whose tags tell of its end", { kind: "manifest-deleted", before: { manifestId: 1, tags: 1 } }, []],
  [
    "an untagged manifest that is removed",
    { kind: "manifest-deleted", before: { manifestId: 1, tags: 0 } },
    [{ "detail-type": "ECR Image Action", detail: removal }],
  ],
  [
    "an untagged referrer that is removed",
    { kind: "manifest-deleted", before: { manifestId: 1, tags: 0, isReferrer: true } },
    [{ "detail-type": "ECR Referrer Action", detail: removal }],
  ],
  [
    "archived",
    { kind: "manifest-archived", before: { status: "ACTIVE" }, after: { status: "ARCHIVED", ...types, lastArchivedAt: 1 } },
    [
      {
        "detail-type": "ECR Image Action",
        detail: {
          "action-type": "UPDATE_STORAGE_CLASS",
          "target-storage-class": "ARCHIVE",
          "image-digest": digest,
          "repository-name": "shop/web",
          result: "SUCCESS",
          ...shownTypes,
        },
      },
    ],
  ],
  ["on its way back", { kind: "manifest-activating", after: { status: "ACTIVATING" } }, []],
  [
    "a referrer that is restored",
    {
      kind: "manifest-activated",
      after: {
        mediaType: ociManifest,
        artifactMediaType: "application/spdx+json",
        isReferrer: true,
        lastActivatedAt: Date.UTC(2026, 10, 2, 9, 19, 3, 210),
      },
    },
    [
      {
        "detail-type": "ECR Referrer Action",
        detail: {
          "action-type": "UPDATE_STORAGE_CLASS",
          "target-storage-class": "STANDARD",
          "image-digest": digest,
          "repository-name": "shop/web",
          result: "SUCCESS",
          "manifest-media-type": ociManifest,
          "artifact-media-type": "application/spdx+json",
          "last-activated-at": "2026-11-02T09:19:03.21Z",
        },
      },
    ],
  ],
  [
    "a pull through a rule",
    {
      kind: "pull-through",
      repositoryName: "quay/prometheus/node-exporter",
      subject: "v1.8.2",
      after: { status: "SUCCESS", prefix: "quay", upstreamUrl: "quay.io", tag: "v1.8.2", digest },
    },
    [
      {
        "detail-type": "ECR Pull Through Cache Action",
        resources: ["arn:aws:ecr:eu-west-1:111122223333:repository/quay/prometheus/node-exporter"],
        detail: {
          "rule-version": "1",
          "sync-status": "SUCCESS",
          "ecr-repository-prefix": "quay",
          "repository-name": "quay/prometheus/node-exporter",
          "upstream-registry-url": "quay.io",
          "image-tag": "v1.8.2",
          "image-digest": digest,
        },
      },
    ],
  ],
  [
    "a pull through a rule that failed",
    { kind: "pull-through", after: { status: "FAILED", prefix: "quay", upstreamUrl: "quay.io", failureCode: "A", failureReason: "b" } },
    [
      {
        "detail-type": "ECR Pull Through Cache Action",
        resources: [arn],
        detail: {
          "rule-version": "1",
          "sync-status": "FAILED",
          "ecr-repository-prefix": "quay",
          "repository-name": "shop/web",
          "upstream-registry-url": "quay.io",
          "failure-code": "A",
          "failure-reason": "b",
        },
      },
    ],
  ],
  [
    "a basic scan",
    { kind: "scan-completed", after: { scanType: "BASIC", status: "COMPLETE", severityCounts: { HIGH: 1, LOW: 4 }, tags: ["v7"] } },
    [
      {
        "detail-type": "ECR Image Scan",
        resources: [arn],
        detail: {
          "scan-status": "COMPLETE",
          "repository-name": "shop/web",
          "finding-severity-counts": { HIGH: 1, LOW: 4 },
          "image-digest": digest,
          "image-tags": ["v7"],
        },
      },
    ],
  ],
  [
    "a basic scan that failed",
    { kind: "scan-completed", after: { scanType: "BASIC", status: "FAILED", code: "X", tags: [] } },
    [
      {
        "detail-type": "ECR Image Scan",
        resources: [arn],
        detail: {
          "scan-status": "FAILED",
          "repository-name": "shop/web",
          "finding-severity-counts": {},
          "image-digest": digest,
          "image-tags": [],
        },
      },
    ],
  ],
  [
    "an enhanced scan",
    { kind: "scan-completed", after: { scanType: "ENHANCED", status: "COMPLETE", severityCounts: { HIGH: 1, MEDIUM: 3 }, tags: ["v7"] } },
    [
      {
        "detail-type": "Inspector2 Scan",
        source: "aws.inspector2",
        resources: [arn],
        detail: {
          "scan-status": "INITIAL_SCAN_COMPLETE",
          "repository-name": arn,
          "finding-severity-counts": { HIGH: 1, MEDIUM: 3, TOTAL: 4 },
          "image-digest": digest,
          "image-tags": ["v7"],
        },
      },
    ],
  ],
  ["an enhanced scan that failed", { kind: "scan-completed", after: { scanType: "ENHANCED", status: "FAILED" } }, []],
  [
    "another frequency of enhanced scans",
    {
      kind: "scan-frequency-set",
      subject: "",
      before: { scanType: "ENHANCED", scanFrequency: "MANUAL" },
      after: { scanType: "ENHANCED", scanFrequency: "CONTINUOUS_SCAN" },
    },
    [
      {
        "detail-type": "ECR Scan Resource Change",
        detail: {
          "action-type": "SCAN_FREQUENCY_CHANGE",
          "resource-type": "REPOSITORY",
          "scan-type": "ENHANCED",
          repositories: [
            {
              "repository-name": "shop/web",
              "repository-arn": arn,
              "scan-frequency": "CONTINUOUS_SCAN",
              "previous-scan-frequency": "MANUAL",
            },
          ],
        },
      },
    ],
  ],
  ["another frequency of basic scans", { kind: "scan-frequency-set", before: { scanType: "BASIC" }, after: { scanType: "BASIC" } }, []],
  [
    "a replica with two tags",
    {
      kind: "manifest-replicated",
      after: { result: "SUCCESS", sourceAccountId: "444455556666", sourceRegion: "us-east-1", tags: ["v7", "v8"] },
    },
    ["v7", "v8"].map((tag) => ({
      "detail-type": "ECR Replication Action",
      resources: [arn],
      detail: {
        result: "SUCCESS",
        "repository-name": "shop/web",
        "image-digest": digest,
        "source-account": "444455556666",
        "action-type": "REPLICATE",
        "source-region": "us-east-1",
        "image-tag": tag,
      },
    })),
  ],
  [
    "a replica that failed",
    {
      kind: "manifest-replicated",
      after: { result: "FAILED", code: "X", sourceAccountId: "444455556666", sourceRegion: "us-east-1", tags: [] },
    },
    [
      {
        "detail-type": "ECR Replication Action",
        resources: [arn],
        detail: {
          result: "FAILED",
          "repository-name": "shop/web",
          "image-digest": digest,
          "source-account": "444455556666",
          "action-type": "REPLICATE",
          "source-region": "us-east-1",
        },
      },
    ],
  ],
  ...(
    [
      "repository-created",
      "repository-deleted",
      "repository-policy-put",
      "tag-restored",
      "manifest-restored",
      "manifest-purged",
      "blob-uploaded",
      "registry-setting-put",
    ] as const
  ).map((kind) => [`nothing for ${kind}`, { kind, after: {}, before: {} }, []] as const),
];

for (const [what, entry, expected] of cases) {
  test(what, () => {
    const events = eventsOf(change(entry), registryId);
    assert.deepEqual(
      events,
      expected.map((event, index) => ({ ...envelope, id: events[index]?.id, ...event })),
    );
    // Members in the documented order, as the examples show them.
    for (const event of events)
      assert.deepEqual(Object.keys(event), ["version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"]);
  });
}

test("an event has the same id each time, and no other event has it", () => {
  const entry = change({ kind: "manifest-replicated", after: { tags: ["a", "b"] } });
  const [first, second] = eventsOf(entry, registryId);
  assert.match(first?.id ?? "", /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual(eventsOf(structuredClone(entry), registryId), [first, second]);
  const others = [
    eventsOf(entry, "another deployment"),
    eventsOf({ ...entry, changeId: 8 }, registryId),
    // The same number after a backup was restored.
    eventsOf({ ...entry, at: entry.at + 1 }, registryId),
    eventsOf({ ...entry, requestId: "other" }, registryId),
  ];
  const ids = [first, second, ...others.flat()].map((event) => event?.id);
  assert.equal(new Set(ids).size, 10);
});

const filters: readonly (readonly [what: string, filter: EventFilter, wanted: boolean])[] = [
  ["nothing asked for", {}, true],
  ["its type", { detailTypes: ["ECR Image Scan", "ECR Image Action"] }, true],
  ["another type", { detailTypes: ["ECR Image Scan"] }, false],
  ["its repository", { repositories: ["shop/web"] }, true],
  ["a pattern", { repositories: ["other", "shop/*"] }, true],
  ["a prefix is no pattern", { repositories: ["shop"] }, false],
  ["its account and region", { accounts: ["111122223333"], regions: ["eu-west-1"] }, true],
  ["another account", { accounts: ["444455556666"] }, false],
  ["another region", { accounts: ["111122223333"], regions: ["us-east-1"] }, false],
];
for (const [what, filter, wanted] of filters) {
  test(`filter: ${what}`, () => {
    const [event] = eventsOf(change({ kind: "tag-put", subject: "v7", after: { digest } }), registryId);
    assert.ok(event !== undefined);
    assert.equal(isWanted(filter, event), wanted);
  });
}

test("the repositories of an event, wherever they stand in it", () => {
  const named = (entry: Partial<Change> & Pick<Change, "kind">) => eventsOf(change(entry), registryId).map(repositoriesOf);
  assert.deepEqual(named({ kind: "tag-put", after: { digest } }), [["shop/web"]]);
  assert.deepEqual(named({ kind: "scan-completed", after: { scanType: "ENHANCED", status: "COMPLETE" } }), [["shop/web"]]);
  assert.deepEqual(named({ kind: "scan-frequency-set", after: { scanType: "ENHANCED" } }), [["shop/web"]]);
});
