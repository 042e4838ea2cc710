import { getReplication, listReplications, putReplication } from "#registry/replication-status.ts";
import type { ApiCall } from "../call.ts";
import { ownRegistry, registryOf } from "../call.ts";
import { invalidParameter } from "../fault.ts";
import { checkImageId, manifestName, namedTags } from "./image.ts";
import { ensureLinkedRole, linkedRolePermissions } from "./linked-role.ts";
import type { ReplicationConfiguration } from "./model/shapes.ts";
import { repositoryArn, repositoryNameOf } from "./shape.ts";
import type { EcrRows } from "./table.ts";

/** Over all rules together. */
const maxDestinations = 25;
const service = "replication.ecr.amazonaws.com";

/** Whither a registry's images are copied, and how far that has come. */
export const replicationOperations: EcrRows<"PutReplicationConfiguration" | "DescribeImageReplicationStatus"> = {
  PutReplicationConfiguration: {
    action: "ecr:PutReplicationConfiguration",
    resource: () => "*",
    // The first configuration with rules makes the role as which the registry replicates.
    alsoAsks: async (call, { replicationConfiguration: { rules } }) => (rules.length === 0 ? [] : linkedRolePermissions(call, service)),
    handle: async (call, input) => {
      const { replicationConfiguration } = input;
      checkDestinations(call, replicationConfiguration);
      if (replicationConfiguration.rules.length > 0) await ensureLinkedRole(call, service);
      await putReplication(call.context, ownRegistry(call), replicationConfiguration);
      return { replicationConfiguration };
    },
  },

  DescribeImageReplicationStatus: {
    action: "ecr:DescribeImageReplicationStatus",
    resource: repositoryArn,
    conditionKeys: (_call, input) => namedTags([input.imageId]),
    check: (input) => checkImageId(input.imageId, "imageId"),
    handle: async (call, input) => {
      const { imageId, repositoryName } = input;
      const name = repositoryNameOf(repositoryName);
      const found = await listReplications(call.context, registryOf(call, input), name, manifestName(imageId));
      return {
        repositoryName: name,
        imageId,
        replicationStatuses: found.map(({ destination, state, code }) => ({
          region: destination.region,
          registryId: destination.accountId,
          status: state,
          ...(code !== undefined && { failureCode: code }),
        })),
      };
    },
  },
};

/** The configuration as DescribeRegistry shows it: an empty list of rules where there is none. */
export async function replicationShape(call: ApiCall): Promise<ReplicationConfiguration> {
  return getReplication(call.context, ownRegistry(call));
}

/** What nobody serves would fail for ever, so it is refused at once; ECR does the same with what is no region of AWS. */
function checkDestinations(call: ApiCall, { rules }: ReplicationConfiguration): void {
  const own = ownRegistry(call);
  const known = [...new Set([...call.addressing.regions, ...call.addressing.peerRegions])];
  const destinations = rules.flatMap((rule) => rule.destinations);
  for (const { region, registryId } of destinations) {
    if (region === own.region && registryId === own.accountId)
      throw refused("Replication destination cannot be the same as the source registry");
    if (!known.includes(region)) throw refused(`Replication destination region '${region}' must be one of: [${known.join(", ")}]`);
  }
  const unique = new Set(destinations.map(({ region, registryId }) => `${registryId}/${region}`));
  if (unique.size > maxDestinations)
    throw refused(`Number of unique replication destinations must be less than or equal to ${maxDestinations}`);
}

function refused(constraint: string): Error {
  return invalidParameter("replicationConfiguration", constraint);
}
