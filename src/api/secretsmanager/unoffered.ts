/** Members that ask for what this registry does not have. They are refused, for nothing is accepted that has no effect. */
import { ApiFault } from "../fault.ts";

/** Members of several inputs that are looked at here. */
interface UnofferedMembers {
  readonly KmsKeyId?: string | undefined;
  readonly Type?: string | undefined;
  readonly AddReplicaRegions?: readonly object[] | undefined;
  readonly ForceOverwriteReplicaSecret?: boolean | undefined;
  readonly RotationToken?: string | undefined;
}

/** Names of the one key that seals secrets; an empty text means it too (UpdateSecret). */
const ownKeys: ReadonlySet<string> = new Set(["", "alias/aws/secretsmanager"]);

/** Throws InvalidParameterException for the first member that would be without effect. */
export function refuseUnoffered(input: UnofferedMembers): void {
  if (input.KmsKeyId !== undefined && !ownKeys.has(input.KmsKeyId))
    throw unoffered("KmsKeyId", "secrets are encrypted with the key alias/aws/secretsmanager");
  if (input.AddReplicaRegions !== undefined) throw unoffered("AddReplicaRegions", "secrets are not replicated");
  if (input.ForceOverwriteReplicaSecret === true) throw unoffered("ForceOverwriteReplicaSecret", "secrets are not replicated");
  if (input.Type !== undefined && input.Type !== "") throw unoffered("Type", "there are no managed external secrets");
  if (input.RotationToken !== undefined) throw unoffered("RotationToken", "secrets are not rotated by this registry");
}

function unoffered(member: string, reason: string): ApiFault {
  return new ApiFault("InvalidParameterException", `${member} is not supported by this registry: ${reason}.`);
}
