/** ASN.1 values in DER, as far as a certificate has them (ITU-T X.690, section 10). */

/** A value: its tag, its length, its content. */
function encode(tag: number, content: Uint8Array): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Uint8Array.of(tag, length), content]);
  const digits: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  return Buffer.concat([Uint8Array.of(tag, 0x80 | digits.length, ...digits), content]);
}

/** SEQUENCE */
export function sequence(...items: readonly Uint8Array[]): Buffer {
  return encode(0x30, Buffer.concat(items));
}

/** SET of one value */
export function setOf(item: Uint8Array): Buffer {
  return encode(0x31, item);
}

/** INTEGER of an unsigned number in big-endian bytes */
export function unsignedInteger(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const digits = bytes.subarray(start);
  return encode(0x02, (digits[0] ?? 0) < 0x80 ? digits : Buffer.concat([Uint8Array.of(0), digits]));
}

/** OBJECT IDENTIFIER, given as `2.5.4.3` */
export function objectIdentifier(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const digits = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) digits.unshift((left % 128) | 0x80);
    bytes.push(...digits);
  }
  return encode(0x06, Uint8Array.from(bytes));
}

/** UTF8String */
export function utf8String(text: string): Buffer {
  return encode(0x0c, Buffer.from(text, "utf8"));
}

/** PrintableString */
export function printableString(text: string): Buffer {
  return encode(0x13, Buffer.from(text, "ascii"));
}

/** BOOLEAN `true`; `false` is a default, which DER leaves out */
export function booleanTrue(): Buffer {
  return encode(0x01, Uint8Array.of(0xff));
}

/** OCTET STRING */
export function octetString(content: Uint8Array): Buffer {
  return encode(0x04, content);
}

/** BIT STRING whose last byte has that many bits that do not count */
export function bitString(content: Uint8Array, unusedBits = 0): Buffer {
  return encode(0x03, Buffer.concat([Uint8Array.of(unusedBits), content]));
}

/** An explicitly tagged value, such as `[3]` */
export function tagged(number: number, item: Uint8Array): Buffer {
  return encode(0xa0 | number, item);
}

/** A time in whole seconds (milliseconds since the epoch): UTCTime until 2049, GeneralizedTime after (RFC 5280, section 4.1.2.5) */
export function time(at: number): Buffer {
  const text = `${new Date(at).toISOString().replaceAll(/[-:T]/g, "").slice(0, 14)}Z`;
  return Number(text.slice(0, 4)) < 2050 ? encode(0x17, Buffer.from(text.slice(2), "ascii")) : encode(0x18, Buffer.from(text, "ascii"));
}
