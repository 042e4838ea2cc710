/** `supercargo audit`: finds records in the audit files of the data folder, oldest first, one a line as they were written. */
import { readJson } from "#std/json.ts";
import { createReadStream, existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { auditFiles } from "#server/audit-log.ts";

/** What a record must have to be shown; what is not given does not matter. */
export interface AuditFilter {
  /** Milliseconds since the epoch: this moment and later. */
  readonly since?: number;
  /** Before this moment. */
  readonly until?: number;
  readonly eventName?: string;
  /** A part of the ARN of who asked, or the access key id. */
  readonly principal?: string;
  /** A part of the ARN of what was touched. */
  readonly resource?: string;
  /** Only what was refused or failed. */
  readonly errorsOnly?: boolean;
}

interface ReadRecord {
  readonly eventTime?: string;
  readonly eventName?: string;
  readonly errorCode?: string;
  readonly userIdentity?: { readonly arn?: string; readonly accessKeyId?: string };
  readonly resources?: readonly { readonly ARN?: string }[];
}

/** The lines that match, as they stand in the files. A line that a crash cut short is passed over. */
export async function* findAuditRecords(folder: string, filter: AuditFilter): AsyncGenerator<string> {
  if (!existsSync(folder)) return;
  const firstDay = filter.since === undefined ? "" : new Date(filter.since).toISOString().slice(0, 10);
  const lastDay = filter.until === undefined ? "9999" : new Date(filter.until).toISOString().slice(0, 10);
  for (const { day, path } of auditFiles(folder)) {
    if (day < firstDay || day > lastDay) continue;
    for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
      const record = parseLine(line);
      if (record !== undefined && matches(record, filter)) yield line;
    }
  }
}

function parseLine(line: string): ReadRecord | undefined {
  try {
    return readJson(line) as ReadRecord;
  } catch {
    return undefined;
  }
}

function matches(record: ReadRecord, filter: AuditFilter): boolean {
  const at = Date.parse(record.eventTime ?? "");
  if (filter.since !== undefined && !(at >= filter.since)) return false;
  if (filter.until !== undefined && !(at < filter.until)) return false;
  if (filter.eventName !== undefined && record.eventName?.toLowerCase() !== filter.eventName.toLowerCase()) return false;
  if (filter.errorsOnly === true && record.errorCode === undefined) return false;
  const { arn = "", accessKeyId } = record.userIdentity ?? {};
  if (filter.principal !== undefined && !arn.includes(filter.principal) && accessKeyId !== filter.principal) return false;
  const { resource } = filter;
  return resource === undefined || (record.resources ?? []).some(({ ARN = "" }) => ARN.includes(resource));
}
