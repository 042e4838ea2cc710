import assert from "node:assert/strict";
import { test } from "node:test";
import { parseManifest } from "#oci/manifest.ts";
import type { ParsedManifest } from "#oci/manifest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import { makeArtifact, makeImage, makeIndex } from "../../test/fixtures/oci-content.ts";
import type { Content } from "../../test/fixtures/oci-content.ts";
import { notarySignatureType, signingProfiles, signingRule } from "./signing-rule.ts";
import type { SigningConfiguration } from "./signing-rule.ts";

const profile = (name: string): string => `arn:aws:signer:eu-west-1:111111111111:/signing-profiles/${name}`;
const configuration: SigningConfiguration = {
  rules: [
    { signingProfileArn: profile("all") },
    { signingProfileArn: profile("shop"), repositoryFilters: [{ filter: "shop/*", filterType: "WILDCARD_MATCH" }] },
    { signingProfileArn: profile("all"), repositoryFilters: [{ filter: "*", filterType: "WILDCARD_MATCH" }] },
    { signingProfileArn: profile("exact"), repositoryFilters: [{ filter: "web", filterType: "WILDCARD_MATCH" }] },
  ],
};
const parsed = ({ bytes, mediaType }: Content): ParsedManifest => {
  const manifest = parseManifest(bytes, mediaType);
  assert.ok(manifest.ok);
  return manifest.value;
};

test("a profile signs where a filter is the whole name, or where there is none, and once", () => {
  assert.deepEqual(signingProfiles(configuration, "shop/web"), [profile("all"), profile("shop")]);
  assert.deepEqual(signingProfiles(configuration, "web"), [profile("all"), profile("exact")]);
  assert.deepEqual(signingProfiles({ rules: [] }, "web"), []);
});

test("images, indexes and artifacts are signed; signatures and copies are not", () => {
  const image = makeImage();
  const registry = { accountId: "111111111111", region: "eu-west-1" };
  const signed = (content: Content, isCopy = false) =>
    signingRule(new Map([["signing", configuration]]), {
      registry,
      name: "other" as RepositoryName,
      manifest: parsed(content),
      isCopy,
    });
  const expected = [
    {
      kind: "sign",
      target: profile("all"),
      when: "new-or-failed",
      permission: { action: "signer:SignPayload", resource: profile("all") },
    },
  ];
  assert.deepEqual(signed(image), expected);
  assert.deepEqual(signed(makeIndex([image])), expected);
  assert.deepEqual(signed(makeArtifact({ subject: image })), expected);
  assert.deepEqual(signed(makeArtifact({ subject: image, artifactType: notarySignatureType })), []);
  assert.deepEqual(signed(image, true), []);
  assert.deepEqual(signingRule(new Map(), { registry, name: "other" as RepositoryName, manifest: parsed(image) }), []);
});
