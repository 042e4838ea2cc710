/** Repository policies of templates as ECR gives them back: written anew, in the manner of the JSON library that ECR uses (Amazon ECR API Reference, CreateRepositoryCreationTemplate). */
import { readJson } from "#std/json.ts";

const indent = "  ";

/** The policy, which must be JSON, with a member a line and a blank on each side of a colon; lists open and close where they stand. */
export function showPolicy(text: string): string {
  return show(readJson(text), "");
}

function show(value: unknown, margin: string): string {
  if (Array.isArray(value)) return value.length === 0 ? "[ ]" : `[ ${value.map((item) => show(item, margin)).join(", ")} ]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const inner = margin + indent;
  const members = Object.entries(value).map(([key, member]) => `${inner}${JSON.stringify(key)} : ${show(member, inner)}`);
  return members.length === 0 ? "{ }" : `{\n${members.join(",\n")}\n${margin}}`;
}
