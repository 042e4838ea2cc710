/** What a registry's signing configuration says of a push (Amazon ECR User Guide, "Managed signing"). Pure. */
import { matchesWildcard } from "#std/wildcard.ts";
import type { RegistrySettings } from "#metadata/registry-settings.ts";
import type { PushedManifest, RuledFollowUp } from "./follow-up.ts";

/** A signing configuration as it is kept under the setting `signing`: in ECR's own words, as it was given. */
export interface SigningConfiguration {
  readonly rules: readonly {
    readonly signingProfileArn: string;
    /** None: every repository. */
    readonly repositoryFilters?: readonly { readonly filter: string; readonly filterType: "WILDCARD_MATCH" }[];
  }[];
}

/** The artifact type of a Notary Project signature (Notary Project signature specification, "Storage"). */
export const notarySignatureType = "application/vnd.cncf.notary.signature";

/** Signatures are not signed: these, and cosign's. */
const signatureTypes: readonly string[] = [
  notarySignatureType,
  "application/vnd.dev.cosign.artifact.sig.v1+json",
  "application/vnd.dev.sigstore.bundle.v0.3+json",
];

/** The configuration among a registry's settings; undefined when there is none. */
export function signingConfigurationOf(settings: RegistrySettings): SigningConfiguration | undefined {
  return settings.get("signing") as SigningConfiguration | undefined;
}

/** The profiles that sign what is pushed into a repository of that name, each once. A filter is the whole name. */
export function signingProfiles({ rules }: SigningConfiguration, name: string): readonly string[] {
  const matching = rules.filter(
    ({ repositoryFilters = [] }) => repositoryFilters.length === 0 || repositoryFilters.some(({ filter }) => matchesWildcard(filter, name)),
  );
  return [...new Set(matching.map(({ signingProfileArn }) => signingProfileArn))];
}

/** One signature for each profile, for which whoever pushes needs the permission; pushing again tries again what has failed. A copy comes with the signatures that it has. */
export function signingRule(settings: RegistrySettings, { name, manifest, isCopy }: PushedManifest): readonly RuledFollowUp[] {
  const configuration = signingConfigurationOf(settings);
  const isSignature = signatureTypes.includes(manifest.artifactType ?? "");
  if (configuration === undefined || isCopy === true || isSignature) return [];
  return signingProfiles(configuration, name).map((target) => ({
    kind: "sign",
    target,
    when: "new-or-failed",
    permission: { action: "signer:SignPayload", resource: target },
  }));
}
