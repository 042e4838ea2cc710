/** What the operating system's errors mean to callers of a driver. */
import { StorageError } from "./driver.ts";

const kinds: Readonly<Record<string, StorageError["kind"]>> = {
  ENOENT: "not-found",
  ENOSPC: "no-space",
  EDQUOT: "no-space",
};

/** The code of a system error (`ENOENT`), or undefined for any other error. */
export function systemErrorCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** Does the error say that a file or folder is not there? */
export function isAbsent(error: unknown): boolean {
  return systemErrorCode(error) === "ENOENT";
}

/** Turns what a file operation threw into a StorageError that says what was being done; one that is one already stays what it is. */
export function storageFault(error: unknown, doing: string): unknown {
  const code = systemErrorCode(error);
  // Programmer's errors have no code, or one of Node's own; they must stay visible as what they are.
  if (error instanceof StorageError || code === undefined || code.startsWith("ERR_")) return error;
  return new StorageError(kinds[code] ?? "unavailable", `${doing} failed with ${code}`, { cause: error });
}

/** Runs file operations; what they throw becomes a StorageError. */
export async function storing<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storageFault(error, doing);
  }
}
