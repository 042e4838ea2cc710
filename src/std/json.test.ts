import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { startCpuTime } from "#std/testing/cpu-time.ts";
import { parseJson, readJson } from "./json.ts";

const utf8 = new TextEncoder();

function refusal(input: string | Uint8Array, options?: { maxDepth?: number }): string {
  const outcome = parseJson(input, options);
  assert.ok(!outcome.ok, `was accepted: ${String(input).slice(0, 80)}`);
  return outcome.problem;
}

function accepted(input: string | Uint8Array, options?: { maxDepth?: number }): unknown {
  const outcome = parseJson(input, options);
  assert.ok(outcome.ok, outcome.ok ? "" : outcome.problem);
  return outcome.value;
}

test("reads what JSON.parse reads", () => {
  // oxfmt-ignore
  const texts = [
    "null", "true", " false ", "0", "-0", "-1", "10", "123456789012345", "1234567890123456", "9007199254740993", "1.5", "-0.0", "1e3", "1E+2",
    "12e-2", "1.25e2", "5e-324", "1e-400", '""', '"a"', '"\\""', '"\\\\"', '"\\u0041\\n\\/"', '"\\ud83d\\ude00"', '"😀"', '"\u2028\u007f"',
    "[]", "[ ]", "{}", "{ }", "[1,2]", '\t\r\n [ 1 , { "a" : [ ] } ] ', '{"":0}', '{"a":{"a":1},"b":{"a":1}}', '{"2":0,"1":0}', '"\\u0000"', '"\ufeff"',
  ];
  for (const text of texts) {
    assert.deepStrictEqual(accepted(text), JSON.parse(text), text);
    assert.deepStrictEqual(accepted(utf8.encode(text)), JSON.parse(text), text);
  }
});

test("reads every document as it was written, however it is indented", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 8 }), fc.integer({ min: 0, max: 3 }), (value, indent) => {
      const document = JSON.stringify(value, null, indent);
      assert.equal(JSON.stringify(accepted(document), null, indent), document);
    }),
    { numRuns: 500 },
  );
});

test("agrees with JSON.parse on every number", () => {
  const digits = fc.stringMatching(/^[0-9]{0,20}$/);
  const number = fc
    .tuple(
      fc.constantFrom("", "-", "+"),
      digits,
      fc.constantFrom("", "."),
      digits,
      fc.constantFrom("", "e", "E-", "e+"),
      fc.stringMatching(/^[0-9]{0,2}$/),
    )
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(number, (text) => {
      let expected: unknown;
      try {
        expected = JSON.parse(text);
      } catch {
        refusal(text);
        return;
      }
      assert.ok(Object.is(accepted(text), expected), text);
    }),
    { numRuns: 2_000 },
  );
});

test("never accepts what JSON.parse refuses, and never reads it differently", () => {
  // Built from the characters that JSON is made of, so that many texts are nearly right.
  const nearly = fc.array(fc.constantFrom(...Array.from('[]{}:,"\\ u0041e-.+ntrue'), "\n", "\u0001", '"a"', '"b":', "null", "false"), {
    maxLength: 14,
  });
  fc.assert(
    fc.property(nearly, (pieces) => {
      const text = pieces.join("");
      const outcome = parseJson(text);
      // In names with escapes JSON.parse itself may err: see readJson.
      if (outcome.ok && /\\[^]*:/.test(text)) assert.doesNotThrow(() => void JSON.parse(text), text);
      else if (outcome.ok) assert.deepStrictEqual(outcome.value, JSON.parse(text), text);
    }),
    { numRuns: 5_000 },
  );
});

test("refuses what is not JSON", () => {
  // oxfmt-ignore
  const texts = [
    "", " ", "nul", "nulll", "True", "undefined", "NaN", "Infinity", "'a'", "01", "-", "-01", "00", "1.", ".5", "1e", "1e+", "+1", "0x10", "1_000",
    "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "]", "{", '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', "{a:1}", "{1:1}", '{"a" 1}', '{"a":1 "b":2}',
    '"', '"a', '"\\', '"\\"', '"\\x41"', '"\\u12"', '"\\u12g4"', '"\n"', '"\u0000"', '"\u001f"', '"a\tb"', "/* */1", "1 // one", "\u00a01", "1\u000b",
  ];
  for (const text of texts) {
    refusal(text);
    refusal(utf8.encode(text));
  }
});

test("refuses text after the value", () => {
  for (const text of ["1 2", "{} {}", '{"a":1}]', "null\u0000", "[] x", '""""']) assert.match(refusal(text), /after the end|expected/);
});

