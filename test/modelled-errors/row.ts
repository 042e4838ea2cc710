/**
 * What a row of the table of modelled errors is: for every exception that the model gives to an operation, a request that is refused with it,
 * or the reason why none is. Plain data, which the generator of `docs/generated/api-coverage.md` reads too.
 */
import type { Ground } from "./ground.ts";

/** Why a modelled exception is never answered. Closed: a pair that fits none of these needs a request. */
export const untriggeredReasons = {
  "no-input": "the operation takes no input that could be wrong",
  "second-code": "no request is documented that ECR refuses so; what is wrong with an input is an `InvalidParameterException`",
  "no-sensible-trigger": "modelled, and there is no amount that could be exceeded",
  "item-failure": "told item by item in `failures`, and the call succeeds",
  "no-organization": "there is no organization here whose policy could forbid it",
  "undo-window": "a deleted repository can come back, so the grants of its key are retired when it is gone for good, after the call",
} as const;

/** The name of such a reason. */
export type UntriggeredReason = keyof typeof untriggeredReasons;

/** Which server is asked: the usual one, or one whose quotas are used up. */
export type Place = "usual" | "full";

/** Members of an input, as JSON. */
export type Input = Readonly<Record<string, unknown>>;

/** One refused request. */
export interface ShownError {
  /** What differs from the operation's {@link ErrorRow.input}, `undefined` to leave a member out; made, with what must be there before, when it is asked. */
  readonly change: Input | ((ground: Ground) => Input | Promise<Input>);
  /** The message, or its form. */
  readonly text: string | RegExp;
  readonly place: Place;
  /** Members of the exception beside the message. */
  readonly members: Input;
}

/** What an operation is refused with. Exceptions are named without the word at their end. `ServerException` has no entry: see {@link ErrorRow.input}. */
export interface ErrorRow {
  /** What the model and the checks take; on a server whose database is broken it is answered with `ServerException`. */
  readonly input: Input | ((ground: Ground) => Input);
  readonly shown: Readonly<Record<string, ShownError>>;
  readonly untriggered?: Readonly<Record<string, UntriggeredReason>>;
}

/** A request that is refused with this text. */
export function refusedWith(
  text: string | RegExp,
  change: ShownError["change"],
  { place = "usual", members = {} }: { readonly place?: Place; readonly members?: Input } = {},
): ShownError {
  return { change, text, place, members };
}

/** ECR's sentence about a parameter. */
export function invalid(parameter: string, constraint: string, change: ShownError["change"]): ShownError {
  return refusedWith(`Invalid parameter at '${parameter}' failed to satisfy constraint: '${constraint}'`, change);
}

/** The account that everything is in. */
export const accountId = "123456789012";
/** A repository with images. */
export const app = { repositoryName: "team/app" } as const;
const within = (name: string): string => `the repository with name '${name}' in the registry with id '${accountId}'`;
/** How texts name the repository of {@link app}; with and without a second "the", as ECR does. */
export const inApp = {
  within: within(app.repositoryName),
  inside: `the repository with name '${app.repositoryName}' in registry with id '${accountId}'`,
} as const;
/** Tags of one image in {@link app} whose manifest is so large that an answer does not hold it five times. */
export const largeTags: readonly string[] = ["large-1", "large-2", "large-3", "large-4", "large-5"];
/** A digest that nothing has. */
export const noDigest = `sha256:${"0".repeat(64)}`;
/** A name that no repository has. */
export const noRepository = refusedWith(`The repository with name 'team/none' does not exist in the registry with id '${accountId}'`, {
  repositoryName: "team/none",
});
/** A name that no repository can have. */
export const badName = refusedWith(
  /^Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '/,
  {
    repositoryName: "Team/App",
  },
);
/** An image that is not there. */
export const noImage = refusedWith(`The image with imageId {imageDigest:'null', imageTag:'none'} does not exist within ${inApp.within}`, {
  imageId: { imageTag: "none" },
});
/** An image that is not named at all. */
export const noImageId = invalid("imageId", "both tag and digest cannot be null", { imageId: {} });
