import assert from "node:assert/strict";
import { test } from "node:test";
import { parseInstant } from "./instant.ts";

test("reads the W3C profile of ISO 8601 and seconds", () => {
  const cases: [text: string, expected: string][] = [
    ["2026-11-21T08:00:00Z", "2026-11-21T08:00:00.000Z"],
    ["2026-11-21t08:00:00z", "2026-11-21T08:00:00.000Z"],
    ["2026-11-21T08:00:00.25Z", "2026-11-21T08:00:00.250Z"],
    ["2026-11-21T08:00Z", "2026-11-21T08:00:00.000Z"],
    ["2026-11-21T08:00:00+01:30", "2026-11-21T06:30:00.000Z"],
    ["2026-11-21T08:00:00-01:00", "2026-11-21T09:00:00.000Z"],
    ["2026-11-21T08:00:00", "2026-11-21T08:00:00.000Z"],
    ["2026-11-21", "2026-11-21T00:00:00.000Z"],
    ["2026-11", "2026-11-01T00:00:00.000Z"],
    ["2024-02-29", "2024-02-29T00:00:00.000Z"],
    ["1767225600", "2026-01-01T00:00:00.000Z"],
    ["0", "1970-01-01T00:00:00.000Z"],
  ];
  for (const [text, expected] of cases) assert.equal(parseInstant(text), Date.parse(expected), text);
});

test("refuses what is no moment", () => {
  const texts = [
    "",
    "now",
    "2026-13-01",
    "2026-02-29",
    "2026-04-31",
    "2026-1-1",
    "2026-11-21T24:00:00Z",
    "2026-11-21T08:60Z",
    "2026-11-21 08:00",
  ];
  for (const text of [...texts, "2026-11-21T08Z", "2026-11-21T08:00:00+24:00", "-1", "1e3", "20261121T080000Z", "2026-11-21T08:00:00ZZ"])
    assert.equal(parseInstant(text), undefined, text);
});
