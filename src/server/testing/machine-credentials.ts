import type { FetchedCredentials } from "../machine-agent-source.ts";

/** Credentials of the machine `i-1` in the role `node`. */
export function heldBy(accessKeyId: string, expiration: string): FetchedCredentials {
  return {
    AccessKeyId: accessKeyId,
    SecretAccessKey: "secret",
    Token: "token",
    Expiration: expiration,
    RoleArn: "arn:aws:iam::123456789012:role/node",
    AccountId: "123456789012",
    LastUpdated: "2026-11-21T08:00:00Z",
    RoleName: "node",
    InstanceProfileArn: "arn:aws:iam::123456789012:instance-profile/node",
    MachineId: "i-1",
    Region: "eu-west-1",
  };
}
