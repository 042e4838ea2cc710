/**
 * Folders, and when their entries are durable. A file's data sync says nothing about its name: the name is an entry of the folder and
 * lasts only when the folder was synced, the folder itself only when its parent was (fsync(2)).
 */
import type { FileHandle } from "node:fs/promises";
import { mkdir, open, rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import { isAbsent, systemErrorCode } from "./filesystem-fault.ts";

/** Registry contents are for the server's account only. */
const folderMode = 0o700;
const fileMode = 0o600;
/** Each attempt fails only when somebody removed the empty folder at that very moment. */
const maxAttempts = 64;

/** Makes the entries of a folder durable: files made, renamed or removed in it. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a folder and its parents, durable when it resolves. Also one that is there already, because its maker may have died before its sync. */
export async function makeDurableFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: folderMode });
  const top = first === undefined ? folder : first;
  for (let made = folder; ; made = dirname(made)) {
    await syncFolder(dirname(made));
    if (made === top || made === dirname(made)) return;
  }
}

/** Makes a new file for writing, and its folder when that is missing; fails with EEXIST when the file is there. Its parent's parent must exist. */
export async function openNewFile(file: string): Promise<FileHandle> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await open(file, "wx", fileMode);
    } catch (error) {
      if (!isAbsent(error) || attempt === maxAttempts) throw error;
    }
    await makeFolder(dirname(file));
  }
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: folderMode });
  } catch (error) {
    if (systemErrorCode(error) !== "EEXIST") throw error;
  }
}

/** Removes a folder if nothing is in it. Whoever is about to write into it makes it again ({@link openNewFile}). */
export async function removeEmptyFolder(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    const code = systemErrorCode(error) ?? "";
    if (!["ENOTEMPTY", "EEXIST", "ENOENT"].includes(code)) throw error;
  }
}
