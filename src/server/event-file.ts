/** Events in files: a line of JSON each, a file for each UTC day (`events.jsonl` becomes `events-2026-11-21.jsonl`), only ever appended to. */
import { mkdir, open, readdir, rm } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import type { EventTarget } from "#events/target.ts";
import type { Clock } from "#std/clock.ts";

/** What the files are made with. */
export interface EventFileOptions {
  readonly path: string;
  /** `batch`: every batch is on the disk before it counts as delivered. `never`: that is the system's business. */
  readonly sync: "batch" | "never";
  /** How long files are kept; undefined: for ever. */
  readonly keepDays: number | undefined;
  readonly clock: Clock;
}

const maxEvents = 500;
const maxBytes = 1_048_576;
const dayMs = 86_400_000;

/** Makes the target. Folders and files are made when they are needed, readable by their owner only. */
export function createEventFile({ path, sync, keepDays, clock }: EventFileOptions): EventTarget {
  const extension = extname(path);
  const stem = basename(path, extension);
  const folder = dirname(path);
  let day = "";
  let handle: FileHandle | undefined;

  async function fileOfToday(): Promise<FileHandle> {
    const today = dayOf(clock.now());
    if (handle !== undefined && today === day) return handle;
    await handle?.close();
    handle = undefined;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if (keepDays !== undefined) await removeBefore(dayOf(clock.now() - keepDays * dayMs));
    const opened = await open(join(folder, `${stem}-${today}${extension}`), "a+", 0o600);
    await endLine(opened);
    day = today;
    return (handle = opened);
  }

  async function removeBefore(oldest: string): Promise<void> {
    for (const name of await readdir(folder)) {
      if (!name.startsWith(`${stem}-`) || !name.endsWith(extension)) continue;
      const dated = name.slice(stem.length + 1, name.length - extension.length);
      if (/^\d{4}-\d{2}-\d{2}$/.test(dated) && dated < oldest) await rm(join(folder, name), { force: true });
    }
  }

  return {
    maxEvents,
    maxBytes,
    async send(events) {
      const file = await fileOfToday();
      try {
        await file.appendFile(events.map((event) => `${JSON.stringify(event)}\n`).join(""));
        if (sync === "batch") await file.datasync();
      } catch (error) {
        // Part of a line may be there: it is ended when the file is opened again.
        handle = undefined;
        await file.close();
        throw error;
      }
      return events.map(() => ({ outcome: "delivered" }));
    },
    async close() {
      await handle?.close();
      handle = undefined;
    },
  };
}

/** A crash, or a full disk, may have left the beginning of a line: it stays alone. */
async function endLine(file: FileHandle): Promise<void> {
  const { size } = await file.stat();
  if (size === 0) return;
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  if (buffer[0] !== 0x0a) await file.appendFile("\n");
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
