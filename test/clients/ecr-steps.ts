/** What a step of the journey through ECR is made of: a client, what it is told of the server, and comparing what it answers. */
import assert from "node:assert/strict";

/** Members of an input or an output, as JSON: bytes in base64. */
export type Members = Readonly<Record<string, unknown>>;

/** A client of ECR. */
export interface EcrDriver {
  /** Calls an operation, which must succeed; answers its output. Times are texts that begin with the year. */
  readonly call: (operation: string, input: Members) => Promise<Members>;
  /** All items that the client's paginator finds in pages of this size, in the order in which they came. */
  readonly items: (operation: string, input: Members, pageSize: number) => Promise<readonly unknown[]>;
  /** Runs the client's waiter to its end; `failed` when the state that it waits for can come no more. */
  readonly wait: (waiter: "ImageScanComplete" | "LifecyclePolicyPreviewComplete", input: Members) => Promise<"succeeded" | "failed">;
}

/** What the journey is told of the server. */
export interface JourneyGround {
  readonly accountId: string;
  readonly region: string;
  /** Where else images may be copied to. */
  readonly otherRegion: string;
  /** As `repositoryUri` has it. */
  readonly host: string;
  /** A registry that pull-through cache rules may name. */
  readonly upstreamUrl: string;
  /** A secret with credentials for it. */
  readonly secretArn: string;
}

/** The driver with what every step needs. */
export interface Journey extends JourneyGround {
  readonly driver: EcrDriver;
  /** Calls an operation and compares its whole output; times are `time` there. */
  readonly expect: (operation: string, input: Members, output: Members) => Promise<void>;
}

/** What stands for a time in what is compared. */
export const time = "time";

/** The journey that a client goes. */
export function beginJourney(driver: EcrDriver, ground: JourneyGround): Journey {
  return {
    ...ground,
    driver,
    async expect(operation, input, output) {
      assert.deepEqual(withoutTimes(await driver.call(operation, input)), output, operation);
    },
  };
}

/** The same with `time` in the place of every time. */
export function withoutTimes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutTimes);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withoutTimes(member)]));
  return typeof value === "string" && /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}/.test(value) ? time : value;
}

/** The items in pages of one and of two are the same, each once. */
export async function expectItems(
  { driver }: Journey,
  operation: string,
  input: Members,
  member: string,
  values: readonly unknown[],
): Promise<void> {
  for (const pageSize of [1, 2]) {
    const found = (await driver.items(operation, input, pageSize)).map((item) => (item as Members)[member] ?? null);
    assert.deepEqual(found.map(String).toSorted(), values.map(String).toSorted(), `${operation} in pages of ${pageSize}`);
  }
}
