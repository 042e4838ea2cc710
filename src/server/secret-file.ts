/** Files of the operator's with secrets in them: where others can read them too they are not used, and no message repeats what stands in them. */
import { statSync } from "node:fs";
import { YAMLParseError, parse } from "yaml";
import type { z } from "zod";

/** What is wrong with the mode of a file that holds a secret; undefined where only its owner can read it. Throws what the file system says. */
export function problemOfMode(file: string): string | undefined {
  const mode = statSync(file).mode & 0o777;
  if ((mode & 0o077) === 0) return undefined;
  return `it holds a secret and can be read by others (mode ${mode.toString(8)}); run: chmod 600 ${file}`;
}

/**
 * Reads YAML in which every value stays the text that it is: YAML's own types would make 0 of the account 000000000000. Throws Error that
 * says where the text cannot be read, and never what stands there; nothing is written to the process's own output either.
 */
export function readSecretYaml(text: string): unknown {
  try {
    return parse(text, { schema: "failsafe", maxAliasCount: 0, logLevel: "error" });
  } catch (error) {
    // The other errors are about aliases, and name them. None is passed on as a cause: it quotes the file.
    // oxlint-disable-next-line preserve-caught-error
    if (!(error instanceof YAMLParseError)) throw new Error("it holds an alias, and aliases are not read");
    const [at] = error.linePos ?? [];
    const place = at === undefined ? "" : ` at line ${at.line}, column ${at.col}`;
    // oxlint-disable-next-line preserve-caught-error
    throw new Error(`it is no YAML (${error.code.toLowerCase().replaceAll("_", " ")}${place})`);
  }
}

/** A problem that zod found, as text. Names that are not known are repeated only if they look like names: a secret may stand where one should. */
export function describeIssue(issue: z.core.$ZodIssue): string {
  if (issue.code !== "unrecognized_keys") return issue.message;
  return ["a name that is not known", ...issue.keys.filter((name) => /^[A-Za-z]{1,30}$/.test(name))].join(" ");
}
