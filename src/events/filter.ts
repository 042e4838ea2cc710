import { matchesWildcard } from "#std/wildcard.ts";
import { repositoriesOf } from "./event.ts";
import type { DetailType, EcrEvent } from "./event.ts";

/** Which events are wanted; what is not given does not matter, and of a list one suffices. */
export interface EventFilter {
  readonly detailTypes?: readonly DetailType[] | undefined;
  /** Names of repositories, in which `*` stands for any run of characters. */
  readonly repositories?: readonly string[] | undefined;
  readonly accounts?: readonly string[] | undefined;
  readonly regions?: readonly string[] | undefined;
}

/** Does the filter let the event through? Linear in the length of its patterns and names. */
export function isWanted(filter: EventFilter, event: EcrEvent): boolean {
  const { detailTypes, repositories, accounts, regions } = filter;
  if (detailTypes?.includes(event["detail-type"]) === false) return false;
  if (accounts?.includes(event.account) === false) return false;
  if (regions?.includes(event.region) === false) return false;
  if (repositories === undefined) return true;
  return repositoriesOf(event).some((name) => repositories.some((pattern) => matchesWildcard(pattern, name)));
}
