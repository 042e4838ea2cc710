/** AWS JSON 1.1: a request's body to an operation's input, an output to a body, and the envelope of errors. */
import { assert, unreachable } from "#std/assert.ts";
import { parseJson, type Json } from "#std/json.ts";
import { shapeOf, type ServiceModel } from "./model.ts";
import type { Problem } from "./problem.ts";
import { validateShape, type ShapeValue, type ValidateOptions } from "./validate.ts";

/** The content type of requests and answers. */
export const jsonContentType = "application/x-amz-json-1.1";

/** An input that can be handed to a handler, or why it cannot. */
export type DecodedInput =
  | { readonly ok: true; readonly value: { readonly [member: string]: ShapeValue } }
  /** Not of the operation's form: `SerializationException`. */
  | { readonly ok: false; readonly kind: "serialization"; readonly message: string }
  /** Of the form, but breaks constraints: `InvalidParameterException` or `ValidationException`. */
  | { readonly ok: false; readonly kind: "invalid"; readonly problems: readonly [Problem, ...Problem[]] };

/** Reads a body as the structure named `shapeName`; no bytes at all are read as `{}`. */
export function decodeJsonBody(model: ServiceModel, shapeName: string, body: Uint8Array, options: ValidateOptions = {}): DecodedInput {
  const json = body.length === 0 ? { ok: true as const, value: {} } : parseJson(body);
  if (!json.ok) return { ok: false, kind: "serialization", message: json.problem };
  return decodeJsonValue(model, shapeName, json.value, options);
}

/** The same for a document that is parsed already. */
export function decodeJsonValue(model: ServiceModel, shapeName: string, value: Json, options: ValidateOptions = {}): DecodedInput {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    return { ok: false, kind: "serialization", message: "The request body is not a JSON object" };
  }
  return toDecodedInput(validateShape(model, shapeName, value, options));
}

/** Tells the two kinds of problems apart. */
export function toDecodedInput(validated: ReturnType<typeof validateShape>): DecodedInput {
  if (validated.ok) return validated;
  const [first] = validated.problems;
  return first.rule === "type"
    ? { ok: false, kind: "serialization", message: first.constraint }
    : { ok: false, kind: "invalid", problems: validated.problems };
}

/**
 * Writes an output as the structure named `shapeName`: members that are absent are left out, timestamps (milliseconds)
 * become epoch seconds, bytes become base64. What the model does not name is not written.
 */
export function encodeJsonBody(model: ServiceModel, shapeName: string, output: object): string {
  return JSON.stringify(encodeShape(model, shapeName, output));
}

/** Writes an error; `members` are what the exception has beside its message. */
export function encodeJsonError(code: string, message: string, members: Readonly<Record<string, Json>> = {}): string {
  return JSON.stringify({ __type: code, message, ...members });
}

function encodeShape(model: ServiceModel, shapeName: string, value: unknown): Json {
  const shape = shapeOf(model, shapeName);
  switch (shape.type) {
    case "structure": {
      const members = value as Readonly<Record<string, unknown>>;
      const present = Object.entries(shape.members).filter(([name]) => members[name] !== undefined && members[name] !== null);
      return Object.fromEntries(present.map(([name, reference]) => [name, encodeShape(model, reference.shape, members[name])]));
    }
    case "list":
      return (value as readonly unknown[]).map((item) => encodeShape(model, shape.member.shape, item));
    case "map": {
      const entries = Object.entries(value as Readonly<Record<string, unknown>>).filter(([, item]) => item !== undefined);
      return Object.fromEntries(entries.map(([key, item]) => [key, encodeShape(model, shape.value.shape, item)]));
    }
    case "blob":
      return Buffer.from(value as Uint8Array).toString("base64");
    case "timestamp":
      return finite(shapeName, value) / 1000;
    case "integer":
    case "long":
    case "float":
    case "double":
      return finite(shapeName, value);
    case "string":
      assert(typeof value === "string", `an output of shape ${shapeName} is no string`);
      return value;
    case "boolean":
      assert(typeof value === "boolean", `an output of shape ${shapeName} is no boolean`);
      return value;
    default:
      return unreachable(shape);
  }
}

/** JSON has no infinity: a number that is none would be written as null. */
function finite(shapeName: string, value: unknown): number {
  assert(typeof value === "number" && Number.isFinite(value), `an output of shape ${shapeName} is no finite number`);
  return value;
}
