/** What a log line may carry besides its message: plain values, never a secret. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * A structured log. Messages are constants; what varies goes into the fields.
 * A secret (token, key, password, Authorization header) must never be handed to it.
 */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/** A log that keeps nothing, for tests and for tools that report by other means. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
