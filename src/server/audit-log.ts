/**
 * Where audit records go: a file a day in the data folder, standard output, or a collector by HTTP. Writing never holds up a request:
 * lines are gathered and written in the background; what a slow or full sink cannot take is dropped, counted, and told in the log.
 */
import { createWriteStream, mkdirSync, readdirSync, rmSync } from "node:fs";
import type { WriteStream } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#std/clock.ts";
import type { Log } from "#std/log.ts";

/** Takes records. */
export interface AuditLog {
  /** One line with its end. */
  write(line: string): void;
  /** Resolves when everything written so far is out. */
  close(): Promise<void>;
}

/** Sends a batch of lines somewhere; rejects when it did not arrive. */
export type AuditCollector = (lines: readonly string[]) => Promise<void>;

const gatherMs = 200;
const gatherChars = 65_536;
const keptChars = 8_388_608;
const dayMs = 86_400_000;
const fileName = /^(\d{4}-\d{2}-\d{2})\.[\w-]+\.jsonl$/;
const retryMs = [500, 2_000, 8_000] as const;

/** Writes nothing. */
export const noAuditLog: AuditLog = { write() {}, close: async () => {} };

/** Gathers lines and hands them on, one batch after the other. */
function createGatherer(send: (lines: readonly string[]) => Promise<void>, log: Log): AuditLog {
  let lines: string[] = [];
  let chars = 0;
  let dropped = 0;
  let sending: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (sending !== undefined || lines.length === 0) return;
    const batch = lines;
    lines = [];
    chars = 0;
    sending = send(batch)
      .catch((error: unknown) => {
        dropped += batch.length;
        log.error({ error: String(error), dropped }, "audit records could not be written");
      })
      .finally(() => {
        sending = undefined;
        if (lines.length > 0) timer ??= setTimeout(flush, gatherMs).unref();
      });
  };
  return {
    write(line) {
      if (chars + line.length > keptChars) {
        if (dropped++ === 0) log.error({}, "audit records are dropped: their sink does not keep up");
        return;
      }
      lines.push(line);
      chars += line.length;
      if (chars >= gatherChars) flush();
      else timer ??= setTimeout(flush, gatherMs).unref();
    },
    async close() {
      for (;;) {
        flush();
        if (sending === undefined) return;
        await sending;
      }
    },
  };
}

/** Writes to a file a UTC day, `<folder>/2026-11-21.<node>.jsonl`, readable by its owner only; files older than `keepDays` are removed. */
export function createFileAuditLog(options: {
  readonly folder: string;
  readonly node: string;
  readonly keepDays: number;
  readonly clock: Clock;
  readonly log: Log;
}): AuditLog {
  const { folder, node, keepDays, clock, log } = options;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  let day = "";
  let stream: WriteStream | undefined;

  const streamOfToday = (): WriteStream => {
    const today = dayOf(clock.now());
    if (stream !== undefined && !stream.destroyed && today === day) return stream;
    stream?.end();
    day = today;
    removeOld(folder, dayOf(clock.now() - keepDays * dayMs));
    stream = createWriteStream(join(folder, `${today}.${node}.jsonl`), { flags: "a", mode: 0o600 });
    stream.on("error", (error) => log.error({ error: String(error) }, "the audit file cannot be written"));
    return stream;
  };
  const gatherer = createGatherer((lines) => writeTo(streamOfToday(), lines.join("")), log);
  return {
    write: (line) => gatherer.write(line),
    async close() {
      await gatherer.close();
      await new Promise<void>((resolve) => (stream === undefined || stream.destroyed ? resolve() : stream.end(resolve)));
    },
  };
}

/** Writes to standard output. */
export function createStreamAuditLog(stream: NodeJS.WritableStream, log: Log): AuditLog {
  return createGatherer((lines) => writeTo(stream, lines.join("")), log);
}

/** Hands batches to a collector; what does not arrive is tried again a few times. */
export function createCollectorAuditLog(collect: AuditCollector, log: Log): AuditLog {
  return createGatherer(async (lines) => {
    for (const pauseMs of retryMs) {
      try {
        return await collect(lines);
      } catch (error) {
        log.warn({ error: String(error) }, "the audit collector did not take a batch; it is tried again");
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
    await collect(lines);
  }, log);
}

/** The files of a folder in order of days, oldest first. */
export function auditFiles(folder: string): readonly { readonly day: string; readonly path: string }[] {
  return readdirSync(folder)
    .map((name) => ({ day: fileName.exec(name)?.[1] ?? "", path: join(folder, name) }))
    .filter(({ day }) => day !== "")
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function removeOld(folder: string, before: string): void {
  for (const { day, path } of auditFiles(folder)) if (day < before) rmSync(path, { force: true });
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

function writeTo(stream: NodeJS.WritableStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => (error === null || error === undefined ? resolve() : reject(error)));
  });
}
