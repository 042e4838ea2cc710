/**
 * The Condition element: all operators and all keys must hold, any one of a key's values is enough, and for negated operators every value
 * must differ (IAM User Guide, "Conditions with multiple context keys or values").
 */
import { findOperator } from "./condition-operators.ts";
import type { Comparison, OperatorUse } from "./condition-operators.ts";
import { contextValue } from "./context.ts";
import type { ContextKeys } from "./context.ts";
import type { Condition } from "./statement.ts";
import { readTemplate } from "./variables.ts";

/** Does the condition hold for the request with these keys? */
export type CompiledCondition = (context: ContextKeys) => boolean;

/**
 * Makes conditions ready to be tested. An operator that does not exist holds in a Deny and in no Allow: such a document cannot be written,
 * and if one is met all the same, it must not permit more than it says.
 */
export function compileConditions(
  conditions: readonly Condition[],
  effect: "Allow" | "Deny",
  hasVariables: boolean,
): readonly CompiledCondition[] {
  return conditions.map((condition) => {
    const use = findOperator(condition.operator);
    if (use === undefined) return () => effect === "Deny";
    const key = condition.key.toLowerCase();
    if (use.operator === "Null") return compileNull(key, condition.values);
    const { operator } = use;
    const comparisons = condition.values.map((value) => operator.compare(readTemplate(value, hasVariables && operator.hasVariables)));
    return compileComparisons(
      key,
      use,
      operator.isNegated,
      comparisons.filter((comparison) => comparison !== undefined),
      condition.values.length === 0,
    );
  });
}

/** `"true"` asks that the key is absent, `"false"` that it is there. */
function compileNull(key: string, values: readonly string[]): CompiledCondition {
  const asked = new Set(values.map((value) => value.toLowerCase()));
  return (context) => asked.has(contextValue(context, key) === undefined ? "true" : "false");
}

function compileComparisons(
  key: string,
  { quantifier, ifExists }: OperatorUse,
  isNegated: boolean,
  comparisons: readonly Comparison[],
  isEmpty: boolean,
): CompiledCondition {
  const whenAbsent = ifExists || quantifier === "ForAllValues" || (quantifier === undefined && isNegated);
  // An empty list of values cannot be written. Read all the same, it holds at most where there is nothing to compare.
  if (isEmpty) {
    const holds = quantifier !== "ForAnyValue" && (ifExists || quantifier === "ForAllValues");
    return (context) => holds && contextValue(context, key) === undefined;
  }
  // Negation belongs to each value of the request, not to the set of them.
  const fits = (value: string, context: ContextKeys): boolean => isAny(comparisons, value, context) !== isNegated;
  return (context) => {
    const value = contextValue(context, key);
    if (value === undefined) return whenAbsent;
    if (typeof value === "string") return fits(value, context);
    // A set needs a set operator: without one it is unclear whether all or any of its values are meant.
    if (quantifier === undefined) return false;
    return quantifier === "ForAllValues" ? value.every((one) => fits(one, context)) : value.some((one) => fits(one, context));
  };
}

function isAny(comparisons: readonly Comparison[], value: string, context: ContextKeys): boolean {
  for (const comparison of comparisons) if (comparison(value, context)) return true;
  return false;
}
