/** Keys of a sign-in are kept in a file that only its owner can read, so that a person signs in once and not for each command. */
import { constants } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { takeFileLock } from "#metadata/file-lock.ts";
import type { FileLock } from "#metadata/file-lock.ts";
import { writeSecretFile } from "#server/data-folder.ts";
import type { Json } from "#std/json.ts";
import { readObject } from "./ask.ts";
import type { ProcessCredentials } from "./login-session.ts";

const maxFileBytes = 65_536;
/** Keys about to end are no use to a command that begins now. */
const unusedLastMs = 5 * 60_000;
const pollMs = 200;

/** The user's folder for what can be had again (XDG Base Directory Specification; on macOS its own). */
export function userCacheFolder(environment: NodeJS.ProcessEnv, platform: NodeJS.Platform): string {
  const given = environment["XDG_CACHE_HOME"];
  // The specification: a relative path is to be ignored.
  if (given?.startsWith("/") === true) return given;
  return platform === "darwin" ? join(homedir(), "Library", "Caches") : join(homedir(), ".cache");
}

/**
 * The keys kept in a file for a sign-in, while they have five minutes left. Undefined also when the file is not this user's own, can be
 * read or written by others, is for another sign-in, or cannot be understood: then a new sign-in replaces it.
 */
export async function readKeptKeys(file: string, signInId: string, now: number): Promise<ProcessCredentials | undefined> {
  const { for: keptFor, AccessKeyId, SecretAccessKey, SessionToken, Expiration } = readObject((await readOwnFile(file)) ?? "") ?? {};
  if (keptFor !== signInId) return undefined;
  if (!isText(AccessKeyId) || !isText(SecretAccessKey) || !isText(SessionToken) || !isText(Expiration)) return undefined;
  // A time that is none compares as false.
  return Date.parse(Expiration) - now > unusedLastMs ? { Version: 1, AccessKeyId, SecretAccessKey, SessionToken, Expiration } : undefined;
}

/** Keeps keys for a sign-in (0600), in place of what the file held; makes its folder. Rejects when it cannot be written. */
export async function keepKeys(file: string, signInId: string, keys: ProcessCredentials): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeSecretFile(file, `${JSON.stringify({ for: signInId, ...keys })}\n`);
}

/**
 * Waits until no other process signs in for this file: a tool that asks for keys from several threads shall open one window, not several.
 * Undefined where no lock can be had, such as in a folder that cannot be written. Rejects when the other takes longer than `timeoutMs`.
 */
export async function waitForTurn(file: string, timeoutMs: number, onWait: () => void): Promise<FileLock | undefined> {
  const deadline = performance.now() + timeoutMs;
  for (let isFirst = true; ; isFirst = false) {
    try {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      const lock = takeFileLock(`${file}.lock`);
      if (lock !== undefined) return lock;
    } catch {
      return undefined;
    }
    if (isFirst) onWait();
    if (performance.now() > deadline) throw new Error(`another sign-in for ${file} does not end`);
    await sleep(pollMs);
  }
}

/** The text of a plain file that nobody but this user can have written or can read. */
async function readOwnFile(file: string): Promise<string | undefined> {
  try {
    // Opening must not wait for the other end of a pipe.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const found = await handle.stat();
      const isOwn = found.isFile() && (found.mode & 0o077) === 0 && (process.getuid === undefined || found.uid === process.getuid());
      return isOwn && found.size <= maxFileBytes ? await handle.readFile("utf8") : undefined;
    } finally {
      await handle.close();
    }
  } catch {
    return undefined;
  }
}

function isText(value: Json | undefined): value is string {
  return typeof value === "string" && value !== "";
}
