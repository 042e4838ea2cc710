/** Which context keys a document asks for: GetContextKeysForPrincipalPolicy, and what a simulation misses. */
import { findOperator } from "./condition-operators.ts";
import { segmentsOf } from "./arn.ts";
import type { PolicyDocument } from "./document.ts";
import { readTemplate, variablesOf } from "./variables.ts";

const arnColons = 5;

/** The context keys that the document's conditions and variables use, as written where they first stand; each once, whatever its case. */
export function contextKeysOf(document: PolicyDocument): readonly string[] {
  const hasVariables = document.version === "2012-10-17";
  const names = new Map<string, string>();
  const add = (name: string): void => {
    if (name !== "" && !names.has(name.toLowerCase())) names.set(name.toLowerCase(), name);
  };
  const addVariables = (text: string): void => {
    for (const { name } of variablesOf(readTemplate(text, hasVariables))) add(name);
  };
  for (const { resources, conditions } of document.statements) {
    for (const resource of resources?.patterns ?? []) addVariables(segmentsOf(resource)[arnColons] ?? "");
    for (const { operator, key, values } of conditions) {
      add(key);
      const row = findOperator(operator)?.operator;
      if (row !== undefined && row !== "Null" && row.hasVariables) for (const value of values) addVariables(value);
    }
  }
  return [...names.values()];
}
