import { createPullTimeExclusion, deletePullTimeExclusion, listPullTimeExclusions } from "#registry/pull-time.ts";
import { ownRegistry } from "../call.ts";
import { openPage, sealPage } from "./page.ts";
import type { EcrRows } from "./table.ts";

const defaultPage = 100;

/** Whose pulls do not count in the caller's registry. */
export const pullTimeOperations: EcrRows<
  "RegisterPullTimeUpdateExclusion" | "DeregisterPullTimeUpdateExclusion" | "ListPullTimeUpdateExclusions"
> = {
  RegisterPullTimeUpdateExclusion: {
    action: "ecr:RegisterPullTimeUpdateExclusion",
    resource: () => "*",
    // Whether there is such a user or role is not asked: Terraform makes both at the same time.
    handle: async (call, { principalArn }) => ({
      principalArn,
      createdAt: await createPullTimeExclusion(call.context, ownRegistry(call), principalArn),
    }),
  },

  DeregisterPullTimeUpdateExclusion: {
    action: "ecr:DeregisterPullTimeUpdateExclusion",
    resource: () => "*",
    handle: async (call, { principalArn }) => {
      await deletePullTimeExclusion(call.context, ownRegistry(call), principalArn);
      return { principalArn };
    },
  },

  ListPullTimeUpdateExclusions: {
    action: "ecr:ListPullTimeUpdateExclusions",
    resource: () => "*",
    handle: async (call, input) => {
      const registry = ownRegistry(call);
      const listing = ["ListPullTimeUpdateExclusions", registry.accountId, registry.region];
      const after = openPage(call, listing, input.nextToken, (position): position is string => typeof position === "string");
      const page = await listPullTimeExclusions(call.context, registry, { after, limit: input.maxResults ?? defaultPage });
      return { pullTimeUpdateExclusions: page.principalArns, ...sealPage(call, listing, page.next) };
    },
  },
};
