let second = 0;
let textOfSecond = "";

/** ISO 8601 in UTC of milliseconds since the epoch, as `Date.toISOString` writes it, which is asked once a second. */
export function isoTime(at: number): string {
  const milliseconds = at % 1000;
  if (at - milliseconds !== second || textOfSecond === "") {
    second = at - milliseconds;
    textOfSecond = new Date(second).toISOString().slice(0, -4);
  }
  return `${textOfSecond}${String(milliseconds).padStart(3, "0")}Z`;
}
