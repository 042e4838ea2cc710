/** Writing XML 1.0. There is no reader: no request of ours carries XML. */

/** Escapes text for an element or a quoted attribute. Characters that XML cannot carry become U+FFFD. */
export function escapeXml(text: string): string {
  return text.toWellFormed().replace(/[<>&"'\r]|[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, (character) => {
    return entities[character] ?? "\uFFFD";
  });
}

/** A carriage return that stands for itself would be read as a line feed. */
const entities: Readonly<Record<string, string>> = {
  "<": "&lt;",
  ">": "&gt;",
  "&": "&amp;",
  '"': "&quot;",
  "'": "&apos;",
  "\r": "&#xD;",
};

/** An element around content that is XML already; an empty one is closed at once. `name` is ours, never a client's. */
export function xmlElement(name: string, content: string): string {
  return content === "" ? `<${name}/>` : `<${name}>${content}</${name}>`;
}
