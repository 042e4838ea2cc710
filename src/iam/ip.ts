/** Internet addresses and ranges of them, compared by value. */

/** An address as four 32-bit words: IPv4 has the last one only. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly words: readonly [number, number, number, number];
}

/** A range in CIDR notation; bits of the address beyond the prefix do not count. */
export interface IpRange {
  readonly address: IpAddress;
  readonly prefixBits: number;
}

const maxTextLength = 64;
const mappedBits = 96;

/**
 * Reads an address. An IPv6 address that carries an IPv4 one (`::ffff:192.0.2.1`) is that IPv4 address: sockets that listen on both families
 * show IPv4 clients so. Answers undefined for anything else, zone ids included.
 */
export function parseIpAddress(text: string): IpAddress | undefined {
  const address = parseAsWritten(text);
  return address !== undefined && isMapped(address) ? unmapped(address) : address;
}

/** Reads a range; without a length it is the one address. */
export function parseIpRange(text: string): IpRange | undefined {
  const slash = text.indexOf("/");
  const address = parseAsWritten(slash === -1 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const width = address.family === 4 ? 32 : 128;
  const length = slash === -1 ? String(width) : text.slice(slash + 1);
  if (!/^(?:0|[1-9][0-9]{0,2})$/.test(length) || Number(length) > width) return undefined;
  const prefixBits = Number(length);
  return isMapped(address) && prefixBits >= mappedBits
    ? { address: unmapped(address), prefixBits: prefixBits - mappedBits }
    : { address, prefixBits };
}

/** Is the address in the range? One of the other family never is. */
export function isInRange(range: IpRange, address: IpAddress): boolean {
  if (range.address.family !== address.family) return false;
  let bits = range.prefixBits;
  for (let index = address.family === 4 ? 3 : 0; index < 4 && bits > 0; index++, bits -= 32) {
    const mask = bits >= 32 ? -1 : ~(0xffff_ffff >>> bits);
    if ((((range.address.words[index] ?? 0) ^ (address.words[index] ?? 0)) & mask) !== 0) return false;
  }
  return true;
}

function isMapped({ family, words }: IpAddress): boolean {
  return family === 6 && words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
}

function unmapped({ words }: IpAddress): IpAddress {
  return { family: 4, words: [0, 0, 0, words[3]] };
}

function parseAsWritten(text: string): IpAddress | undefined {
  if (text.length > maxTextLength) return undefined;
  if (text.includes(":")) return parseIpv6(text);
  const word = parseIpv4(text);
  return word === undefined ? undefined : { family: 4, words: [0, 0, 0, word] };
}

function parseIpv4(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let word = 0;
  for (const part of parts) {
    // A leading zero means octal to some readers and decimal to others, so it means nothing here.
    if (!/^(?:0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined;
    word = ((word << 8) | Number(part)) >>> 0;
  }
  return word;
}

function parseIpv6(text: string): IpAddress | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? "", halves.length === 1);
  const tail = parseGroups(halves[1] ?? "", true);
  if (head === undefined || tail === undefined) return undefined;
  const gap = 8 - head.length - tail.length;
  // `::` stands for at least one group.
  if (halves.length === 2 ? gap < 1 : gap !== 0) return undefined;
  const groups = [...head, ...Array.from({ length: gap }, () => 0), ...tail];
  const word = (index: number): number => (((groups[index] ?? 0) << 16) | (groups[index + 1] ?? 0)) >>> 0;
  return { family: 6, words: [word(0), word(2), word(4), word(6)] };
}

/** Reads groups of 16 bits; the last two may be written as an IPv4 address where the text ends the whole address. */
function parseGroups(text: string, isEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (isEnd && index === parts.length - 1 && part.includes(".")) {
      const word = parseIpv4(part);
      if (word === undefined) return undefined;
      groups.push(word >>> 16, word & 0xffff);
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}
