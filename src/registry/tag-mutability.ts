import type { TagMutability } from "#metadata/repositories.ts";
import { refuse } from "./errors.ts";

const filterLimit = 5;
const starsPerFilter = 2;
const filterText = /^[0-9a-zA-Z._*-]{1,128}$/;
const parameter = "imageTagMutabilityExclusionFilters";

/**
 * Checks that filters and mode fit together: the two modes with exclusion need one to five filters of at most two `*` each,
 * the plain modes take none. Throws `parameter-invalid` in ECR's wording.
 */
export function checkMutabilityFilters(mode: TagMutability, filters: readonly string[]): void {
  const withExclusion = mode === "MUTABLE_WITH_EXCLUSION" || mode === "IMMUTABLE_WITH_EXCLUSION";
  if (withExclusion && filters.length === 0) {
    refuseFilters(`ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as ${mode}`);
  }
  if (!withExclusion && filters.length > 0) {
    refuseFilters(`ImageTagMutabilityExclusionFilters must be null when imageTagMutability is set as ${mode}`);
  }
  if (filters.length > filterLimit) refuseFilters(`Member must have length less than or equal to ${filterLimit}`);
  for (const filter of filters) {
    if (!filterText.test(filter)) refuseFilters("Member must satisfy regular expression pattern: ^[0-9a-zA-Z._*-]{1,128}$");
    if (filter.split("*").length - 1 > starsPerFilter) refuseFilters(`Filter must not have more than ${starsPerFilter} wildcards (*)`);
  }
}

function refuseFilters(constraint: string): never {
  return refuse("parameter-invalid", { parameter, constraint });
}
