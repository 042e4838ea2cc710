/**
 * Lifecycle policies: the language in which a repository says which of its images expire and which go to the archive (Amazon ECR User Guide,
 * "Lifecycle policy properties in Amazon ECR"). This room is the language and its one decision, `select.ts`. It knows no database, no clock
 * and no request.
 */
import { parseJson } from "#std/json.ts";
import { findMeaningProblem } from "./policy-meaning.ts";
import { findSchemaProblem } from "./policy-schema.ts";
import type { WrittenPolicy, WrittenRule } from "./policy-schema.ts";

/** Where images lie; a rule is about the images of one class. */
export type LifecycleStorageClass = "standard" | "archive";

/** Which images a rule is about, and by what it chooses among them. The members mean what they mean in the policy's text. */
export interface LifecycleRuleSelection {
  readonly tagStatus: "tagged" | "untagged" | "any";
  /** With `tagged`, this or `tagPrefixList`. Never empty. */
  readonly tagPatternList?: readonly string[];
  /** With `tagged`, this or `tagPatternList`. Never empty. */
  readonly tagPrefixList?: readonly string[];
  /** `standard` where it is not written. */
  readonly storageClass?: LifecycleStorageClass;
  readonly countType: "imageCountMoreThan" | "sinceImagePushed" | "sinceImagePulled" | "sinceImageTransitioned";
  /** With every `countType` but `imageCountMoreThan`. */
  readonly countUnit?: "days";
  /** How many images are kept, or an age in days; 1 to 2,147,483,647. */
  readonly countNumber: number;
}

/** One rule. */
export interface LifecycleRule {
  /** At least 1 and unique in the policy; the lower number goes first. */
  readonly priority: number;
  readonly description?: string;
  readonly selection: LifecycleRuleSelection;
  readonly action: { readonly type: "expire" } | { readonly type: "transition"; readonly target: "archive" };
}

/** A policy that was read: 1 to 50 rules by ascending priority, which may stand together. */
export interface LifecyclePolicy {
  readonly rules: readonly LifecycleRule[];
}

/** What reading a policy answers. */
export type ReadLifecyclePolicy =
  | {
      readonly ok: true;
      readonly value: LifecyclePolicy;
      /** The policy as ECR gives it back: compact, rules by priority, members in ECR's order. It reads as the same policy. */
      readonly canonicalText: string;
    }
  | {
      readonly ok: false;
      /** The whole message of ECR's InvalidParameterException. */
      readonly message: string;
    };

/** The shape LifecyclePolicyText of ECR's service model, in UTF-16 code units. */
const minTextLength = 100;
const maxTextLength = 30_720;
/** A policy needs five levels. */
const maxDepth = 20;

/**
 * Reads and checks a policy's text, in ECR's order as far as it shows: length, JSON, schema, then what the rules mean. JSON is read strictly:
 * duplicate members are refused. Linear in the text; never throws.
 */
export function parseLifecyclePolicy(text: string): ReadLifecyclePolicy {
  if (text.length < minTextLength) return refuseLength(`greater than or equal to ${minTextLength}`);
  if (text.length > maxTextLength) return refuseLength(`less than or equal to ${maxTextLength}`);
  const json = parseJson(text, { maxDepth });
  if (!json.ok || json.value === null || typeof json.value !== "object" || Array.isArray(json.value))
    return refuse("Could not map policyString into LifecyclePolicy.");
  const schemaProblem = findSchemaProblem(json.value);
  if (schemaProblem !== undefined) return refuse(schemaProblem);
  // The schema has just proved the shape.
  const { rules: written } = json.value as unknown as WrittenPolicy;
  const meaningProblem = findMeaningProblem(written);
  if (meaningProblem !== undefined) return refuse(meaningProblem);
  const rules = written.map(ruleOf).sort((a, b) => a.priority - b.priority);
  const canonicalText = JSON.stringify({ rules: rules.map(canonicalRule) });
  // Numbers may be written shorter than they come back (1e9). What is kept must be readable again.
  return canonicalText.length > maxTextLength
    ? refuseLength(`less than or equal to ${maxTextLength}`)
    : { ok: true, value: { rules }, canonicalText };
}

function ruleOf({ rulePriority, description, selection, action }: WrittenRule): LifecycleRule {
  const { tagStatus, tagPatternList, tagPrefixList, storageClass, countType, countUnit, countNumber } = selection;
  return {
    priority: rulePriority,
    ...(description !== undefined && { description }),
    selection: {
      tagStatus,
      // An empty list says nothing, and is not kept.
      ...(tagPatternList !== undefined && tagPatternList.length > 0 && { tagPatternList }),
      ...(tagPrefixList !== undefined && tagPrefixList.length > 0 && { tagPrefixList }),
      ...(storageClass !== undefined && { storageClass }),
      countType,
      ...(countUnit !== undefined && { countUnit }),
      countNumber,
    },
    action: action.type === "expire" ? { type: "expire" } : { type: "transition", target: "archive" },
  };
}

/** The members in the order in which ECR writes them; `ruleOf` has put the selection's in that order. */
function canonicalRule({ priority, description, selection, action }: LifecycleRule): WrittenRule {
  return {
    rulePriority: priority,
    ...(description !== undefined && { description }),
    selection,
    action: action.type === "expire" ? { type: "expire" } : { type: "transition", targetStorageClass: action.target },
  };
}

function refuse(problem: string): ReadLifecyclePolicy {
  const constraint = `Lifecycle policy validation failure: ${problem}`;
  return { ok: false, message: `Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: '${constraint}'` };
}

/** Where only the length is wrong, ECR writes the parameter's name with a small letter. */
function refuseLength(bound: string): ReadLifecyclePolicy {
  const constraint = `Member must have length ${bound}`;
  return { ok: false, message: `Invalid parameter at 'lifecyclePolicyText' failed to satisfy constraint: '${constraint}'` };
}
