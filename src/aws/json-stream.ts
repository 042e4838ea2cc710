/**
 * Reads a JSON object that has one large base64 member, in pieces as it arrives: the blob comes out decoded, all else is
 * collected and read at the end. Neither the document nor the base64 text is ever held.
 *
 * How it stays strict: everything but the blob's text is copied, with `""` in the blob's place, and that copy is read by the
 * strict parser. The scanner here only has to find the blob in a document that is right, for in a document that is wrong the copy is wrong too.
 */
import { parseJson, type Json } from "#std/json.ts";

/** Why a document is refused. */
export type JsonBlobProblemKind =
  /** Not one strict JSON object. */
  | "syntax"
  /** The blob member comes twice. */
  | "duplicate"
  /** The blob member is there, but is no string. */
  | "type"
  /** The blob member is not there, or null. */
  | "missing"
  /** The string is not base64: the standard alphabet, padded, without blanks and with no bits left over. */
  | "base64"
  | "blob-too-large"
  | "rest-too-large";

/** A refusal; `message` can be shown to the client. */
export interface JsonBlobProblem {
  readonly kind: JsonBlobProblemKind;
  readonly message: string;
}

/** What {@link createJsonBlobReader} needs to know. */
export interface JsonBlobOptions {
  /** The name of the top-level member that holds the blob. */
  readonly blobMember: string;
  /** The most that everything but the blob's text may have, names and blanks included. */
  readonly maxOtherBytes: number;
  /** The most that the decoded blob may have. */
  readonly maxBlobBytes: number;
  /** Takes decoded bytes, in order. The memory is used again after the call: what is to be kept must be copied. */
  readonly onBlob: (chunk: Uint8Array) => void;
}

/** What the document held. */
export type JsonBlobResult =
  | { readonly ok: true; readonly members: { readonly [name: string]: Json }; readonly blobBytes: number }
  | { readonly ok: false; readonly problem: JsonBlobProblem };

/** A reader for one document. */
export interface JsonBlobReader {
  /** Takes the next bytes. Answers the problem as soon as there is one; later bytes are then ignored. */
  push(chunk: Uint8Array): JsonBlobProblem | undefined;
  /** Says that the document is complete. Bytes handed to `onBlob` count for nothing unless this says ok. */
  end(): JsonBlobResult;
}

const quote = 0x22;
const comma = 0x2c;
const slash = 0x2f;
const colon = 0x3a;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/** A multiple of four characters: whole groups of base64. */
const stagingBytes = 65_536;
/** Up to here a loop copies faster than a view is made; encoders that escape slashes make runs this short. */
const shortRun = 128;
/** `\u002b` is the longest way to write a character. */
const maxEscapeLength = 6;

/** Makes a reader; see the file's comment. */
export function createJsonBlobReader(options: JsonBlobOptions): JsonBlobReader {
  return new BlobReader(options);
}

/** Where the scanner stands: between strings, in a string that is copied, behind a backslash in one, or in the blob's text. */
type Place = "between" | "string" | "escape" | "blob";

class BlobReader implements JsonBlobReader {
  readonly #options: JsonBlobOptions;
  readonly #rest: ByteCollector;
  readonly #blob: Base64Decoder;
  #place: Place = "between";
  #depth = 0;
  /** The last brace, comma or colon of the top level: it tells whether a string is a name or a value. */
  #lastMark = 0;
  /** Where in the copy the string under way began. */
  #stringStart = 0;
  #isBlobNext = false;
  #isBlobSeen = false;
  #problem: JsonBlobProblem | undefined;

  constructor(options: JsonBlobOptions) {
    this.#options = options;
    this.#rest = new ByteCollector(options.maxOtherBytes);
    this.#blob = new Base64Decoder(options.maxBlobBytes, options.onBlob);
  }

  push(chunk: Uint8Array): JsonBlobProblem | undefined {
    let at = 0;
    while (at < chunk.length && this.#problem === undefined) {
      at = this.#place === "blob" ? this.#readBlob(chunk, at) : this.#readRest(chunk, at);
    }
    return this.#problem;
  }

