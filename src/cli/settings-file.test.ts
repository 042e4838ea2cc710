import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { SettingsError } from "#server/settings.ts";
import type { Settings } from "#server/settings.ts";
import { settingsFrom } from "./settings-file.ts";

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "supercargo-settings-"));
});
after(() => rmSync(folder, { recursive: true }));

function settingsOf(text: string): Settings {
  const file = join(folder, "settings.yaml");
  writeFileSync(file, text);
  return settingsFrom({ config: file });
}

test("values stay the text that they are", () => {
  const settings = settingsOf("account: 000000000000\nundo-days: 007\ndev: true\nallowPlaintext: 1\ndomain: 'cargo.example'\n");
  assert.deepEqual(
    [settings.account, settings.undoDays, settings.dev, settings.allowPlaintext, settings.domain],
    ["000000000000", 7, true, true, "cargo.example"],
  );
});

test("both spellings of a name, lists, comments, nothing at all", () => {
  assert.equal(settingsOf("public-url: http://a:1\n").publicUrl, settingsOf("publicUrl: http://a:1 # here\n").publicUrl);
  assert.deepEqual(settingsOf("regions:\n  - us-east-1\n  - eu-west-1\n").regions, ["us-east-1", "eu-west-1"]);
  for (const nothing of ["", "# only a comment\n", "---\n"]) assert.equal(settingsOf(nothing).listen.port, 4600);
});

const refused: readonly (readonly [what: string, text: string, words: RegExp])[] = [
  ["no settings", "just words\n", /settings\.yaml must hold 'name: value' lines$/],
  ["a list", "- a\n- b\n", /must hold 'name: value' lines$/],
  ["a name that is none", "reigon: us-east-1\n", /the settings file names 'reigon', which is no setting$/],
  ["a name twice", "region: us-east-1\nregion: us-east-1\n", /cannot be read: .*duplicate key at line 2/i],
  ["a value inside a value", "region:\n  name: us-east-1\n", /'region' must be a plain value or a list of them$/],
  ["a value that cannot be", "undo-days: soon\n", /SUPERCARGO_UNDO_DAYS \(from the settings file\): 'soon' is not usable/],
  ["bad YAML", "region: [us-east-1\n", /settings\.yaml cannot be read: /],
  ["aliases that multiply", "a: &a [x,x]\nregion: [*a,*a]\n", /cannot be read: .*alias/i],
];
for (const [what, text, words] of refused) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => settingsOf(text),
      (error) => error instanceof SettingsError && words.test(error.message) && !error.message.includes("\n"),
    );
  });
}

test("refused: a file that is not there", () => {
  assert.throws(() => settingsFrom({ config: join(folder, "none.yaml") }), /the settings file .*none\.yaml cannot be read: ENOENT/);
});

test("the file is named by the environment too, and flags are stronger than what is in it", () => {
  const file = join(folder, "named.yaml");
  writeFileSync(file, "region: eu-west-1\nundo-days: 3\n");
  process.env["SUPERCARGO_CONFIG"] = file;
  try {
    const settings = settingsFrom({ undoDays: "1" });
    assert.deepEqual([settings.region, settings.undoDays], ["eu-west-1", 1]);
  } finally {
    delete process.env["SUPERCARGO_CONFIG"];
  }
});
