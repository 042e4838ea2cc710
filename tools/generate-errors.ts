/** Makes docs/generated/errors.md from the two total tables of refusals. */
import { registryFaults } from "#api/errors.ts";
import { registryFaults as ociFaults } from "#distribution/errors.ts";
import type { RegistryErrorKind } from "#registry/errors.ts";

/** The reference page of everything the registry refuses, on both planes. */
export function generateErrors(): string {
  const kinds = Object.keys(registryFaults).toSorted() as RegistryErrorKind[];
  const rows = kinds.map((kind) => {
    const api = registryFaults[kind];
    const oci = ociFaults[kind];
    return `| ${kind} | ${api.exception} | ${api.status ?? 400} | ${oci.code} | ${oci.status} |`;
  });
  return [
    "# Refusals",
    "",
    "Made from `src/api/errors.ts` and `src/distribution/errors.ts` by `npm run generate`: what the registry refuses, and how each plane says it.",
    "",
    "| kind | ECR API exception | status | registry protocol code | status |",
    "|---|---|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}