  end(): JsonBlobResult {
    if (this.#problem === undefined && this.#place === "blob") this.#fail("syntax", "the text ends within a string");
    if (this.#problem !== undefined) return { ok: false, problem: this.#problem };
    const rest = parseJson(this.#rest.bytes());
    if (!rest.ok) return this.#refuse("syntax", rest.problem);
    if (rest.value === null || typeof rest.value !== "object" || Array.isArray(rest.value)) {
      return this.#refuse("syntax", "the text is not a JSON object");
    }
    const { [this.#options.blobMember]: placeholder, ...members } = rest.value;
    if (placeholder === undefined || placeholder === null) return this.#refuse("missing", "is required");
    if (!this.#isBlobSeen) return this.#refuse("type", "must be a base64 string");
    return { ok: true, members, blobBytes: this.#blob.decodedBytes };
  }

  /** Copies what is not the blob, byte by byte, up to the blob's first quote or the chunk's end. */
  #readRest(chunk: Uint8Array, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0;
      this.#copy(byte);
      if (this.#problem !== undefined) break;
      if (this.#place === "between") {
        if (byte !== quote) this.#mark(byte);
        else if (this.#beginString() === "blob") return at + 1;
      } else if (this.#place === "escape") this.#place = "string";
      else if (byte === backslash) this.#place = "escape";
      else if (byte === quote) this.#endString();
    }
    return chunk.length;
  }

  #copy(byte: number): void {
    if (this.#rest.append(byte)) return;
    this.#fail("rest-too-large", `everything but ${this.#options.blobMember} exceeds ${this.#options.maxOtherBytes} bytes`);
  }

  #beginString(): Place {
    this.#stringStart = this.#rest.length - 1;
    const isBlob = this.#depth === 1 && this.#lastMark === colon && this.#isBlobNext;
    if (isBlob && this.#isBlobSeen) this.#fail("duplicate", "comes twice");
    this.#isBlobSeen ||= isBlob;
    this.#place = isBlob ? "blob" : "string";
    return this.#place;
  }

  #endString(): void {
    this.#place = "between";
    const isName = this.#depth === 1 && (this.#lastMark === openBrace || this.#lastMark === comma);
    if (isName) this.#isBlobNext = this.#isBlobName(this.#rest.bytes().subarray(this.#stringStart));
  }

  #isBlobName(text: Uint8Array): boolean {
    const name = parseJson(text);
    return name.ok && name.value === this.#options.blobMember;
  }

  #mark(byte: number): void {
    switch (byte) {
      case openBrace:
      case openBracket:
        this.#depth++;
        if (this.#depth === 1) this.#lastMark = byte;
        break;
      case closeBrace:
      case closeBracket:
        this.#depth--;
        break;
      case comma:
      case colon:
        if (this.#depth === 1) this.#lastMark = byte;
        break;
      default:
    }
  }

  /** Decodes the blob's text up to its closing quote or the chunk's end. */
  #readBlob(chunk: Uint8Array, from: number): number {
    let at = from;
    // Looked for again only behind what was found: a text full of escapes must not cost a search of the whole chunk for each.
    let end = -1;
    let escape = -1;
    while (at < chunk.length && this.#problem === undefined) {
      if (this.#blob.isInEscape) {
        this.#takeBlob(this.#blob.appendEscape(chunk[at++] ?? 0));
        continue;
      }
      if (end < at) end = indexOrEnd(chunk, quote, at);
      if (escape < at) escape = indexOrEnd(chunk, backslash, at);
      const stop = Math.min(end, escape);
      this.#takeBlob(this.#blob.append(chunk, at, stop));
      at = stop;
      if (at === chunk.length) break;
      at++;
      if (stop === escape && chunk[at] === slash) this.#takeBlob(this.#blob.append(chunk, at, ++at));
      else if (stop === escape) this.#takeBlob(this.#blob.appendEscape(backslash));
      else {
        this.#takeBlob(this.#blob.end());
        this.#copy(quote);
        this.#place = "between";
        break;
      }
    }
    return at;
  }

  #takeBlob(outcome: "ok" | "base64" | "blob-too-large"): void {
    if (outcome === "base64") this.#fail("base64", "is not valid base64");
    if (outcome === "blob-too-large") this.#fail("blob-too-large", `exceeds ${this.#options.maxBlobBytes} bytes`);
  }

  #fail(kind: JsonBlobProblemKind, message: string): void {
    this.#problem ??= { kind, message: aboutBlob.has(kind) ? `${this.#options.blobMember} ${message}` : message };
  }

  #refuse(kind: JsonBlobProblemKind, message: string): JsonBlobResult {
    this.#fail(kind, message);
    return { ok: false, problem: this.#problem ?? { kind, message } };
  }
}

const aboutBlob: ReadonlySet<JsonBlobProblemKind> = new Set(["duplicate", "type", "missing", "base64", "blob-too-large"]);

function indexOrEnd(chunk: Uint8Array, byte: number, from: number): number {
  const index = chunk.indexOf(byte, from);
  return index < 0 ? chunk.length : index;
}

/** Bytes up to a limit; the memory grows with them. */
class ByteCollector {
  readonly #limit: number;
  #bytes: Buffer;
  length = 0;

  constructor(limit: number) {
    this.#limit = limit;
    this.#bytes = Buffer.allocUnsafe(Math.min(1024, this.#limit));
  }

  /** Answers false when there is no more room. */
  append(byte: number): boolean {
    if (this.length >= this.#limit) return false;
    if (this.length === this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.min(this.#bytes.length * 2, this.#limit));
      this.#bytes.copy(grown);
      this.#bytes = grown;
    }
    this.#bytes[this.length++] = byte;
    return true;
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.length);
  }
}

/** Decodes base64 that comes in runs of characters and in JSON escapes. */
class Base64Decoder {
  readonly #maxBytes: number;
  readonly #onBlob: (chunk: Uint8Array) => void;
  /** Allocated with the first character: most of what is made for a request that is refused never gets one. */
  #staging = Buffer.alloc(0);
  #decoded = Buffer.alloc(0);
  #staged = 0;
  #isPadded = false;
  #escape = "";
  decodedBytes = 0;

  constructor(maxBytes: number, onBlob: (chunk: Uint8Array) => void) {
    this.#maxBytes = maxBytes;
    this.#onBlob = onBlob;
  }

  get isInEscape(): boolean {
    return this.#escape !== "";
  }

  append(chunk: Uint8Array, from: number, to: number): "ok" | "base64" | "blob-too-large" {
    if (this.#staging.length === 0 && to > from) {
      this.#staging = Buffer.allocUnsafe(stagingBytes);
      this.#decoded = Buffer.allocUnsafe((stagingBytes / 4) * 3);
    }
    let at = from;
    while (at < to) {
      const run = Math.min(to - at, stagingBytes - this.#staged);
      if (run > shortRun) this.#staging.set(chunk.subarray(at, at + run), this.#staged);
      else for (let index = 0; index < run; index++) this.#staging[this.#staged + index] = chunk[at + index] ?? 0;
      this.#staged += run;
      at += run;
      if (this.#staged === stagingBytes) {
        const outcome = this.#flush();
        if (outcome !== "ok") return outcome;
      }
    }
    return "ok";
  }

  /** Takes a byte of an escape, from its backslash on. Of all escapes `\/` and `\uXXXX` can stand for a character of base64. */
  appendEscape(byte: number): "ok" | "base64" | "blob-too-large" {
    this.#escape += String.fromCharCode(byte);
    if (this.#escape === "\\" || this.#escape === "\\u") return "ok";
    if (this.#escape.startsWith("\\u") && this.#escape.length < maxEscapeLength) return "ok";
    const code = this.#escape === "\\/" ? slash : /^\\u00[0-9a-f]{2}$/i.test(this.#escape) ? Number.parseInt(this.#escape.slice(2), 16) : 0;
    this.#escape = "";
    return code === 0 ? "base64" : this.append(Uint8Array.of(code), 0, 1);
  }

  end(): "ok" | "base64" | "blob-too-large" {
    return this.#staged === 0 ? "ok" : this.#flush();
  }

  #flush(): "ok" | "base64" | "blob-too-large" {
    const text = this.#staging.toString("latin1", 0, this.#staged);
    this.#staged = 0;
    const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
    const sizeBytes = (text.length / 4) * 3 - padding;
    // Nothing may follow padding, and groups are whole: staging is cut between them.
    if (this.#isPadded || !Number.isInteger(sizeBytes)) return "base64";
    this.#isPadded = padding > 0;
    if (this.decodedBytes + sizeBytes > this.#maxBytes) return "blob-too-large";
    if (!decodesTo(text, this.#decoded, sizeBytes)) return "base64";
    this.decodedBytes += sizeBytes;
    this.#onBlob(this.#decoded.subarray(0, sizeBytes));
    return "ok";
  }
}

/** The decoder is strict about alphabet, padding and left-over bits, but skips blanks: then fewer bytes come out than must. */
function decodesTo(text: string, target: Uint8Array, sizeBytes: number): boolean {
  try {
    return target.setFromBase64(text, { lastChunkHandling: "strict" }).written === sizeBytes;
  } catch {
    return false;
  }
}
