/**
 * The AWS Query protocol: a form to an operation's input, an output to XML, and the envelope of errors.
 * Lists are `Name.member.1`, maps `Name.entry.1.key` and `.value`, members of structures follow a dot.
 */
import type { Json } from "#std/json.ts";
import { parsed, problem, type Parsed } from "#std/parsed.ts";
import { assert, unreachable } from "#std/assert.ts";
import { toDecodedInput, type DecodedInput } from "./json-protocol.ts";
import { shapeOf, type ServiceModel, type Shape } from "./model.ts";
import { validateShape } from "./validate.ts";
import { escapeXml, xmlElement } from "./xml.ts";

/** The content type of answers. */
export const queryContentType = "text/xml";
/** The largest form that is read. */
export const queryBodyLimitBytes = 524_288;

const maxParameters = 4_096;
/** Member names and indices of the deepest shape are far fewer. */
const maxNameParts = 16;

/** The parameters of a form by name. */
export type FormParameters = ReadonlyMap<string, string>;

/** Reads a form (`application/x-www-form-urlencoded`, or a query string): each name once, percent-encoded UTF-8, plus for a blank. */
export function parseForm(input: Uint8Array | string): Parsed<FormParameters> {
  const text = typeof input === "string" ? input : Buffer.from(input.buffer, input.byteOffset, input.byteLength).toString("latin1");
  if (text.length > queryBodyLimitBytes) return problem(`The request exceeds the limit of ${queryBodyLimitBytes} bytes`);
  const parameters = new Map<string, string>();
  const items = text.split("&", maxParameters + 1);
  if (items.length > maxParameters) return problem(`The request has more than ${maxParameters} parameters`);
  for (const item of items) {
    if (item === "") continue;
    const equals = item.indexOf("=");
    const name = decodeFormText(equals < 0 ? item : item.slice(0, equals));
    const value = decodeFormText(equals < 0 ? "" : item.slice(equals + 1));
    if (name === undefined || value === undefined) return problem("The request is not percent-encoded UTF-8");
    if (parameters.has(name)) return problem("The request has a parameter more than once");
    parameters.set(name, value);
  }
  return parsed(parameters);
}

/** Raw bytes are taken as what they are, like encoded ones; both must be UTF-8 in the end. */
function decodeFormText(text: string): string | undefined {
  const unescaped = text.replaceAll("+", " ").replace(/[^\0-\x7f]/g, (byte) => `%${byte.charCodeAt(0).toString(16)}`);
  try {
    return decodeURIComponent(unescaped);
  } catch {
    return undefined;
  }
}

/** Reads parameters as the structure named `shapeName`; names that the model lacks are ignored. */
export function decodeQueryInput(model: ServiceModel, shapeName: string, parameters: FormParameters): DecodedInput {
  const tree = growTree(parameters);
  if (!tree.ok) return { ok: false, kind: "serialization", message: tree.problem };
  return toDecodedInput(validateShape(model, shapeName, toJson(model, shapeName, tree.value)));
}

/** Parameters by the parts of their names. */
interface Node {
  value?: string;
  readonly parts: Map<string, Node>;
}

function growTree(parameters: FormParameters): Parsed<Node> {
  const root: Node = { parts: new Map() };
  for (const [name, value] of parameters) {
    const parts = name.split(".", maxNameParts + 1);
    if (parts.length > maxNameParts) return problem("A parameter's name has too many parts");
    let node = root;
    for (const part of parts) {
      const next: Node = node.parts.get(part) ?? { parts: new Map() };
      node.parts.set(part, next);
      node = next;
    }
    node.value = value;
  }
  return parsed(root);
}

/** What cannot be what the shape wants is left as text, for the validator to refuse. */
function toJson(model: ServiceModel, shapeName: string, node: Node): Json {
  const shape = shapeOf(model, shapeName);
  const text = node.value ?? "";
  switch (shape.type) {
    case "structure": {
      if (node.parts.size === 0 && text !== "") return text;
      const members = Object.entries(shape.members).flatMap(([name, reference]) => {
        const member = node.parts.get(reference.locationName ?? name);
        return member === undefined ? [] : [[name, toJson(model, reference.shape, member)] as const];
      });
      return Object.fromEntries(members);
    }
    case "list": {
      // An empty list is sent as `Name=`.
      if (node.parts.size === 0) return text === "" ? [] : text;
      return numbered(node.parts.get(shape.member.locationName ?? "member")).map((item) => toJson(model, shape.member.shape, item));
    }
    case "map":
      if (node.parts.size === 0) return text === "" ? {} : text;
      return mapToJson(model, shape.value.shape, node);
    case "string":
    case "blob":
    case "boolean":
    case "timestamp":
    case "integer":
    case "long":
    case "float":
    case "double":
      return node.parts.size > 0 ? Object.fromEntries([...node.parts.keys()].map((part) => [part, ""])) : scalarToJson(shape.type, text);
    default:
      return unreachable(shape);
  }
}