test("refuses duplicate keys, also when an escape hides them", () => {
  const texts = [
    '{"a":1,"a":1}',
    '{"a":1,"b":2,"a":3}',
    String.raw`{"a":1,"\u0061":2}`,
    String.raw`{"\u00e9":1,"é":2}`,
    String.raw`{"\/":1,"/":2}`,
    String.raw`{"\ud83d\ude00":1,"😀":2}`,
    '{"":1,"":2}',
    '{"0":1,"0":2}',
    '{"__proto__":1,"__proto__":2}',
    '[{"x":{"a":1,"a":2}}]',
  ];
  for (const text of texts) assert.match(refusal(text), /duplicate key/, text);
  assert.match(refusal('{"a":1, "a":2}'), /duplicate key "a" at character 8/);
  // Names that every object inherits are not duplicates; neither are texts that only look alike.
  for (const text of ['{"toString":1,"constructor":2,"hasOwnProperty":3}', '{"é":1,"e\u0301":2}', '{"a":1,"A":2}'])
    assert.deepStrictEqual(accepted(text), JSON.parse(text));
});

test("a member named __proto__ is data", () => {
  const value = accepted('{"__proto__":{"admin":true},"b":1}') as Record<string, unknown>;
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.deepStrictEqual(Object.keys(value), ["__proto__", "b"]);
  assert.equal(value["admin"], undefined);
  assert.equal(JSON.stringify(value), '{"__proto__":{"admin":true},"b":1}');
});

test("refuses nesting beyond the limit, whatever the depth", () => {
  const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
  accepted(nested(64));
  assert.match(refusal(nested(65)), /deeper than 64 levels/);
  assert.match(refusal('{"a":'.repeat(65) + "1" + "}".repeat(65)), /deeper than 64 levels/);
  accepted("1", { maxDepth: 0 });
  refusal("[]", { maxDepth: 0 });
  accepted(nested(1_000), { maxDepth: 1_000 });
  for (const depth of [10_000, 1_000_000]) {
    refusal(nested(depth));
    refusal("[".repeat(depth));
    refusal('{"a":'.repeat(depth), { maxDepth: 1_000 });
  }
});

test("refuses a byte order mark, invalid UTF-8 and lone surrogates", () => {
  assert.match(refusal("\ufeff{}"), /byte order mark/);
  assert.match(refusal(Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b, 0x7d)), /byte order mark/);
  const invalid = [[0xff], [0xc0, 0xaf], [0xc3], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x80]];
  for (const bytes of invalid) assert.match(refusal(Uint8Array.of(0x22, ...bytes, 0x22)), /UTF-8/);
  assert.match(refusal(new Uint8Array(Buffer.from('{"a":1}', "utf16le"))), /JSON/);
  const lone = ['"\ud83d"', '"\ude00"', String.raw`"\ud83d"`, String.raw`"\ude00\ud83d"`, String.raw`"a\ud83dx"`, String.raw`{"\udfff":1}`];
  for (const text of lone) assert.match(refusal(text), /surrogate/);
  assert.match(refusal(String.raw`"\ud83d` + '\ude00"'), /surrogate/);
});

test("refuses numbers that a double cannot hold", () => {
  for (const text of ["1e309", "-1e309", "9".repeat(400), "1e99999999999"]) assert.match(refusal(text), /too large/);
  assert.equal(accepted("1" + "0".repeat(308)), 1e308);
});

test("problems stay short, whatever the key", () => {
  const key = "k".repeat(100_000);
  assert.ok(refusal(`{"${key}":1,"${key}":2}`).length < 200);
});

test("takes linear time for hostile documents of 4 MiB", () => {
  const fill = (piece: string): string => piece.repeat(Math.floor(4_194_304 / piece.length));
  const keys = (name: (index: number) => string): string =>
    `{${Array.from({ length: 200_000 }, (_, index) => `"${name(index)}":0`).join(",")}}`;
  const documents = {
    backslashes: `"${fill("\\\\")}`,
    escapes: `"${fill("\\u0061")}"`,
    digits: fill("1"),
    fraction: `0.${fill("1")}`,
    space: fill(" "),
    objects: `[${fill("{},")}0]`,
    opening: fill("["),
    keys: keys((index) => `key${index}`),
    integerKeys: keys((index) => String(index * 1024)),
    descendingKeys: keys((index) => String(200_000 - index)),
  };
  for (const [name, document] of Object.entries(documents)) {
    const cpuMs = startCpuTime();
    parseJson(document);
    assert.ok(cpuMs() < 20_000, `${name} took ${cpuMs()} ms`);
  }
});

test("what was written is read again, whatever names were read before", () => {
  const before = '[{",":"t","\\\\":["x"]}]';
  for (let n = 0; n < 50; n += 1) readJson(before);
  for (let n = 0; n < 50; n += 1) assert.deepEqual(Object.keys(readJson('{",":"t","\\"":["x"]}') as object), [",", '"']);
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      assert.equal(JSON.stringify(readJson(text)), text);
    }),
  );
  assert.throws(() => readJson("{"), SyntaxError);
});
