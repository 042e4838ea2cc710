import { strict as assert } from "node:assert";
import { test } from "node:test";
import * as fc from "fast-check";
import { startCpuTime } from "#std/testing/cpu-time.ts";
import { parseJson } from "#std/json.ts";
import { createJsonBlobReader, type JsonBlobProblemKind, type JsonBlobResult } from "./json-stream.ts";

const limits = { blobMember: "blob", maxOtherBytes: 4096, maxBlobBytes: 1_048_576 };

interface Read {
  readonly result: JsonBlobResult;
  readonly blob: Buffer;
}

/** Reads a document that arrives in the given pieces. */
function read(chunks: Iterable<Uint8Array>, options: Partial<typeof limits> = {}): Read {
  const received: Buffer[] = [];
  const reader = createJsonBlobReader({ ...limits, ...options, onBlob: (chunk) => received.push(Buffer.from(chunk)) });
  for (const chunk of chunks) if (reader.push(chunk) !== undefined) break;
  return { result: reader.end(), blob: Buffer.concat(received) };
}

function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  let at = 0;
  for (let index = 0; at < bytes.length; index++) {
    const size = sizes.length === 0 ? bytes.length : (sizes[index % sizes.length] ?? 1);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

/** The same by reading it all at once with plain means; undefined is a refusal. */
function reference(document: Uint8Array): { members: unknown; blob: Buffer } | undefined {
  const json = parseJson(document);
  if (!json.ok || json.value === null || typeof json.value !== "object" || Array.isArray(json.value)) return undefined;
  const { blob, ...members } = json.value;
  if (typeof blob !== "string") return undefined;
  const decoded = Buffer.from(blob, "base64");
  return decoded.toString("base64") === blob ? { members, blob: decoded } : undefined;
}

function agrees(document: Uint8Array, sizes: readonly number[]): void {
  const expected = reference(document);
  const { result, blob } = read(cut(document, sizes));
  assert.equal(result.ok, expected !== undefined, document.toString());
  if (!result.ok || expected === undefined) return;
  assert.deepEqual(result.members, expected.members);
  assert.ok(blob.equals(expected.blob));
  assert.equal(result.blobBytes, blob.length);
}

const refused: readonly (readonly [document: string, kind: JsonBlobProblemKind])[] = [
  ["", "syntax"],
  ["{", "syntax"],
  ["[]", "syntax"],
  ['["blob","AAAA"]', "syntax"],
  ['"blob"', "syntax"],
  ['{"blob":"AAAA"', "syntax"],
  ['{"blob":"AAAA', "syntax"],
  ['{"blob":"AAAA"}x', "syntax"],
  ['{"blob":"AAAA"}{}', "syntax"],
  ['{}{"blob":"AAAA"}', "syntax"],
  ['{"blob" "AAAA"}', "syntax"],
  ['{"blob":"AAAA",}', "syntax"],
  ['{"a":1,"a":2,"blob":"AAAA"}', "syntax"],
  ['\uFEFF{"blob":"AAAA"}', "syntax"],
  ['{"blob":"AAAA","blob":"AAAA"}', "duplicate"],
  ['{"blob":"AAAA","bl\\u006fb":"AAAA"}', "duplicate"],
  ['{"blob":"AAAA","blob":1}', "syntax"],
  ['{"blob":"" "AAAA"}', "duplicate"],
  ["{}", "missing"],
  ['{"a":"AAAA"}', "missing"],
  ['{"blob":null}', "missing"],
  ['{"a":{"blob":"AAAA"}}', "missing"],
  ['{"a":["blob","AAAA"]}', "missing"],
  ['{"a":"blob"}', "missing"],
  ['{"blob":1}', "type"],
  ['{"blob":["AAAA"]}', "type"],
  ['{"blob":{"blob":"AAAA"}}', "type"],
  ['{"blob":"A"}', "base64"],
  ['{"blob":"AA"}', "base64"],
  ['{"blob":"AAA"}', "base64"],
  ['{"blob":"AA=A"}', "base64"],
  ['{"blob":"AA==AAAA"}', "base64"],
  ['{"blob":"AAAA===="}', "base64"],
  ['{"blob":"===="}', "base64"],
  ['{"blob":"AB=="}', "base64"],
  ['{"blob":"AAB="}', "base64"],
  ['{"blob":"AA-_"}', "base64"],
  ['{"blob":"AA A"}', "base64"],
  ['{"blob":"AAAA "}', "base64"],
  ['{"blob":"AAAA\\n"}', "base64"],
  ['{"blob":"AAAA\n"}', "base64"],
  ['{"blob":"AA\\"A"}', "base64"],
  ['{"blob":"AA\\\\A"}', "base64"],
  ['{"blob":"AA\\u00zz"}', "base64"],
  ['{"blob":"AAA\\u0141"}', "base64"],
  ['{"blob":"AAAé"}', "base64"],
];

for (const [document, kind] of refused) {
  test(`refused as ${kind}: ${document}`, () => {
    const bytes = Buffer.from(document);
    for (const sizes of [[], [1], [3]]) {
      const { result } = read(cut(bytes, sizes));
      assert.equal(result.ok ? "ok" : result.problem.kind, kind);
    }
  });
}

const accepted: readonly (readonly [document: string, blob: string])[] = [
  ['{"blob":""}', ""],
  [' { "a" : [ "\\"" , { "blob" : 1 } ] , "blob" : "aGk=" , "b" : "}" } \n', "hi"],
  ['{"bl\\u006fb":"aGk="}', "hi"],
  ['{"blob":"\\u0061\\u0047k\\u003D"}', "hi"],
  ['{"blob":"\\/\\/\\/\\u002B"}', "\xff\xff\xfe"],
  ['{"__proto__":{"x":1},"blob":"aGk="}', "hi"],
  ['{"a":"\\\\","blob":"aGk="}', "hi"],
];

for (const [document, blob] of accepted) {
  test(`accepted: ${document.trim()}`, () => {
    for (const sizes of [[], [1], [2], [5]]) {
      const { result, blob: decoded } = read(cut(Buffer.from(document), sizes));
      assert.ok(result.ok);
      assert.equal(decoded.toString("latin1"), blob);
      const { blob: _, ...members } = JSON.parse(document) as Record<string, unknown>;
      assert.deepEqual(result.members, members);
    }
  });
}

test("limits", () => {
  const kindOf = (document: string, options: Partial<typeof limits>): string => {
    const { result } = read([Buffer.from(document)], options);
    return result.ok ? "ok" : result.problem.kind;
  };
  assert.equal(kindOf('{"blob":"AAAA"}', { maxBlobBytes: 3 }), "ok");
  assert.equal(kindOf('{"blob":"AAAAAA=="}', { maxBlobBytes: 3 }), "blob-too-large");
  assert.equal(kindOf('{"blob":"AAAA"}', { maxOtherBytes: 11 }), "ok");
  assert.equal(kindOf('{"blob":"AAAA"}', { maxOtherBytes: 10 }), "rest-too-large");
  assert.equal(kindOf('{"blob":"AAAA"}', { maxOtherBytes: 9 }), "rest-too-large");
  assert.equal(kindOf(`{"blob":"AAAA"}${" ".repeat(5000)}`, {}), "rest-too-large");
});

test("a problem stays, and nothing more is decoded", () => {
  let decodedBytes = 0;
  const reader = createJsonBlobReader({ ...limits, onBlob: (chunk) => (decodedBytes += chunk.length) });
  assert.equal(reader.push(Buffer.from('{"blob":"AAA"'))?.kind, "base64");
  assert.equal(reader.push(Buffer.from(',"blob":"AAAA"}'))?.kind, "base64");
  const result = reader.end();
  assert.equal(result.ok ? "ok" : result.problem.kind, "base64");
  assert.equal(decodedBytes, 0);
});

test("the message names the member", () => {
  const { result } = read([Buffer.from('{"blob":"A"}')]);
  assert.equal(result.ok ? "" : result.problem.message, "blob is not valid base64");
});

const chunkSizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });
const blank = fc.constantFrom("", " ", "\n\t", "\r ");

