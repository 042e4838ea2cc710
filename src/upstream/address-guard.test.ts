import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isPublicAddress, isTrustedHost } from "./address-guard.ts";

const open = [
  "8.8.8.8",
  "1.1.1.1",
  "172.15.255.255",
  "172.32.0.0",
  "100.128.0.1",
  "192.0.1.1",
  "223.255.255.255",
  "2606:4700:4700::1111",
  "2a00::1",
];
const closed: readonly (readonly [string, string])[] = [
  ["unspecified", "0.0.0.0"],
  ["this network", "0.1.2.3"],
  ["private", "10.0.0.1"],
  ["private", "172.16.0.1"],
  ["private", "172.31.255.255"],
  ["private", "192.168.1.1"],
  ["shared", "100.64.0.1"],
  ["loopback", "127.0.0.1"],
  ["loopback, not the usual one", "127.255.255.254"],
  ["metadata", "169.254.169.254"],
  ["container credentials", "169.254.170.2"],
  ["documentation", "192.0.2.1"],
  ["benchmarks", "198.19.255.255"],
  ["multicast", "224.0.0.1"],
  ["reserved", "240.0.0.1"],
  ["broadcast", "255.255.255.255"],
  ["IPv6 loopback", "::1"],
  ["IPv6 unspecified", "::"],
  ["unique local", "fd00::1"],
  ["metadata over IPv6", "fd00:ec2::254"],
  ["link-local", "fe80::1"],
  ["link-local with a zone", "fe80::1%eth0"],
  ["a zone on a public one", "2606:4700::1%eth0"],
  ["site-local", "fec0::1"],
  ["IPv6 multicast", "ff02::1"],
  ["mapped", "::ffff:8.8.8.8"],
  ["mapped in hexadecimal", "::ffff:7f00:1"],
  ["mapped, long", "0:0:0:0:0:ffff:a9fe:a9fe"],
  ["compatible", "::127.0.0.1"],
  ["NAT64", "64:ff9b::7f00:1"],
  ["local NAT64", "64:ff9b:1::1"],
  ["6to4", "2002:7f00:1::1"],
  ["Teredo", "2001:0:4136:e378::1"],
  ["IPv6 documentation", "2001:db8::1"],
  ["a name", "localhost"],
  ["a number", "2130706433"],
  ["octal", "0177.0.0.1"],
  ["short", "127.1"],
  ["in brackets", "[::1]"],
  ["nothing", ""],
];

test("strangers may send the server to public addresses only", () => {
  for (const address of open) assert.equal(isPublicAddress(address), true, address);
  for (const [what, address] of closed) assert.equal(isPublicAddress(address), false, `${what}: ${address}`);
});

test("no IPv6 address that begins with zeros, or carries any IPv4 address in a known form, is public", () => {
  const byte = fc.nat(255);
  fc.assert(
    fc.property(byte, byte, byte, byte, (a, b, c, d) => {
      const [high, low] = [a * 256 + b, c * 256 + d].map((half) => half.toString(16));
      for (const form of [`::ffff:${a}.${b}.${c}.${d}`, `::${high}:${low}`, `64:ff9b::${high}:${low}`, `2002:${high}:${low}::`]) {
        assert.equal(isPublicAddress(form), false, form);
      }
    }),
  );
});

test("a trusted host is trusted on the ports that the operator named", () => {
  const list = ["idp.internal", "keys.internal:8443", "[::1]:80", "tls.internal:443"];
  const cases: readonly (readonly [string, boolean])[] = [
    ["http://idp.internal/", true],
    ["https://idp.internal:9000/x", true],
    ["https://IDP.internal/", true],
    ["https://keys.internal:8443/", true],
    ["https://keys.internal/", false],
    ["http://[::1]/", true],
    ["http://[0:0::1]:80/", true],
    ["http://[::1]:81/", false],
    ["https://tls.internal/", true],
    ["http://tls.internal/", false],
    ["https://sub.idp.internal/", false],
    ["https://idp.internal.example.com/", false],
    ["https://idp.internal@example.com/", false],
  ];
  for (const [url, isTrusted] of cases) assert.equal(isTrustedHost(list, new URL(url)), isTrusted, url);
});
