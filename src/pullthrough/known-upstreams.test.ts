import assert from "node:assert/strict";
import { test } from "node:test";
import { createAddressing } from "#registry/addressing.ts";
import { readUpstream } from "./known-upstreams.ts";

const registry = { accountId: "123456789012", region: "eu-central-1" };
const regions = ["eu-central-1", "us-east-1"];
const addressing = createAddressing({ defaultRegistry: registry, regions, domain: "cr.example", port: 4600, scheme: "https" });
const secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:ecr-pullthroughcache/hub-abcdef";
const role = "arn:aws:iam::123456789012:role/puller";

function read(url: string, kind?: string, credentialArn?: string, roleArn?: string) {
  return readUpstream({ url, kind, credentialArn, roleArn }, { addressing, registry });
}

test("ECR's upstreams are told by their URLs, and a kind must be of its URL", () => {
  const cases: readonly (readonly [string, string | undefined, string | undefined])[] = [
    ["public.ecr.aws", undefined, "ecr-public"],
    ["registry.k8s.io", "k8s", "k8s"],
    ["quay.io", undefined, "quay"],
    ["registry-1.docker.io", "docker-hub", "docker-hub"],
    ["ghcr.io", undefined, "github-container-registry"],
    ["registry.gitlab.com", "gitlab-container-registry", "gitlab-container-registry"],
    ["team.azurecr.io", undefined, "azure-container-registry"],
    ["cgr.dev", "chainguard", "chainguard"],
    ["registry.example:8443", undefined, undefined],
  ];
  for (const [url, kind, expected] of cases) {
    const upstream = read(url, kind, secret);
    assert.ok(upstream.ok, url);
    assert.deepEqual(upstream.value, { kind: expected, place: { kind: "remote", origin: `https://${url}` } });
  }
});

test("what is no upstream is refused in ECR's words", () => {
  const invalid = [
    ["docker.io", "docker-hub"],
    ["https://quay.io", undefined],
    ["quay.io/", undefined],
    ["quay.io/team", undefined],
    ["Quay.io", undefined],
    ["user@quay.io", undefined],
    ["quay.io:443", undefined],
    ["evil-quay.io", "quay"],
    ["azurecr.io", "azure-container-registry"],
    ["http://quay.io", "quay"],
    ["", undefined],
    ["x".repeat(513), undefined],
    ["quay.io", "unheard-of"],
    ["quay.io", "ecr"],
  ] as const;
  for (const [url, kind] of invalid) {
    const upstream = read(url, kind, secret);
    assert.ok(!upstream.ok, url);
    assert.match(upstream.problem, /^The upstream registry URL .* is invalid\. Specify a valid upstream registry URL and try again$/s, url);
  }
  for (const url of ["registry-1.docker.io", "ghcr.io", "cgr.dev"]) {
    const upstream = read(url);
    assert.match(upstream.ok ? "" : upstream.problem, /requires authentication\. Specify a valid Secrets Manager ARN/, url);
  }
});

test("registries of this deployment are upstreams, those of AWS are not", () => {
  const cases: readonly (readonly [string, string | undefined, RegExp | "ok"])[] = [
    ["123456789012.dkr.ecr.us-east-1.cr.example", undefined, "ok"],
    ["210987654321.dkr.ecr.eu-central-1.cr.example", role, "ok"],
    ["210987654321.dkr.ecr.eu-central-1.cr.example", undefined, /requires authentication\. Specify a valid custom role ARN/],
    ["123456789012.dkr.ecr.eu-central-1.cr.example", undefined, /its own upstream/],
    ["123456789012.dkr.ecr.us-east-1.amazonaws.com", role, /those of this deployment/],
    ["123456789012.dkr.ecr.mars-1.cr.example", role, /those of this deployment/],
  ];
  for (const [url, roleArn, expected] of cases) {
    const upstream = read(url, "ecr", undefined, roleArn);
    if (expected === "ok") assert.ok(upstream.ok && upstream.value.place.kind === "own", url);
    else assert.match(upstream.ok ? "" : upstream.problem, expected, url);
  }
  assert.equal(read("quay.io", undefined, undefined, role).ok, false, "a role is for ECR's registries");
});
