/** The reporter that `npm test` gives to each test file: a line of JSON for each test that begins, passes, fails or is skipped. */
import { inspect } from "node:util";
import type { TestEvent } from "node:test/reporters";

/** What happened to one test. `failed` carries what to print. Suites are left out, but for what fails in them beside their tests: a hook. */
export type TestLine =
  | { readonly is: "begun" | "ended" | "passed"; readonly name: string }
  | { readonly is: "skipped"; readonly name: string; readonly reason: string }
  | { readonly is: "failed"; readonly name: string; readonly detail: string };

type DataOf<Type extends TestEvent["type"]> = Extract<TestEvent, { type: Type }>["data"];

/** Turns the events of Node's test runner into lines. A reporter is the default export of its module. */
// oxlint-disable-next-line import/no-default-export
export default async function* lines(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    const line = lineOf(event);
    if (line !== undefined) yield `${JSON.stringify(line)}\n`;
  }
}

function lineOf({ type, data }: TestEvent): TestLine | undefined {
  if (type === "test:dequeue") return { is: "begun", name: data.name };
  if (type === "test:complete") return { is: "ended", name: data.name };
  if (type === "test:pass") return data.details.type === "suite" ? undefined : passed(data);
  if (type === "test:fail") return failed(data);
  return undefined;
}

function passed({ name, skip }: DataOf<"test:pass">): TestLine {
  return skip === undefined || skip === false ? { is: "passed", name } : { is: "skipped", name, reason: String(skip) };
}

function failed({ name, details }: DataOf<"test:fail">): TestLine | undefined {
  const { error } = details;
  // What failed inside has said so itself.
  if (/subtests? failed/.test(error.message)) return undefined;
  return { is: "failed", name, detail: causes(error.cause ?? error).join("\ncaused by ") };
}

/** What the runner wraps, and what that wraps: a property's own error tells only which input it failed with. */
function causes(error: unknown): string[] {
  if (!(error instanceof Error)) return [inspect(error)];
  const text = error.stack ?? error.message;
  return error.cause === undefined ? [text] : [text, ...causes(error.cause)];
}
