import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { makeCertificate } from "./certificate.ts";
import type { CertificateSubject } from "./certificate.ts";

const subject: CertificateSubject = {
  country: "ZZ",
  state: "eu-west-1",
  organization: "Ünit & Co",
  unit: "111111111111",
  commonName: "mine",
};
const keys = generateKeyPairSync("ec", { namedCurve: "P-384" });
const notBefore = Date.UTC(2026, 10, 21, 8, 15, 30);
const notAfter = Date.UTC(2051, 0, 1);
const make = (more: Partial<Parameters<typeof makeCertificate>[0]> = {}): Buffer =>
  makeCertificate({ subject, ...keys, serial: Uint8Array.of(0, 0, 0x80, 1), notBefore, notAfter, ...more });

test("Node reads what was written, and the signature is the key's own", () => {
  const certificate = new X509Certificate(make());
  assert.equal(certificate.subject, "C=ZZ\nST=eu-west-1\nO=Ünit & Co\nOU=111111111111\nCN=mine");
  assert.equal(certificate.issuer, certificate.subject);
  assert.deepEqual([certificate.validFromDate.getTime(), certificate.validToDate.getTime()], [notBefore, notAfter]);
  assert.equal(certificate.serialNumber, "8001");
  assert.equal(certificate.ca, false);
  assert.deepEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.3"]);
  assert.equal(certificate.verify(keys.publicKey), true);
  assert.equal(certificate.verify(generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey), false);
});

test("a name that is longer than names may be is cut", () => {
  const { subject: text } = new X509Certificate(make({ subject: { ...subject, commonName: "n".repeat(200) } }));
  assert.equal(text.split("CN=")[1], "n".repeat(64));
});

test("openssl finds nothing strange in it", () => {
  const folder = mkdtempSync(join(tmpdir(), "certificate-"));
  const file = join(folder, "certificate.pem");
  writeFileSync(file, new X509Certificate(make()).toString());
  const openssl = (...parameters: string[]): string => {
    const { status, stdout, stderr } = spawnSync("openssl", parameters, { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    return stdout;
  };
  const text = openssl("x509", "-in", file, "-noout", "-text");
  assert.match(text, /Version: 3 \(0x2\)/);
  assert.match(text, /X509v3 Basic Constraints: critical\s+CA:FALSE/);
  assert.match(text, /X509v3 Key Usage: critical\s+Digital Signature\n/);
  assert.match(text, /X509v3 Extended Key Usage:\s+Code Signing/);
  openssl("verify", "-x509_strict", "-check_ss_sig", "-attime", String(notBefore / 1_000 + 1), "-CAfile", file, file);
  rmSync(folder, { recursive: true });
});

test("any serial number and any name come back", () => {
  const serials = fc.uint8Array({ minLength: 1, maxLength: 20 });
  const names = fc.string({ unit: fc.constantFrom("a", "b", "X", "Z", "_", "0", "9"), minLength: 2, maxLength: 64 });
  fc.assert(
    fc.property(serials, names, (serial, commonName) => {
      const certificate = new X509Certificate(make({ serial, subject: { ...subject, commonName } }));
      const number = (hex: string): bigint => BigInt(`0x${hex}`);
      assert.equal(number(certificate.serialNumber), number(Buffer.from(serial).toString("hex")));
      assert.equal(certificate.subject.split("CN=")[1], commonName);
    }),
    { numRuns: 30 },
  );
});
