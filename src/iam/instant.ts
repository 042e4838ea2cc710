/** Moments as policies write them: the W3C profile of ISO 8601, or seconds since 1970. */

const iso =
  /^([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?$/i;
const epochSeconds = /^[0-9]{1,15}$/;

/**
 * Reads a moment as milliseconds since 1970, or undefined. Digits alone are seconds since 1970; a year alone is therefore none. A time
 * without an offset is in UTC.
 */
export function parseInstant(text: string): number | undefined {
  if (epochSeconds.test(text)) return Number(text) * 1000;
  const match = iso.exec(text);
  if (match === null) return undefined;
  const number = (index: number, absent: number): number => (match[index] === undefined ? absent : Number(match[index]));
  const [year, month, day] = [number(1, 0), number(2, 1), number(3, 1)];
  const [hour, minute, second] = [number(4, 0), number(5, 0), number(6, 0)];
  if (month < 1 || month > 12 || day < 1 || day > daysOf(year, month) || hour > 23 || minute > 59 || second > 59) return undefined;
  const offset = offsetMinutes(match[8]);
  if (offset === undefined) return undefined;
  const fraction = match[7] === undefined ? 0 : Number(`0.${match[7]}`) * 1000;
  return Date.UTC(year, month - 1, day, hour, minute - offset, second) + fraction;
}

function daysOf(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

function offsetMinutes(zone: string | undefined): number | undefined {
  if (zone === undefined || zone === "Z" || zone === "z") return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(4));
  if (hours > 23 || minutes > 59) return undefined;
  return (zone.startsWith("-") ? -1 : 1) * (hours * 60 + minutes);
}
