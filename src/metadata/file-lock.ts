/** A lock between processes on a file. The system gives it back when its holder dies, however it dies. */
import { closeSync, existsSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

/** A lock that is held. */
export interface FileLock {
  release(): void;
}

/** SQLITE_BUSY */
const busy = 5;

/** A connection that nobody refers to is collected, and gives its lock back without anybody having asked for it. */
const holding = new Set<DatabaseSync>();

/**
 * Takes the lock on a file, which is made when it is missing and stays empty; undefined when somebody has it.
 * Node has no file locks of its own; SQLite's are those of the system, and also hold between machines where the file system has any.
 */
export function takeFileLock(file: string): FileLock | undefined {
  // An existing file is not opened here: closing it would give up a lock that this process holds on it already (fcntl(2)).
  if (!existsSync(file)) closeSync(openSync(file, "a", 0o600));
  const connection = new DatabaseSync(file, { timeout: 0 });
  try {
    // Without a journal file: nothing is ever written.
    connection.exec("pragma journal_mode = memory; begin exclusive");
  } catch (error) {
    connection.close();
    if (error instanceof Error && "errcode" in error && error.errcode === busy) return undefined;
    throw error;
  }
  holding.add(connection);
  return {
    release() {
      holding.delete(connection);
      connection.close();
    },
  };
}
