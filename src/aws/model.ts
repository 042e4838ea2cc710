/**
 * AWS service models as plain typed data. A model is what AWS publishes about a service: its operations, the shapes
 * of their inputs and outputs, and the constraints on those. This room reads no files: the caller hands in the parsed JSON.
 */
import { assert } from "#std/assert.ts";
import { compilePattern, type PatternTest } from "./pattern.ts";

/** Refers to a shape from a member, a list or a map. */
export interface ShapeReference {
  readonly shape: string;
  /** The name on the wire where it differs from the member's (Query protocol). */
  readonly locationName?: string;
}

/** A structure: named members of any shape. */
export interface StructureShape {
  readonly type: "structure";
  readonly members: Readonly<Record<string, ShapeReference>>;
  readonly required: readonly string[];
  readonly isException: boolean;
}

/** A list; `min` and `max` bound the number of its elements. */
export interface ListShape {
  readonly type: "list";
  readonly member: ShapeReference;
  readonly min?: number;
  readonly max?: number;
}

/** A map with string keys. */
export interface MapShape {
  readonly type: "map";
  readonly key: ShapeReference;
  readonly value: ShapeReference;
  readonly min?: number;
  readonly max?: number;
}

/** Text; `min` and `max` count characters. */
export interface StringShape {
  readonly type: "string";
  readonly min?: number;
  readonly max?: number;
  readonly enum?: readonly string[];
  /** The pattern as the model words it, and as error texts quote it. */
  readonly pattern?: string;
  /** Tests the pattern in bounded time. */
  readonly matches?: PatternTest;
  /** Never to be repeated in an answer or a log. */
  readonly isSensitive: boolean;
}

/** A number; `min` and `max` bound its value. */
export interface NumberShape {
  readonly type: "integer" | "long" | "float" | "double";
  readonly min?: number;
  readonly max?: number;
}

/** Bytes; `min` and `max` count bytes. */
export interface BlobShape {
  readonly type: "blob";
  readonly min?: number;
  readonly max?: number;
}

/** True or false. */
interface BooleanShape {
  readonly type: "boolean";
}

/** A moment. */
interface TimestampShape {
  readonly type: "timestamp";
}

/** Any shape of a model. */
export type Shape = StructureShape | ListShape | MapShape | StringShape | NumberShape | BlobShape | BooleanShape | TimestampShape;

/** One operation of a service. */
interface Operation {
  readonly name: string;
  readonly input: string | undefined;
  readonly output: string | undefined;
  /** The element around the output's members in the Query protocol. */
  readonly resultWrapper: string | undefined;
  /** The model says that the operation is called without a signature. */
  readonly isUnsigned: boolean;
}

/** A service as its model describes it. */
export interface ServiceModel {
  readonly serviceId: string;
  readonly protocol: "json" | "query";
  readonly apiVersion: string;
  /** What `X-Amz-Target` has before the dot (JSON protocol), else "". */
  readonly targetPrefix: string;
  /** The namespace of XML answers (Query protocol), else "". */
  readonly xmlNamespace: string;
  readonly operations: ReadonlyMap<string, Operation>;
  readonly shapes: ReadonlyMap<string, Shape>;
}

/** What a caller can change about a model. */
export interface ModelOptions {
  /** Tests to use instead of a shape's pattern, by shape name; such a test must take bounded time itself. */
  readonly patternTests?: Readonly<Record<string, PatternTest>>;
}

/** The shape of that name. A name that the model lacks is a programmer's error. */
export function shapeOf(model: ServiceModel, name: string): Shape {
  const shape = model.shapes.get(name);
  assert(shape !== undefined, `the model of ${model.serviceId} has no shape ${name}`);
  return shape;
}

/** The structure of that name. A name that the model lacks, or that names no structure, is a programmer's error. */
function structureOf(model: ServiceModel, name: string): StructureShape {
  const shape = shapeOf(model, name);
  assert(shape.type === "structure", `the shape ${name} of ${model.serviceId} is no structure`);
  return shape;
}

/**
 * A parsed model file with more operations and shapes, from a file of ours: what AWS publishes stays untouched, and what differs can be
 * reviewed by itself. A name that both have is a mistake, and fails as an assertion.
 */
export function supplemented(file: unknown, supplement: unknown): unknown {
  const [base, more] = [file as RawModel, supplement as Pick<RawModel, "operations" | "shapes">];
  for (const kind of ["operations", "shapes"] as const)
    for (const name of Object.keys(more[kind])) assert(!Object.hasOwn(base[kind], name), `the model has ${name} already`);
  return { ...base, operations: { ...base.operations, ...more.operations }, shapes: { ...base.shapes, ...more.shapes } };
}

