/** Where the statements of a policy stand in its text, for those who want to see which one decided. */

/** A place in a text: line and column, both from 1. */
export interface TextPosition {
  readonly line: number;
  readonly column: number;
}

/** A part of a text, `end` excluded. */
export interface TextSpan {
  readonly start: TextPosition;
  readonly end: TextPosition;
}

/**
 * The spans of the statements of a policy that has been read as one, in their order. As AWS counts it, a statement begins where what
 * stands before it ends (the bracket, the comma or the colon), white space included.
 */
export function statementSpans(text: string): readonly TextSpan[] {
  const lineStarts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) lineStarts.push(at + 1);
  return statementRanges(text).map(({ from, to }) => ({ start: positionOf(lineStarts, from), end: positionOf(lineStarts, to) }));
}

interface Range {
  readonly from: number;
  readonly to: number;
}

/** One pass over the text; depth 1 is inside the document, depth 2 inside a list of statements. */
function statementRanges(text: string): readonly Range[] {
  const ranges: Range[] = [];
  let depth = 0;
  let key = "";
  let isList = false;
  let from = -1;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charAt(at)) {
      case '"': {
        const end = endOfString(text, at);
        if (depth === 1) key = text.slice(at, end);
        at = end - 1;
        break;
      }
      case ":":
        // An escaped name is the same name.
        if (depth === 1) from = JSON.parse(key) === "Statement" ? at + 1 : -1;
        break;
      case ",":
        if (depth === 1) from = -1;
        else if (depth === 2 && isList) from = at + 1;
        break;
      case "[":
        if (depth === 1 && from !== -1) {
          isList = true;
          from = at + 1;
        }
        depth += 1;
        break;
      case "{":
        depth += 1;
        break;
      case "]":
        depth -= 1;
        if (depth === 1) isList = false;
        break;
      case "}":
        depth -= 1;
        if (from !== -1 && depth === (isList ? 2 : 1)) ranges.push({ from, to: at + 1 });
        break;
      default:
    }
  }
  return ranges;
}

/** The place after the closing quote. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charAt(at) !== '"') at += text.charAt(at) === "\\" ? 2 : 1;
  return at + 1;
}

function positionOf(lineStarts: readonly number[], at: number): TextPosition {
  let low = 0;
  let high = lineStarts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((lineStarts[middle] ?? 0) <= at) low = middle;
    else high = middle - 1;
  }
  return { line: low + 1, column: at - (lineStarts[low] ?? 0) + 1 };
}
