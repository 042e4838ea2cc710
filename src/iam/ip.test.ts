import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { isInRange, parseIpAddress, parseIpRange } from "./ip.ts";

function contains(range: string, address: string): boolean {
  const [parsedRange, parsedAddress] = [parseIpRange(range), parseIpAddress(address)];
  assert.ok(parsedRange !== undefined && parsedAddress !== undefined, `${range} ${address}`);
  return isInRange(parsedRange, parsedAddress);
}

test("compares by value", () => {
  const cases: [range: string, address: string, expected: boolean][] = [
    ["203.0.113.0/24", "203.0.113.255", true],
    ["203.0.113.0/24", "203.0.114.0", false],
    ["203.0.113.77/24", "203.0.113.1", true],
    ["128.0.0.0/1", "255.1.2.3", true],
    ["128.0.0.0/1", "127.1.2.3", false],
    ["0.0.0.0/0", "8.8.8.8", true],
    ["0.0.0.0/0", "::1", false],
    ["::/0", "8.8.8.8", false],
    ["10.0.0.1", "10.0.0.1", true],
    ["10.0.0.1", "10.0.0.2", false],
    ["10.0.0.0/31", "10.0.0.1", true],
    ["10.0.0.0/31", "10.0.0.2", false],
    ["10.0.0.0/8", "::ffff:10.1.2.3", true],
    ["::ffff:10.0.0.0/104", "10.1.2.3", true],
    ["::ffff:10.0.0.0/104", "11.1.2.3", false],
    ["2001:db8::/33", "2001:db8:7fff::1", true],
    ["2001:db8::/33", "2001:db8:8000::1", false],
    ["2001:DB8:0:0::1", "2001:db8::1", true],
    ["2001:db8::/127", "2001:db8::2", false],
    ["::1.2.3.4", "::102:304", true],
  ];
  for (const [range, address, expected] of cases) assert.equal(contains(range, address), expected, `${address} in ${range}`);
});

test("refuses what is no address", () => {
  const texts = [
    "",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4 ",
    "::1::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7::8",
    "12345::",
    "g::",
  ];
  for (const text of [...texts, ":1", "1:", ":::", "fe80::1%eth0", "::1.2.3", "1.2.3.4::", "10.0.0.0/8", "0x1.2.3.4"])
    assert.equal(parseIpAddress(text), undefined, text);
  for (const text of ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/8/8", "::/129", "/8", "*"])
    assert.equal(parseIpRange(text), undefined, text);
});

test("an address is in each range that its own bits begin", () => {
  const octet = fc.integer({ min: 0, max: 255 });
  fc.assert(
    fc.property(
      fc.tuple(octet, octet, octet, octet),
      fc.integer({ min: 0, max: 32 }),
      fc.integer({ min: 0, max: 31 }),
      (octets, bits, flip) => {
        const text = octets.join(".");
        const value = octets.reduce((sum, one) => ((sum << 8) | one) >>> 0, 0);
        const other = (value ^ (1 << (31 - flip))) >>> 0;
        const otherText = [24, 16, 8, 0].map((shift) => (other >>> shift) & 255).join(".");
        assert.equal(contains(`${text}/${bits}`, text), true);
        assert.equal(contains(`${text}/${bits}`, otherText), flip >= bits);
        assert.equal(contains(`::ffff:${text}/${bits + 96}`, otherText), flip >= bits);
      },
    ),
  );
});