/**
 * Reads a parsed model file (the service models that ship with botocore). Models are part of the program:
 * a file that is none fails as an assertion, at start.
 */
export function loadServiceModel(file: unknown, options: ModelOptions = {}): ServiceModel {
  const { metadata, operations, shapes } = file as RawModel;
  const { protocol } = metadata;
  assert(protocol === "json" || protocol === "query", `unknown protocol ${protocol} in the model of ${metadata.serviceId}`);
  const model: ServiceModel = {
    serviceId: metadata.serviceId,
    protocol,
    apiVersion: metadata.apiVersion,
    targetPrefix: metadata.targetPrefix ?? "",
    xmlNamespace: metadata.xmlNamespace ?? "",
    operations: new Map(Object.entries(operations).map(([name, raw]) => [name, readOperation(name, raw)])),
    shapes: new Map(Object.entries(shapes).map(([name, raw]) => [name, readShape(name, raw, options.patternTests?.[name])])),
  };
  checkReferences(model);
  return model;
}

interface RawModel {
  readonly metadata: {
    readonly serviceId: string;
    readonly protocol: string;
    readonly apiVersion: string;
    readonly targetPrefix?: string;
    readonly xmlNamespace?: string;
  };
  readonly operations: Readonly<Record<string, RawOperation>>;
  readonly shapes: Readonly<Record<string, RawShape>>;
}

interface RawOperation {
  readonly input?: ShapeReference;
  readonly output?: ShapeReference & { readonly resultWrapper?: string };
  readonly auth?: readonly string[];
}

interface RawShape {
  readonly type: string;
  readonly members?: Readonly<Record<string, ShapeReference>>;
  readonly required?: readonly string[];
  readonly exception?: boolean;
  readonly member?: ShapeReference;
  readonly key?: ShapeReference;
  readonly value?: ShapeReference;
  readonly min?: number;
  readonly max?: number;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly sensitive?: boolean;
}

function readOperation(name: string, raw: RawOperation): Operation {
  return {
    name,
    input: raw.input?.shape,
    output: raw.output?.shape,
    resultWrapper: raw.output?.resultWrapper,
    isUnsigned: raw.auth?.includes("smithy.api#noAuth") ?? false,
  };
}

function readShape(name: string, raw: RawShape, patternTest: PatternTest | undefined): Shape {
  const bounds = { ...(raw.min === undefined ? {} : { min: raw.min }), ...(raw.max === undefined ? {} : { max: raw.max }) };
  switch (raw.type) {
    case "structure":
      return { type: "structure", members: raw.members ?? {}, required: raw.required ?? [], isException: raw.exception ?? false };
    case "list":
      assert(raw.member !== undefined, `the list ${name} has no member`);
      return { type: "list", member: raw.member, ...bounds };
    case "map":
      assert(raw.key !== undefined && raw.value !== undefined, `the map ${name} has no key or value`);
      return { type: "map", key: raw.key, value: raw.value, ...bounds };
    case "string":
      return {
        type: "string",
        ...bounds,
        ...(raw.enum === undefined ? {} : { enum: raw.enum }),
        ...(raw.pattern === undefined ? {} : { pattern: raw.pattern, matches: patternTest ?? compilePattern(raw.pattern) }),
        isSensitive: raw.sensitive ?? false,
      };
    case "integer":
    case "long":
    case "float":
    case "double":
      return { type: raw.type, ...bounds };
    case "blob":
      return { type: "blob", ...bounds };
    case "boolean":
    case "timestamp":
      return { type: raw.type };
    default:
      throw new TypeError(`the shape ${name} has the unknown type ${raw.type}`);
  }
}

function checkReferences(model: ServiceModel): void {
  for (const operation of model.operations.values()) {
    if (operation.input !== undefined) structureOf(model, operation.input);
    if (operation.output !== undefined) structureOf(model, operation.output);
  }
  for (const shape of model.shapes.values()) {
    for (const reference of referencesOf(shape)) shapeOf(model, reference.shape);
  }
}

/** The shapes that a shape is made of. */
export function referencesOf(shape: Shape): readonly ShapeReference[] {
  if (shape.type === "structure") return Object.values(shape.members);
  if (shape.type === "list") return [shape.member];
  return shape.type === "map" ? [shape.key, shape.value] : [];
}
