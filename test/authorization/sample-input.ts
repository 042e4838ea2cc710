/** The smallest input that an operation's model takes: what the matrix sends, so that nothing but permission can refuse it. */
import { shapeOf } from "#aws/model.ts";
import type { ServiceModel } from "#aws/model.ts";
import { unreachable } from "#std/assert.ts";

/** Values by the name of a member or a shape, where the model's own constraints do not suffice. */
export type Samples = Readonly<Record<string, unknown>>;

/** Left out, it would mean the caller itself, which only some callers can be. */
const alwaysGiven = ["UserName"];

/** The operation's required members and those that `samples` names by `Operation.Member`. */
export function sampleInput(model: ServiceModel, operation: string, samples: Samples): Record<string, unknown> {
  const shape = model.operations.get(operation)?.input;
  const input = shape === undefined ? {} : (sampleOf(model, shape, samples) as Record<string, unknown>);
  const structure = shape === undefined ? undefined : shapeOf(model, shape);
  const members = structure?.type === "structure" ? Object.keys(structure.members) : [];
  for (const name of alwaysGiven) if (members.includes(name)) input[name] = samples[name];
  for (const [name, value] of Object.entries(samples)) {
    const [owner, member] = name.split(".");
    if (owner !== operation || member === undefined) continue;
    if (value === undefined) delete input[member];
    else input[member] = value;
  }
  return input;
}

function sampleOf(model: ServiceModel, shapeName: string, samples: Samples): unknown {
  if (samples[shapeName] !== undefined) return samples[shapeName];
  const shape = shapeOf(model, shapeName);
  switch (shape.type) {
    case "structure":
      return Object.fromEntries(
        shape.required.map((name) => [name, samples[name] ?? sampleOf(model, shape.members[name]?.shape ?? "", samples)]),
      );
    case "list":
      return [sampleOf(model, shape.member.shape, samples)];
    case "map":
      return { key: sampleOf(model, shape.value.shape, samples) };
    case "string":
      return shape.enum?.[0] ?? "a".repeat(Math.max(shape.min ?? 1, 1));
    case "boolean":
      return true;
    case "blob":
      return Buffer.from("sample").toString("base64");
    case "timestamp":
      return 1_700_000_000;
    case "integer":
    case "long":
    case "float":
    case "double":
      return Math.max(shape.min ?? 1, 1);
    default:
      return unreachable(shape);
  }
}

/** An input as a form of the Query protocol. */
export function formOf(action: string, version: string, input: object): string {
  const pairs: [string, string][] = [
    ["Action", action],
    ["Version", version],
  ];
  const add = (name: string, value: unknown): void => {
    if (Array.isArray(value)) value.forEach((item, index) => add(`${name}.member.${index + 1}`, item));
    else if (typeof value === "object" && value !== null)
      for (const [key, item] of Object.entries(value)) add(name === "" ? key : `${name}.${key}`, item);
    else pairs.push([name, String(value)]);
  };
  add("", input);
  return new URLSearchParams(pairs).toString();
}
