/** Byte ranges in HTTP headers: `Range` on the way out (RFC 9110 section 14), `Content-Range` of an upload on the way in (OCI). */
import { parsed, problem } from "./parsed.ts";
import type { Parsed } from "./parsed.ts";

/** Bytes `first` to `last`, both included. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/** What a `Range` header asks of one representation: all of it (200), nothing that it has (416), or at least one span (206). */
export type RangeRequest =
  | { readonly kind: "whole" }
  | { readonly kind: "unsatisfiable" }
  | { readonly kind: "spans"; readonly spans: readonly ByteRange[] };

/** More spans than this serve no reader and are ignored. */
const maxSpans = 32;

const whole: RangeRequest = { kind: "whole" };
const unsatisfiable: RangeRequest = { kind: "unsatisfiable" };

/**
 * Reads a `Range` header against a representation of `sizeBytes`. A header that is absent, malformed, not about bytes, or that asks for
 * more than 32 spans or for more bytes than there are (overlapping spans, RFC 9110 section 17.15) is ignored: `whole`. `unsatisfiable`
 * when no span touches the representation, or when one runs backwards (`500-0`: RFC 9110 leaves the choice, the OCI conformance suite
 * wants 416). Spans come in the order asked, cut to the representation.
 */
export function parseRange(header: string | undefined, sizeBytes: number): RangeRequest {
  if (header === undefined) return whole;
  const equals = header.indexOf("=");
  if (equals === -1 || header.slice(0, equals).trim().toLowerCase() !== "bytes") return whole;
  const spans: ByteRange[] = [];
  let asked = 0;
  let totalBytes = 0;
  let isBackwards = false;
  for (const part of header.slice(equals + 1).split(",")) {
    const spec = part.trim();
    // RFC 9110 section 5.6.1: a reader accepts empty elements of a list.
    if (spec === "") continue;
    const span = readSpan(spec, sizeBytes);
    if (span === "ignore" || ++asked > maxSpans) return whole;
    if (span === "backwards") isBackwards = true;
    else if (span !== "outside") {
      spans.push(span);
      totalBytes += span.last - span.first + 1;
    }
  }
  if (asked === 0) return whole;
  if (isBackwards || spans.length === 0) return unsatisfiable;
  return totalBytes > sizeBytes ? whole : { kind: "spans", spans };
}

/** Reads `first-last`, `first-` or `-length`; positions beyond what a number holds lie beyond the representation anyway. */
function readSpan(spec: string, sizeBytes: number): ByteRange | "ignore" | "backwards" | "outside" {
  const match = /^(\d*)-(\d*)$/.exec(spec);
  const [from, to] = [match?.[1] ?? "", match?.[2] ?? ""];
  if (from === "" && to === "") return "ignore";
  if (from === "") {
    if (Number(to) === 0) return "outside";
    // The last bytes of nothing are nothing, which a 206 cannot say.
    return sizeBytes === 0 ? "ignore" : { first: Math.max(0, sizeBytes - Number(to)), last: sizeBytes - 1 };
  }
  const first = Number(from);
  const last = to === "" ? Infinity : Number(to);
  if (last < first) return "backwards";
  return first < sizeBytes ? { first, last: Math.min(last, sizeBytes - 1) } : "outside";
}

/**
 * Reads the `Content-Range` of an upload's chunk: `<first>-<last>` as the OCI distribution specification has it, or HTTP's own form
 * `bytes <first>-<last>/<size or *>`. Positions are safe integers, first <= last, and last lies inside the size when one is stated.
 */
export function parseContentRange(header: string): Parsed<ByteRange> {
  const match = /^(?:(\d{1,16})-(\d{1,16})|bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*))$/i.exec(header);
  if (match === null) return problem("Content-Range must be '<first>-<last>', for example '0-1023'");
  const first = Number(match[1] ?? match[3]);
  const last = Number(match[2] ?? match[4]);
  const size = match[5] === undefined || match[5] === "*" ? Infinity : Number(match[5]);
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last)) return problem("Content-Range holds a position that is too large");
  if (first > last) return problem("Content-Range begins after its end");
  return last < size ? parsed({ first, last }) : problem("Content-Range ends beyond the size that it states");
}
