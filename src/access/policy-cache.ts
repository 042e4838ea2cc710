/** Stored policy documents made ready for decisions, each text once however many principals and resources have it. */
import { compilePolicy } from "#iam/compile.ts";
import type { CompiledPolicy } from "#iam/compile.ts";
import { readPolicy } from "#iam/document.ts";
import type { PolicyDocument } from "#iam/document.ts";
import type { Log } from "#std/log.ts";
import { LRUCache } from "lru-cache";

/** Makes policies ready. */
export interface PolicyCache {
  /**
   * A policy of a user, group, role, session or boundary. One that cannot be read denies everything: nobody knows what it would have denied.
   * `undefined` stands for a document that is gone while something still refers to it, and does the same.
   */
  ofPrincipal(name: string, document: string | undefined): CompiledPolicy;
  /** A policy of a resource, with the unique ids that its principals had when it was stored. One that cannot be read denies everybody. */
  ofResource(name: string, document: string, principals: Readonly<Record<string, string>>): CompiledPolicy;
}

/** Together the texts have at most so many characters; what is made of them is some ten times as large. */
const maxCharacters = 8_388_608;

/** Makes an empty cache. */
export function createPolicyCache(log: Log): PolicyCache {
  const known = new LRUCache<string, CompiledPolicy>({ maxSize: maxCharacters, sizeCalculation: (_policy, key) => key.length });

  const compile = (
    name: string,
    document: string | undefined,
    denial: PolicyDocument,
    resolved?: ReadonlyMap<string, string>,
  ): CompiledPolicy => {
    const read = document === undefined ? undefined : readPolicy(document);
    if (read?.ok === true) return compilePolicy(read.value, { name, ...(resolved !== undefined && { resolved }) });
    const problem = read === undefined ? "it is gone" : `${read.problem.message} ${read.problem.detail ?? ""}`;
    log.error({ policy: name, problem }, "a stored policy cannot be read; until it is replaced it denies everything");
    return compilePolicy(denial, { name });
  };

  const remember = (key: string, make: () => CompiledPolicy): CompiledPolicy => {
    const cached = known.get(key);
    if (cached !== undefined) return cached;
    const policy = make();
    known.set(key, policy);
    return policy;
  };

  return {
    ofPrincipal: (name, document) => remember(`${name}\0${document ?? ""}`, () => compile(name, document, denyEverything)),
    ofResource(name, document, principals) {
      const entries = Object.entries(principals);
      return remember(`${name}\0${JSON.stringify(entries)}\0${document}`, () => compile(name, document, denyEverybody, new Map(entries)));
    },
  };
}

const everything: PolicyDocument["statements"][number] = {
  sid: undefined,
  effect: "Deny",
  principals: undefined,
  actions: { isNegated: false, patterns: ["*"] },
  resources: { isNegated: false, patterns: ["*"] },
  conditions: [],
};
const denyEverything: PolicyDocument = { version: "2012-10-17", id: undefined, statements: [everything] };
const denyEverybody: PolicyDocument = {
  ...denyEverything,
  statements: [{ ...everything, principals: { isNegated: false, entries: [{ type: "AWS", name: "*" }] }, resources: undefined }],
};
