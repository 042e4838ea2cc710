/** Makes docs/generated/errors.md from the total tables of refusals, one per room that refuses. */
import { registryFaults } from "#api/errors.ts";
import { identityFaults } from "#api/iam/errors.ts";
import { kmsFaults } from "#api/kms/errors.ts";
import { secretsFaults } from "#api/secretsmanager/errors.ts";
import { sessionFaults } from "#api/sts/refusals.ts";
import { registryFaults as ociFaults } from "#distribution/errors.ts";
import type { RegistryErrorKind } from "#registry/errors.ts";

/** A row of any of the tables. What the rows take depends on their kind, and here every kind gets {@link details}. */
interface FaultRow {
  readonly code?: string;
  readonly exception?: string | ((detail: never) => string);
  readonly status?: number;
  readonly message: (detail: never, refused: never) => string;
}

/** The reference page of everything that is refused for what is stored, and how each plane says it. */
export function generateErrors(): string {
  const kinds = Object.keys(registryFaults).toSorted() as RegistryErrorKind[];
  const registryRows = kinds.map((kind) => {
    const api = registryFaults[kind];
    const oci = ociFaults[kind];
    return row([kind, api.exception, api.status ?? 400, oci.code, oci.status, textOf(api)]);
  });
  return [
    "# Refusals",
    "",
    "Made by `npm run generate` from the tables that turn refusals into answers. A word in braces stands for what the refusal is about.",
    "",
    "## Registry",
    "",
    "What ECR's API says, and the code that the registry protocol has for the same. `src/api/errors.ts`, `src/distribution/errors.ts`",
    "",
    ...header(["kind", "ECR API exception", "status", "registry protocol code", "status", "text"]),
    ...registryRows,
    "",
    ...section("Identity (IAM)", "src/api/iam/errors.ts", identityFaults),
    ...section("Temporary credentials (STS)", "src/api/sts/refusals.ts", sessionFaults),
    ...section("Keys (KMS)", "src/api/kms/errors.ts", kmsFaults),
    ...section("Secrets (Secrets Manager)", "src/api/secretsmanager/errors.ts", secretsFaults),
  ].join("\n");
}

function section(title: string, file: string, table: Readonly<Record<string, FaultRow>>): readonly string[] {
  const rows = Object.entries(table).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return [
    `## ${title}`,
    "",
    `\`${file}\``,
    "",
    ...header(["kind", "code", "status", "text"]),
    ...rows.map(([kind, fault]) => row([kind, codeOf(fault), fault.status ?? 400, textOf(fault)])),
    "",
  ];
}

function header(columns: readonly string[]): readonly string[] {
  return [row(columns), `|${"---|".repeat(columns.length)}`];
}

function row(cells: readonly (string | number)[]): string {
  return `| ${cells.map((cell) => String(cell).replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
}

function codeOf({ code, exception }: FaultRow): string {
  return code ?? (typeof exception === "function" ? exception(details as never) : (exception ?? ""));
}

/** Where the text is one of several, there is none for a placeholder. */
function textOf({ message }: FaultRow): string {
  const text: string | undefined = message(details as never, refusedCall as never);
  return text ?? "(one of several)";
}

/** Stands where a table expects a text, a number or a list, and prints as its name. */
class Placeholder {
  readonly #text: string;
  constructor(name: string) {
    this.#text = `{${name}}`;
  }
  toString(): string {
    return this.#text;
  }
  join(): string {
    return this.#text;
  }
  slice(): string {
    return this.#text;
  }
  charAt(): string {
    return "";
  }
  split(): readonly string[] {
    return Array.from({ length: 8 }, () => this.#text);
  }
}

/** Values of which the tables make something else: one that they know. */
const known: Readonly<Record<string, string>> = { quota: "tags", conflict: "policy-attached" };

/** Has every member that a row may ask for. */
const details: object = new Proxy(
  {},
  {
    get: (_target, name) => (typeof name === "string" ? (known[name] ?? new Placeholder(name)) : undefined),
    has: () => true,
  },
);

/** What the texts of STS name besides: the caller and what was asked. */
const refusedCall = { call: { principal: { caller: { kind: "user", arn: "{caller}" } } }, action: "{action}" };
