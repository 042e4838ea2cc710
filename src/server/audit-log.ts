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
  /** Takes what makes one line, with its end. It is called a moment later, with others of its kind: in the middle of a request that costs several times as much. */
  write(makeLine: () => string): void;
  /** Resolves when everything written so far is out. */
  close(): Promise<void>;
}

/** Sends a batch of whole lines somewhere; rejects when it did not arrive. */
export type AuditCollector = (lines: Uint8Array) => Promise<void>;

const gatherMs = 200;
const gatherBytes = 65_536;
const keptBytes = 8_388_608;
/** Lines that are made together. */
const lineBatch = 64;
/** UTF-8 needs no more than this for each unit of a string. */
const bytesPerUnit = 3;
const dayMs = 86_400_000;
const fileName = /^(\d{4}-\d{2}-\d{2})\.[\w-]+\.jsonl$/;
const retryMs = [500, 2_000, 8_000] as const;

/** Writes nothing. */
export const noAuditLog: AuditLog = { write() {}, close: async () => {} };

/** Bytes that are being gathered; lines are written straight into them, which is half the cost of gathering strings. */
interface Gathered {
  readonly bytes: Buffer;
  usedBytes: number;
  lineCount: number;
}

/** Gathers lines and hands them on, one batch after the other. */
function createGatherer(send: AuditCollector, log: Log): AuditLog {
  let unmade: (() => string)[] = [];
  let gathering = emptyBatch(gatherBytes);
  const waiting: Gathered[] = [];
  let waitingBytes = 0;
  let dropped = 0;
  let sending: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  const setAside = (nextBytes: number): void => {
    waiting.push(gathering);
    waitingBytes += gathering.usedBytes;
    gathering = emptyBatch(nextBytes);
  };
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    makeLines();
    if (sending !== undefined) return;
    if (waiting.length === 0 && gathering.usedBytes > 0) setAside(gatherBytes);
    const batch = waiting.shift();
    if (batch === undefined) return;
    waitingBytes -= batch.usedBytes;
    sending = send(batch.bytes.subarray(0, batch.usedBytes))
      .catch((error: unknown) => {
        dropped += batch.lineCount;
        log.error({ error: String(error), dropped }, "audit records could not be written");
      })
      .finally(() => {
        sending = undefined;
        if (waiting.length > 0) flush();
        else if (gathering.usedBytes > 0) timer ??= setTimeout(flush, gatherMs).unref();
      });
  };
  const gather = (line: string): void => {
    const mostBytes = line.length * bytesPerUnit;
    if (waitingBytes + gathering.usedBytes + line.length > keptBytes) {
      if (dropped++ === 0) log.error({}, "audit records are dropped: their sink does not keep up");
      return;
    }
    if (gathering.usedBytes > 0 && gathering.usedBytes + mostBytes > gathering.bytes.byteLength) setAside(Math.max(gatherBytes, mostBytes));
    else if (mostBytes > gathering.bytes.byteLength) gathering = emptyBatch(mostBytes);
    gathering.usedBytes += gathering.bytes.write(line, gathering.usedBytes);
    gathering.lineCount += 1;
  };
  function makeLines(): void {
    const making = unmade;
    unmade = [];
    for (const makeLine of making) gather(makeLine());
  }
  return {
    write(makeLine) {
      unmade.push(makeLine);
      if (unmade.length >= lineBatch) {
        makeLines();
        if (waiting.length > 0) flush();
      }
      timer ??= setTimeout(flush, gatherMs).unref();
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

function emptyBatch(sizeBytes: number): Gathered {
  return { bytes: Buffer.allocUnsafeSlow(sizeBytes), usedBytes: 0, lineCount: 0 };
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
  const gatherer = createGatherer((lines) => writeTo(streamOfToday(), lines), log);
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
  return createGatherer((lines) => writeTo(stream, lines), log);
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

function writeTo(stream: NodeJS.WritableStream, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(bytes, (error) => (error === null || error === undefined ? resolve() : reject(error)));
  });
}
