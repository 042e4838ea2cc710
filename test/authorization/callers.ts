/** Everybody who may ask: with credentials and without, allowed and not, in ways that a matrix can be made from. */
import { issueToken, principalStillActive } from "#access/access.ts";
import type { Principal } from "#access/principal.ts";
import { makeIdentity, makeRole, makeUserKey } from "#access/testing/identities.ts";
import { issueSession } from "#identity/session.ts";
import type { RegistryServer } from "../registry-server.ts";

/** Long-term or temporary keys, as clients hold them. */
export interface HeldCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** One who asks. */
export interface MatrixCaller {
  readonly credentials: HeldCredentials;
  readonly principal: Principal;
}

/** The account that asks of things that are not its own. */
export const foreignAccount = "210987654321";

/** Makes the callers of one server. */
export function callersOf(server: RegistryServer): {
  user(name: string, ...statements: readonly object[]): Promise<MatrixCaller>;
  session(name: string, sessionPolicy: readonly object[]): Promise<MatrixCaller>;
  authorizationOf(caller: MatrixCaller | Principal, region?: string): string;
} {
  const { core, access, accountId } = server;
  const { metadata, sealer } = core;

  async function known(credentials: HeldCredentials, principalId: string): Promise<MatrixCaller> {
    const principal = await principalStillActive(access, { principalId, accessKeyId: credentials.accessKeyId });
    if (principal === undefined) throw new Error(`${principalId} is nobody`);
    return { credentials, principal };
  }

  return {
    async user(name, ...statements) {
      const { identityId, uniqueId } = await makeIdentity(metadata, {
        accountId,
        kind: "user",
        name,
        ...(statements.length > 0 && { inline: statements }),
      });
      return known(await makeUserKey(metadata, sealer, accountId, identityId), uniqueId);
    },
    async session(name, sessionPolicy) {
      const { identityId, uniqueId } = await makeRole(metadata, {
        accountId,
        name,
        inline: [allowAll],
        trust: [trustOfAccount(accountId)],
      });
      const credentials = await issueSession(
        { core, accountId },
        {
          kind: "role",
          owner: { identityId, name },
          sessionName: "run",
          lifetimeSeconds: 3600,
          policies: [JSON.stringify({ Version: "2012-10-17", Statement: sessionPolicy })],
        },
      );
      return known(credentials, `${uniqueId}:run`);
    },
    authorizationOf(caller, region = server.region) {
      const principal = "principal" in caller ? caller.principal : caller;
      return `Basic ${Buffer.from(`AWS:${issueToken(access, principal, region).password}`).toString("base64")}`;
    },
  };
}

/** Everything, everywhere. */
export const allowAll = { Effect: "Allow", Action: "*", Resource: "*" };

/** Nothing of one action. */
export function deny(action: string): object {
  return { Effect: "Deny", Action: action, Resource: "*" };
}

function trustOfAccount(accountId: string): object {
  return { Effect: "Allow", Principal: { AWS: accountId }, Action: "sts:AssumeRole" };
}
