import { replicationShape } from "./replication.ts";
import type { EcrRows } from "./table.ts";

/** The registry as a whole. */
export const registryOperations: EcrRows<"DescribeRegistry"> = {
  DescribeRegistry: {
    action: "ecr:DescribeRegistry",
    resource: () => "*",
    // A registry without replication answers an empty list of rules, never "not found".
    handle: async (call) => ({ registryId: call.principal.accountId, replicationConfiguration: await replicationShape(call) }),
  },
};
