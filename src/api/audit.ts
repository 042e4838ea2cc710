/** What the audit log is told of a call: its input, without what the service's model calls sensitive and without bytes. */
import { shapeOf } from "#aws/model.ts";
import type { ServiceModel } from "#aws/model.ts";
import { unreachable } from "#std/assert.ts";

/** What stands in place of a secret, as CloudTrail writes it. */
const hidden = "HIDDEN_DUE_TO_SECURITY_REASONS";

/** The input as it may be written down. */
export function auditedInput(model: ServiceModel, operation: string, input: unknown): object | undefined {
  const shape = model.operations.get(operation)?.input;
  if (shape === undefined || typeof input !== "object" || input === null) return undefined;
  return audited(model, shape, input) as object;
}

function audited(model: ServiceModel, shapeName: string, value: unknown): unknown {
  const shape = shapeOf(model, shapeName);
  switch (shape.type) {
    case "structure": {
      const members = value as Readonly<Record<string, unknown>>;
      const given = Object.entries(shape.members).filter(([name]) => members[name] !== undefined);
      return Object.fromEntries(given.map(([name, reference]) => [name, audited(model, reference.shape, members[name])]));
    }
    case "list":
      return (value as readonly unknown[]).map((item) => audited(model, shape.member.shape, item));
    case "map":
      return Object.fromEntries(
        Object.entries(value as Readonly<Record<string, unknown>>).map(([key, item]) => [key, audited(model, shape.value.shape, item)]),
      );
    case "blob":
      return hidden;
    case "string":
      return shape.isSensitive ? hidden : value;
    case "boolean":
    case "timestamp":
    case "integer":
    case "long":
    case "float":
    case "double":
      return value;
    default:
      return unreachable(shape);
  }
}
