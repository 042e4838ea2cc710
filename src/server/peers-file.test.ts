import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadPeers } from "./peers-file.ts";
import { SettingsError } from "./settings.ts";

const folder = mkdtempSync(join(tmpdir(), "supercargo-peers-"));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, "peers.yaml");
const settings = { regions: ["us-east-1"], trustedHosts: ["plain.internal"] };

const peer = (region: string, url: string, secret = "secretAccessKey: 0123456789abcdef") =>
  `- region: ${region}\n  url: ${url}\n  accessKeyId: AKIAAAAAAAAAAAAAAAAA\n  ${secret}\n  accounts:\n    "000000000000": "000000000001"\n`;

const writeFile = (content: string): void => writeFileSync(file, content, { mode: 0o600 });

test("peers are read from YAML in which every value is text", () => {
  writeFileSync(join(folder, "secret"), "0123456789abcdef\n");
  writeFile(
    `${peer("eu-west-1", "https://a.example")}${peer("eu-west-2", "http://plain.internal", `secretAccessKeyFile: ${folder}/secret`)}`,
  );
  const peers = loadPeers(file, settings);
  assert.deepEqual([...peers.keys()], ["eu-west-1", "eu-west-2"]);
  assert.equal(peers.get("eu-west-2")?.secretAccessKey, "0123456789abcdef");
  assert.equal(peers.get("eu-west-1")?.accounts.get("000000000000"), "000000000001");
});

test("what an operator can mend is said with the file's name, and without its secrets", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["- region: [", /peers\.yaml/],
    [peer("us-east-1", "https://a.example"), /us-east-1 is a region of this deployment/],
    [peer("eu-west-1", "http://a.example"), /eu-west-1 is named without TLS/],
    [peer("eu-west-1", "https://a.example", "secretAccessKeyFile: /does/not/exist"), /ENOENT/],
    [peer("eu-west-1", "https://a.example", "secretAccessKey: hunter2"), /16 to 256/],
  ];
  for (const [content, expected] of cases) {
    writeFile(content);
    assert.throws(
      () => loadPeers(file, settings),
      (error: Error) => error instanceof SettingsError && expected.test(error.message) && !/hunter2|0123456789abcdef/.test(error.message),
      content,
    );
  }
  assert.throws(() => loadPeers(join(folder, "none"), settings), SettingsError);
});

test("a secret in the file is one only where nobody else can read the file", () => {
  writeFile(peer("eu-west-1", "https://a.example"));
  for (const mode of [0o640, 0o604, 0o622]) {
    chmodSync(file, mode);
    writeFile(peer("eu-west-1", "https://a.example"));
    assert.throws(
      () => loadPeers(file, settings),
      /peers\.yaml: it holds a secret and can be read by others \(mode 6\d\d\); run: chmod 600/,
    );
    writeFile(peer("eu-west-1", "https://a.example", `secretAccessKeyFile: ${folder}/secret`));
    assert.equal(loadPeers(file, settings).size, 1);
  }
  chmodSync(file, 0o600);
});
