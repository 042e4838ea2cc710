/** Requests of commands to servers that a person named: limited in time and size, with failures in words. */
import { isLoopbackHost } from "#server/settings.ts";
import { parseJson } from "#std/json.ts";
import type { Json } from "#std/json.ts";

/** What a server answered. */
export interface Asked {
  readonly status: number;
  readonly text: string;
}

const timeoutMs = 30_000;
const maxBytes = 1_048_576;

/**
 * Asks with GET, or posts a form. Follows no redirect: what is sent is for this server alone.
 * `who` begins the message of what is thrown: "the issuer https://…".
 */
export async function ask(who: string, url: URL, form?: URLSearchParams): Promise<Asked> {
  try {
    const answer = await fetch(url, {
      headers: { accept: form === undefined ? "application/json" : "application/json, text/xml;q=0.9, */*;q=0.1" },
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
      ...(form !== undefined && { method: "POST", body: form }),
    });
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const chunk of answer.body ?? []) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) throw new Error(`it answers with more than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
    return { status: answer.status, text: Buffer.concat(chunks).toString("utf8") };
  } catch (error) {
    throw new Error(`${who} cannot be asked: ${reasonOf(error)}`, { cause: error });
  }
}

/** Is that the address of a server that secrets may be sent to? By https, or on this machine. */
export function isConfidential(url: URL): boolean {
  return url.protocol === "https:" || (url.protocol === "http:" && isLoopbackHost(url.hostname.replace(/^\[(.*)\]$/, "$1")));
}

/** The members of a JSON object; undefined for any other text. */
export function readObject(text: string | Uint8Array): Readonly<Record<string, Json>> | undefined {
  const read = parseJson(text);
  return read.ok && typeof read.value === "object" && read.value !== null && !Array.isArray(read.value) ? read.value : undefined;
}

/** A stranger's words as one line for a terminal: no control or invisible characters, and not endless. */
export function onOneLine(text: string): string {
  return text
    .replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ")
    .trim()
    .slice(0, 500);
}

/** `fetch` says only that it failed; why is in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer within ${timeoutMs / 1000} seconds`;
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  return cause.message !== "" ? cause.message : "code" in cause ? String(cause.code) : error.message;
}
