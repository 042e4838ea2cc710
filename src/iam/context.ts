/** What is known about a request besides who asks for what: the condition keys and their values. */

/** Context keys by LOWER-CASED name; a string is single-valued, an array multi-valued. An empty array counts as an absent key. */
export type ContextKeys = ReadonlyMap<string, string | readonly string[]>;

/** Makes context keys of names in any case. Of names that differ only in case the last one holds. */
export function contextKeys(entries: Iterable<readonly [name: string, value: string | readonly string[]]>): ContextKeys {
  const keys = new Map<string, string | readonly string[]>();
  for (const [name, value] of entries) keys.set(name.toLowerCase(), value);
  return keys;
}

/** The key's value, or undefined where it is absent or an empty set. The name is in lower case. */
export function contextValue(context: ContextKeys, key: string): string | readonly string[] | undefined {
  const value = context.get(key);
  return value === undefined || value.length > 0 || typeof value === "string" ? value : undefined;
}
