import { writevSync } from "node:fs";
import { pino } from "pino";
import { systemClock } from "#std/clock.ts";
import { isoTime } from "#std/iso-time.ts";
import type { Log, LogFields } from "#std/log.ts";

/** A log with a way to get its last lines out before the process ends. */
export interface ServerLog extends Log {
  flush(): void;
}

/** Lines are written together from this many bytes on. */
const gatherBytes = 4096;
/** More than this is not kept for a reader that does not read: the newest lines are dropped. */
const keptBytes = 1_048_576;

/** Lines that are made together: one by one, in the middle of requests, that costs several times as much. */
const madeTogether = 64;

/**
 * Structured lines on standard error, JSON, one a line. Lines are gathered for at most a second so that logging a request
 * costs microseconds; warnings and errors go out at once, after all that came before them. A log that cannot be written (a closed pipe, a
 * full disk, a reader that has stopped) never holds up a request: its lines are dropped. What is handed over must not change afterwards.
 */
export function createLog(level: "debug" | "info" | "warn" | "error", fileDescriptor = 2): ServerLog {
  const lines = createLineWriter(fileDescriptor);
  let unmade: (() => void)[] = [];
  let lineTime = 0;
  const logger = pino(
    { level, base: null, timestamp: () => `,"time":"${isoTime(lineTime)}"`, formatters: { level: (label) => ({ level: label }) } },
    lines,
  );
  const makeLines = (): void => {
    const making = unmade;
    unmade = [];
    for (const make of making) make();
  };
  const later = (kind: "debug" | "info", fields: LogFields, message: string): void => {
    if (!logger.isLevelEnabled(kind)) return;
    const at = systemClock.now();
    unmade.push(() => {
      lineTime = at;
      logger[kind](fields, message);
    });
    if (unmade.length >= madeTogether) makeLines();
  };
  const flush = (): void => {
    makeLines();
    lines.flush();
  };
  const atOnce = (kind: "warn" | "error", fields: LogFields, message: string): void => {
    makeLines();
    lineTime = systemClock.now();
    logger[kind](fields, message);
    lines.flush();
  };
  setInterval(flush, 1000).unref();
  return {
    debug: (fields, message) => later("debug", fields, message),
    info: (fields, message) => later("info", fields, message),
    warn: (fields, message) => atOnce("warn", fields, message),
    error: (fields, message) => atOnce("error", fields, message),
    flush,
  };
}

/**
 * Gathers lines and writes them synchronously. pino's own destination retries every failed write for ever, blocking the event loop:
 * a closed standard error would stop the whole server.
 */
function createLineWriter(fileDescriptor: number): { write(line: string): void; readonly flush: () => void } {
  let gathered: Buffer[] = [];
  let gatheredBytes = 0;
  const flush = (): void => {
    gathered = writeAsMuchAsGoes(fileDescriptor, gathered);
    gatheredBytes = gathered.reduce((sum, line) => sum + line.byteLength, 0);
  };
  return {
    write(line) {
      const bytes = Buffer.from(line);
      if (gatheredBytes + bytes.byteLength > keptBytes) return;
      gathered.push(bytes);
      gatheredBytes += bytes.byteLength;
      if (gatheredBytes >= gatherBytes) flush();
    },
    flush,
  };
}

/** Lines of one write call; IOV_MAX is 1024. */
const linesAtOnce = 512;

/** Writes until everything is out or the reader has had enough; answers what is left to try again. What fails for another reason is given up. */
function writeAsMuchAsGoes(fileDescriptor: number, lines: Buffer[]): Buffer[] {
  let rest = lines;
  try {
    while (rest.length > 0) rest = after(rest, writevSync(fileDescriptor, rest.slice(0, linesAtOnce)));
    return rest;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EAGAIN" ? rest : [];
  }
}

/** What remains of the lines after their first `writtenBytes`. */
function after(lines: Buffer[], writtenBytes: number): Buffer[] {
  let left = writtenBytes;
  const next = lines.findIndex((line) => {
    if (left < line.byteLength) return true;
    left -= line.byteLength;
    return false;
  });
  return next === -1 ? [] : [lines[next]?.subarray(left) ?? Buffer.alloc(0), ...lines.slice(next + 1)];
}
