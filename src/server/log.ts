import { pino } from "pino";
import type { Log } from "#std/log.ts";

/** A log with a way to get its last lines out before the process ends. */
export interface ServerLog extends Log {
  flush(): void;
}

/**
 * Structured lines on standard error, JSON, one a line. Lines are gathered for at most a second so that logging a request
 * costs microseconds; warnings and errors go out at once.
 */
export function createLog(level: "debug" | "info" | "warn" | "error", fileDescriptor = 2): ServerLog {
  const destination = pino.destination({ dest: fileDescriptor, sync: false, minLength: 4096 });
  const logger = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    destination,
  );
  const flush = (): void => {
    try {
      destination.flushSync();
    } catch {
      // The destination is not open yet or already gone: there is nowhere left to say so.
    }
  };
  setInterval(flush, 1000).unref();
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn(fields, message) {
      logger.warn(fields, message);
      flush();
    },
    error(fields, message) {
      logger.error(fields, message);
      flush();
    },
    flush,
  };
}