function mapToJson(model: ServiceModel, valueShape: string, node: Node): Json {
  const entries = numbered(node.parts.get("entry"));
  const read = entries.map((entry) => {
    const value = entry.parts.get("value");
    return [entry.parts.get("key")?.value ?? "", value === undefined ? null : toJson(model, valueShape, value)] as const;
  });
  return Object.fromEntries(read);
}

/** The elements in the order of their numbers; gaps close. */
function numbered(node: Node | undefined): readonly Node[] {
  const elements = [...(node?.parts ?? [])].filter(([index]) => /^[1-9][0-9]{0,8}$/.test(index));
  return elements.toSorted(([left], [right]) => Number(left) - Number(right)).map(([, element]) => element);
}

function scalarToJson(type: Shape["type"], text: string): Json {
  if (type === "integer" || type === "long") return /^-?[0-9]{1,16}$/.test(text) ? Number(text) : text;
  if (type === "float" || type === "double") {
    return /^-?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?$/.test(text) ? Number(text) : text;
  }
  if (type === "boolean") return text === "true" ? true : text === "false" ? false : text;
  return type === "timestamp" ? (isoSeconds(text) ?? text) : text;
}

function isoSeconds(text: string): number | undefined {
  const isIso = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/.test(text);
  const moment = isIso ? Date.parse(text) : Number.NaN;
  return Number.isNaN(moment) ? undefined : moment / 1000;
}

/** Writes the answer of an operation. Timestamps are milliseconds and become ISO 8601 text. */
export function encodeQueryBody(model: ServiceModel, operationName: string, output: object, requestId: string): string {
  const operation = model.operations.get(operationName);
  assert(operation !== undefined, `the model of ${model.serviceId} has no operation ${operationName}`);
  const { output: shapeName, resultWrapper = `${operationName}Result` } = operation;
  // An operation without an output has no element for it either.
  const result = shapeName === undefined ? "" : xmlElement(resultWrapper, encodeShape(model, shapeName, output));
  const metadata = xmlElement("ResponseMetadata", xmlElement("RequestId", escapeXml(requestId)));
  const name = `${operationName}Response`;
  return `<${name} xmlns="${escapeXml(model.xmlNamespace)}">${result}${metadata}</${name}>`;
}

/** Writes an error. `status` tells whose fault it is. */
export function encodeQueryError(
  xmlNamespace: string,
  fault: { readonly code: string; readonly message: string; readonly status: number; readonly requestId: string },
): string {
  const error = [
    xmlElement("Type", fault.status >= 500 ? "Receiver" : "Sender"),
    xmlElement("Code", escapeXml(fault.code)),
    xmlElement("Message", escapeXml(fault.message)),
  ];
  const requestId = xmlElement("RequestId", escapeXml(fault.requestId));
  return `<ErrorResponse xmlns="${escapeXml(xmlNamespace)}">${xmlElement("Error", error.join(""))}${requestId}</ErrorResponse>`;
}

function encodeShape(model: ServiceModel, shapeName: string, value: unknown): string {
  const shape = shapeOf(model, shapeName);
  switch (shape.type) {
    case "structure": {
      const members = value as Readonly<Record<string, unknown>>;
      return Object.entries(shape.members)
        .filter(([name]) => members[name] !== undefined && members[name] !== null)
        .map(([name, reference]) => xmlElement(reference.locationName ?? name, encodeShape(model, reference.shape, members[name])))
        .join("");
    }
    case "list": {
      const name = shape.member.locationName ?? "member";
      return (value as readonly unknown[]).map((item) => xmlElement(name, encodeShape(model, shape.member.shape, item))).join("");
    }
    case "map":
      return Object.entries(value as Readonly<Record<string, unknown>>)
        .map(([key, item]) =>
          xmlElement("entry", `${xmlElement("key", escapeXml(key))}${xmlElement("value", encodeShape(model, shape.value.shape, item))}`),
        )
        .join("");
    case "blob":
      return Buffer.from(value as Uint8Array).toString("base64");
    case "timestamp":
      return new Date(value as number).toISOString().replace(".000Z", "Z");
    case "string":
    case "boolean":
    case "integer":
    case "long":
    case "float":
    case "double":
      return escapeXml(String(value));
    default:
      return unreachable(shape);
  }
}
