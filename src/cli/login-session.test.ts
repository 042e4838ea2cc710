import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { startCpuTime } from "#std/testing/cpu-time.ts";
import { escapeXml } from "#aws/xml.ts";
import { readCredentials } from "./login-session.ts";

const good = { AccessKeyId: "ASIA1234", SecretAccessKey: "s/+=", SessionToken: "t0ken", Expiration: "2026-11-21T08:00:00Z" };
const xmlOf = (fields: object): string =>
  `<AssumeRoleWithWebIdentityResponse><Result><Credentials>${Object.entries(fields)
    .map(([name, value]) => `<${name}>${escapeXml(String(value))}</${name}>`)
    .join("\n  ")}</Credentials><Audience>a</Audience></Result></AssumeRoleWithWebIdentityResponse>`;

test("keys come out as they went in, whatever their characters", () => {
  const text = fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCodePoint(code)), minLength: 1 });
  fc.assert(
    fc.property(text, text, text, (AccessKeyId, SecretAccessKey, SessionToken) => {
      const fields = { ...good, AccessKeyId, SecretAccessKey, SessionToken };
      assert.deepEqual(readCredentials(xmlOf(fields)), { Version: 1, ...fields });
    }),
  );
  assert.equal(readCredentials(xmlOf(good).replace("t0ken", "t&#48;ken"))?.SessionToken, "t0ken");
  assert.equal(readCredentials(xmlOf(good).replace("t0ken", "t&#x30;ken"))?.SessionToken, "t0ken");
});

const xml = xmlOf(good);
const unusable: readonly (readonly [string, string])[] = [
  ["nothing", ""],
  ["a page", "<html><body>Sign in</body></html>"],
  ["no secret", xml.replace(/<SecretAccessKey>.*<\/SecretAccessKey>/, "")],
  ["an empty token", xml.replace("t0ken", "")],
  ["two keys", xml.replace("<AccessKeyId>", "<AccessKeyId>ASIA5678</AccessKeyId><AccessKeyId>")],
  ["two answers", xml + xml],
  ["a time that is none", xml.replace("2026-", "when-")],
  ["an element inside", xml.replace("t0ken", "<b>t0ken</b>")],
  ["a comment inside", xml.replace("t0ken", "t0<!-- -->ken")],
  ["a line break", xml.replace("t0ken", "t0&#10;ken")],
  ["keys outside of the credentials", xml.replace("<Credentials>", "<Credentials></Credentials>")],
  ["cut short", xml.slice(0, xml.indexOf("</Credentials>"))],
];
test("an answer that is not exactly one set of keys is none", () => {
  for (const [what, text] of unusable) assert.equal(readCredentials(text), undefined, what);
});

test("a long answer without an end does not hold the command up", () => {
  const cpuMs = startCpuTime();
  assert.equal(readCredentials("<Credentials>".repeat(20_000)), undefined);
  assert.ok(cpuMs() < 1_000);
});
