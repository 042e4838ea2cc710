import { issueToken } from "#access/access.ts";
import type { EcrRows } from "./table.ts";

/** Credentials for docker. */
export const authorizationOperations: EcrRows<"GetAuthorizationToken"> = {
  GetAuthorizationToken: {
    action: "ecr:GetAuthorizationToken",
    resource: () => "*",
    // One password opens every registry of the region that the caller may use; the ids only decide which endpoints are named.
    handle: async (call, input) => {
      const token = issueToken(call.access, call.principal, call.region);
      const registryIds = input.registryIds ?? [call.principal.accountId];
      return {
        authorizationData: registryIds.map((accountId) => ({
          authorizationToken: Buffer.from(`AWS:${token.password}`, "utf8").toString("base64"),
          expiresAt: token.expiresAt,
          proxyEndpoint: call.addressing.endpoint({ accountId, region: call.region }, call.origin),
        })),
      };
    },
  },
};
