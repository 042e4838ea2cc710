import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { formatInstanceKey, makeInstanceKey } from "#sealing/instance-key.ts";
import { silentLog } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import { dataFolderAt, loadInstanceKeys, ownDataFolder, prepareDataFolder, writeSecretFile } from "./data-folder.ts";
import { startServer } from "./serve.ts";
import { SettingsError } from "./settings.ts";
import { makeFolder, settingsFor } from "./testing/in-process.ts";

const quiet = { ...silentLog, flush() {} };
let folder: string;
beforeEach(() => {
  folder = makeFolder();
});
afterEach(() => rmSync(folder, { recursive: true }));

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

function refused(words: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof SettingsError && words.test(error.message);
}

test("everything that a first start makes is its owner's alone, whatever the umask", async () => {
  const umask = process.umask(0);
  try {
    const server = await startServer(settingsFor(folder), quiet, "");
    const paths = dataFolderAt(join(folder, "data"));
    assert.equal(modeOf(paths.folder), "700");
    for (const name of readdirSync(paths.folder)) {
      const isFolder = statSync(join(paths.folder, name)).isDirectory();
      assert.equal(modeOf(join(paths.folder, name)), isFolder ? "700" : "600", name);
    }
    assert.ok(existsSync(paths.keyFile) && existsSync(paths.databaseFile));
    await server.stop();
  } finally {
    process.umask(umask);
  }
});

test("an existing folder keeps its mode", async () => {
  const paths = dataFolderAt(join(folder, "given"));
  mkdirSync(paths.folder, { mode: 0o750 });
  await prepareDataFolder(paths);
  assert.equal(modeOf(paths.folder), "750");
});

test("a data folder that cannot be one is refused in clear words", async () => {
  writeFileSync(join(folder, "file"), "");
  for (const place of [join(folder, "file"), join(folder, "file", "below")])
    await assert.rejects(prepareDataFolder(dataFolderAt(place)), refused(/^the data folder .*file.* cannot be made: .*SUPERCARGO_DATA/));
});

test("one owner at a time", () => {
  const paths = dataFolderAt(folder);
  const lock = ownDataFolder(paths);
  assert.throws(() => ownDataFolder(paths), /in use by another supercargo process/);
  lock.release();
  ownDataFolder(paths).release();
});

test("the instance key is made once and read again", async () => {
  const file = join(folder, "instance.key");
  const [made] = await loadInstanceKeys(file, "make", systemRandom);
  assert.equal(modeOf(file), "600");
  const [read] = await loadInstanceKeys(file, "was-lost", systemRandom);
  assert.ok(made !== undefined && read?.secret.equals(made.secret));
});

test("several keys in a file are all read, the first one first", async () => {
  const keys = [makeInstanceKey(systemRandom), makeInstanceKey(systemRandom)];
  const file = join(folder, "keys");
  await writeSecretFile(file, `# rotated\n${keys.map(formatInstanceKey).join("\n")}\n`);
  assert.deepEqual(
    (await loadInstanceKeys(file, "was-lost", systemRandom)).map(({ id }) => id),
    keys.map(({ id }) => id),
  );
});

test("a missing key is never made for a database that is there", async () => {
  const file = join(folder, "instance.key");
  await assert.rejects(loadInstanceKeys(file, "was-lost", systemRandom), refused(/instance\.key is missing.*restore it from your backup$/));
  await assert.rejects(loadInstanceKeys(file, "was-never-made", systemRandom), refused(/is missing.*supercargo key make .*instance\.key$/));
  assert.equal(existsSync(file), false);
});

test("a server whose key went away does not start, and makes no other", async () => {
  const settings = settingsFor(folder);
  await (await startServer(settings, quiet, "")).stop();
  const { keyFile } = dataFolderAt(settings.data);
  const key = readFileSync(keyFile, "utf8");
  rmSync(keyFile);
  await assert.rejects(startServer(settings, quiet, ""), refused(/instance\.key is missing/));
  assert.equal(existsSync(keyFile), false);
  await writeSecretFile(keyFile, key);
  await (await startServer(settings, quiet, "")).stop();
});

test("a server with another key than the database's says so when it has no root key of its own", async () => {
  const settings = settingsFor(folder, { SUPERCARGO_ROOT_ACCESS_KEY_ID: "", SUPERCARGO_ROOT_SECRET_ACCESS_KEY: "" });
  await (await startServer(settings, quiet, "")).stop();
  await writeSecretFile(dataFolderAt(settings.data).keyFile, `${formatInstanceKey(makeInstanceKey(systemRandom))}\n`);
  await assert.rejects(startServer(settings, quiet, ""), /sealed under an instance key that is not in the key file.*root reset/);
});

for (const mode of [0o640, 0o604, 0o666]) {
  test(`a key that others can read is refused: mode ${mode.toString(8)}`, async () => {
    const file = join(folder, "instance.key");
    await loadInstanceKeys(file, "make", systemRandom);
    chmodSync(file, mode);
    await assert.rejects(
      loadInstanceKeys(file, "was-lost", systemRandom),
      refused(new RegExp(`mode ${mode.toString(8)}.*chmod 600 .*key$`)),
    );
  });
}

for (const [what, text] of [
  ["empty", ""],
  ["cut off", formatInstanceKey(makeInstanceKey(systemRandom)).slice(0, -1)],
  ["something else", "hello\n"],
] as const) {
  test(`a key file that is ${what} is refused without showing it`, async () => {
    const file = join(folder, "instance.key");
    writeFileSync(file, text, { mode: 0o600 });
    await assert.rejects(
      loadInstanceKeys(file, "make", systemRandom),
      (error) => refused(/instance\.key is not usable/)(error) && (text === "" || !String(error).includes(text.trim())),
    );
    assert.equal(readFileSync(file, "utf8"), text);
  });
}

test("a secret file replaces an open one whole and leaves no draft", async () => {
  const file = join(folder, "secret");
  writeFileSync(file, "old and readable", { mode: 0o644 });
  await writeSecretFile(file, "new");
  assert.deepEqual([readFileSync(file, "utf8"), modeOf(file), readdirSync(folder)], ["new", "600", ["secret"]]);
  await assert.rejects(writeSecretFile(join(folder, "none", "secret"), "x"), /ENOENT/);
  assert.deepEqual(readdirSync(folder), ["secret"]);
});
