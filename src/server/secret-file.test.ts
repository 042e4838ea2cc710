import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { readEventTargets } from "./event-target-file.ts";
import { loadPeers } from "./peers-file.ts";
import { readSecretYaml } from "./secret-file.ts";
import { makeFolder } from "./testing/in-process.ts";

const folder = makeFolder();
after(() => rmSync(folder, { recursive: true }));

const secret = "s3cr3tAccessKeyOfPeer";
const peers = `- region: eu-west-3
  url: https://a.example
  accessKeyId: AKIAAAAAAAAAAAAAAAAA
  secretAccessKey: ${secret}
`;
const targets = `targets:
  - name: hook
    type: webhook
    url: https://h.example/x
    secret: ${secret}
`;
/** What a slip of the finger puts into a file. */
const slips = [
  "",
  ":",
  '"',
  "'",
  "[",
  "{",
  "}",
  "&",
  "*",
  "!",
  "|",
  ">",
  "\n",
  "\n ",
  "\t",
  "- ",
  "? ",
  "%",
  "@",
  "`",
  ",",
  "#",
  "!!int ",
  "\\x",
  "\0",
];

test("whatever is wrong with a file, what stands in it is not repeated", async () => {
  const file = join(folder, "file.yaml");
  const warnings: string[] = [];
  const note = (warning: Error): void => void warnings.push(String(warning));
  process.on("warning", note);
  try {
    for (const [text, read] of [
      [peers, () => void loadPeers(file, { regions: ["us-east-1"], trustedHosts: [] })],
      [targets, () => void readEventTargets(file, { environment: {}, trustedHosts: [] })],
    ] as const) {
      const begin = text.indexOf("secret");
      const value = text.indexOf("s3cr3t");
      const places = [
        0,
        2,
        4,
        begin - 2,
        begin - 1,
        begin,
        begin + 1,
        value - 2,
        value - 1,
        value,
        value + 1,
        value + 9,
        text.length - 1,
        text.length,
      ];
      for (const at of places)
        for (const slip of slips)
          for (const lost of [0, 1]) {
            const broken = text.slice(0, at) + slip + text.slice(at + lost);
            writeFileSync(file, broken, { mode: 0o600 });
            try {
              read();
            } catch (error) {
              assert.doesNotMatch(String(error), /s3cr3t|cr3tAcc|KeyOfPeer/, broken);
            }
          }
    }
  } finally {
    // Warnings are told a moment later.
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", note);
  }
  assert.deepEqual(warnings, []);
});

test("an operator is told where a file cannot be read", () => {
  assert.throws(() => readSecretYaml("a: 1\nb: [\n"), /^Error: it is no YAML \(.+ at line \d, column \d\)$/);
  assert.throws(() => readSecretYaml("a: 1\na: 2\n"), /duplicate key at line 2, column 1/);
  assert.throws(() => readSecretYaml("a: *b\n"), /alias/);
  assert.deepEqual(readSecretYaml("a: 000\nb: yes\n"), { a: "000", b: "yes" });
});
