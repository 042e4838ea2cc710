import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseContentRange, parseRange } from "./byte-range.ts";
import type { RangeRequest } from "./byte-range.ts";

const whole: RangeRequest = { kind: "whole" };
const unsatisfiable: RangeRequest = { kind: "unsatisfiable" };

function spans(...pairs: [first: number, last: number][]): RangeRequest {
  return { kind: "spans", spans: pairs.map(([first, last]) => ({ first, last })) };
}

test("reads Range headers", () => {
  const cases: [header: string | undefined, sizeBytes: number, expected: RangeRequest][] = [
    [undefined, 2048, whole],
    // What the OCI conformance suite asks of a blob of 2048 bytes.
    ["bytes=500-1499", 2048, spans([500, 1499])],
    ["bytes=500-", 2048, spans([500, 2047])],
    ["bytes=-500", 2048, spans([1548, 2047])],
    ["bytes=2000-5000", 2048, spans([2000, 2047])],
    ["bytes=500-0", 2048, unsatisfiable],
    ["bytes=5000-10000", 2048, unsatisfiable],
    ["bytes=0-0", 10, spans([0, 0])],
    ["bytes=9-9", 10, spans([9, 9])],
    ["bytes=10-10", 10, unsatisfiable],
    ["bytes=10-", 10, unsatisfiable],
    ["bytes=-0", 10, unsatisfiable],
    ["bytes=-1", 10, spans([9, 9])],
    ["bytes=-10", 10, spans([0, 9])],
    ["bytes=-99999999999999999999999", 10, spans([0, 9])],
    ["bytes=0-99999999999999999999999", 10, spans([0, 9])],
    ["bytes=99999999999999999999999-", 10, unsatisfiable],
    [`bytes=${"9".repeat(400)}-${"9".repeat(401)}`, 10, unsatisfiable],
    ["bytes=0-", 0, unsatisfiable],
    ["bytes=-5", 0, whole],
    ["Bytes=0-1", 10, spans([0, 1])],
    ["bytes = 0-1", 10, spans([0, 1])],
    ["bytes=0-1,3-4", 10, spans([0, 1], [3, 4])],
    ["bytes=0-1 ,\t3-4, ,", 10, spans([0, 1], [3, 4])],
    ["bytes=5-6,0-1", 10, spans([5, 6], [0, 1])],
    ["bytes=0-1,50-60", 10, spans([0, 1])],
    ["bytes=50-60,70-", 10, unsatisfiable],
    ["bytes=0-1,5-4", 10, unsatisfiable],
    // Overlaps that ask for more than there is would multiply the answer.
    ["bytes=0-,0-", 10, whole],
    ["bytes=0-9,9-9", 10, whole],
    ["bytes=0-6,4-6", 10, spans([0, 6], [4, 6])],
    ["items=0-1", 10, whole],
    ["bytes", 10, whole],
    ["bytes=", 10, whole],
    ["bytes=,", 10, whole],
    ["bytes=-", 10, whole],
    ["bytes=a-b", 10, whole],
    ["bytes=1-2-3", 10, whole],
    ["bytes=--5", 10, whole],
    ["bytes=0x1-0x2", 10, whole],
    ["bytes=1.5-2", 10, whole],
    ["bytes=0-1,x", 10, whole],
    ["bytes=5-4,x", 10, whole],
  ];
  for (const [header, sizeBytes, expected] of cases)
    assert.deepStrictEqual(parseRange(header, sizeBytes), expected, `${header} of ${sizeBytes}`);
});

test("ignores more than 32 spans", () => {
  const header = (count: number): string => `bytes=${Array.from({ length: count }, (_, index) => `${index * 2}-${index * 2}`).join(",")}`;
  const most = parseRange(header(32), 1_000);
  assert.ok(most.kind === "spans" && most.spans.length === 32);
  assert.deepStrictEqual(parseRange(header(33), 1_000), whole);
  assert.deepStrictEqual(parseRange(header(33), 1), whole);
});

test("spans lie inside the representation and never ask for more than it has", () => {
  const position = fc.oneof(fc.constant(""), fc.integer({ min: 0, max: 40 }).map(String));
  const header = fc
    .array(fc.tuple(position, position), { minLength: 1, maxLength: 6 })
    .map((pairs) => `bytes=${pairs.map((pair) => pair.join("-")).join(",")}`);
  fc.assert(
    fc.property(header, fc.integer({ min: 0, max: 30 }), (text, sizeBytes) => {
      const request = parseRange(text, sizeBytes);
      if (request.kind !== "spans") return;
      assert.ok(request.spans.length > 0);
      for (const { first, last } of request.spans) assert.ok(first >= 0 && first <= last && last < sizeBytes, `${first}-${last}`);
      const totalBytes = request.spans.reduce((sum, span) => sum + span.last - span.first + 1, 0);
      assert.ok(totalBytes <= sizeBytes);
    }),
    { numRuns: 2_000 },
  );
});

test("a printed span is read back", () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), (first, more) => {
      const span = { first, last: first + more };
      assert.deepStrictEqual(parseRange(`bytes=${span.first}-${span.last}`, span.last + 1), { kind: "spans", spans: [span] });
      for (const text of [
        `${span.first}-${span.last}`,
        `bytes ${span.first}-${span.last}/*`,
        `bytes ${span.first}-${span.last}/${span.last + 1}`,
      ])
        assert.deepStrictEqual(parseContentRange(text), { ok: true, value: span });
    }),
  );
});

test("refuses a Content-Range that is not one", () => {
  // oxfmt-ignore
  const headers = [
    "", "-", "0-", "-1", "0", "a-b", "1-0", "0-1 ", " 0-1", "0 - 1", "0-1,2-3", "0-1/2", "bytes 0-1", "bytes=0-1/2", "bytes */10", "bytes 0-1/", "bytes 0-1/1",
    "bytes 5-4/10", "items 0-1/2", "+0-1", "0x0-0x1", "1e1-2e1", "0-9007199254740992", "9007199254740992-9007199254740993", `0-${"9".repeat(400)}`, "٠-١", "0-1\n",
  ];
  for (const header of headers) assert.equal(parseContentRange(header).ok, false, header);
  assert.deepStrictEqual(parseContentRange("0-9007199254740991"), { ok: true, value: { first: 0, last: 9_007_199_254_740_991 } });
});