/** Writes a string with some characters as escapes. */
function escaped(text: string, choices: readonly number[]): string {
  const written = text.split("").map((character, index) => {
    const choice = choices.length === 0 ? 0 : (choices[index % choices.length] ?? 0);
    if (choice === 1 && character === "/") return "\\/";
    if (choice === 2) return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
    return JSON.stringify(character).slice(1, -1);
  });
  return `"${written.join("")}"`;
}

const choices = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 8 });
const documents = fc
  .record({
    members: fc.dictionary(
      fc.oneof(
        fc.string().filter((name) => name !== "blob"),
        fc.constantFrom("Blob", "blo", "__proto__"),
      ),
      fc.jsonValue({ maxDepth: 3 }),
      { maxKeys: 4 },
    ),
    blob: fc.uint8Array({ maxLength: 300 }),
    position: fc.nat(4),
    blank,
    choices,
    keyChoices: choices,
  })
  .map(({ members, blob, position, blank, choices, keyChoices }) => {
    const written = Object.entries(members).map(([name, value]) => `${JSON.stringify(name)}${blank}:${blank}${JSON.stringify(value)}`);
    const text = escaped(Buffer.from(blob).toString("base64"), choices);
    written.splice(position, 0, `${escaped("blob", keyChoices)}${blank}:${blank}${text}`);
    return Buffer.from(`${blank}{${blank}${written.join(`${blank},${blank}`)}${blank}}${blank}`);
  });

test("reads what a whole-document reader reads, wherever the pieces are cut", () => {
  fc.assert(
    fc.property(documents, chunkSizes, (document, sizes) => agrees(document, sizes)),
    { numRuns: 500 },
  );
});

test("refuses what a whole-document reader refuses: documents with a few bytes changed", () => {
  const edits = fc.array(fc.tuple(fc.nat(400), fc.constantFrom(...Buffer.from('{}[]:,"\\/=A1 \nub\xff'))), { minLength: 1, maxLength: 3 });
  const property = fc.property(documents, edits, chunkSizes, (document, changes, sizes) => {
    const changed = Buffer.from(document);
    for (const [at, byte] of changes) changed[at % changed.length] = byte;
    agrees(changed, sizes);
  });
  fc.assert(property, { numRuns: 2000 });
});

test("a large blob comes out whole and fast", () => {
  const blob = Buffer.alloc(6_000_001, 0).map((_, index) => (index * 31) ^ (index >> 7));
  const document = Buffer.from(JSON.stringify({ a: 1, blob: Buffer.from(blob).toString("base64"), z: "end" }));
  const received: Buffer[] = [];
  const reader = createJsonBlobReader({ ...limits, maxBlobBytes: blob.length, onBlob: (chunk) => received.push(Buffer.from(chunk)) });
  for (const chunk of cut(document, [65_536])) assert.equal(reader.push(chunk), undefined);
  assert.ok(reader.end().ok);
  assert.ok(Buffer.concat(received).equals(blob));
});

test("escapes everywhere cost linear time", () => {
  const document = Buffer.from(`{"blob":"${"\\/".repeat(400_000)}"}`);
  const cpuMs = startCpuTime();
  const { result } = read([document]);
  assert.ok(result.ok);
  assert.equal(result.blobBytes, 300_000);
  // Quadratic would be minutes.
  assert.ok(cpuMs() < 5_000);
});
