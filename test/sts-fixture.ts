/** A registry with users and roles in it, and clients of STS for whoever asks. */
import assert from "node:assert/strict";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import type { Credentials } from "@aws-sdk/client-sts";
import { documentOf, makeIdentity, makeUserKey } from "#access/testing/identities.ts";
import type { IdentityOfTest, PolicyOfTest } from "#access/testing/identities.ts";
import { identityArn } from "#identity/arn.ts";
import { makeUniqueId } from "#identity/unique-id.ts";
import { createRole } from "#metadata/roles.ts";
import { moveIdentityEpoch } from "#metadata/identity-epoch.ts";
import { startRegistryServer } from "./registry-server.ts";
import type { RegistryServer, RegistryServerOptions } from "./registry-server.ts";

/** What signs a request. */
export interface SigningKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** A role as a test wants it. */
export interface RoleOfTest {
  readonly name: string;
  readonly path?: string;
  readonly accountId?: string;
  /** Who may take it; default: everybody of the server's account to whom an own policy allows it. */
  readonly trust?: PolicyOfTest;
  readonly inline?: PolicyOfTest;
  readonly maxSessionSeconds?: number;
}

/** A registry and who can be in it. */
export interface StsServer {
  readonly server: RegistryServer;
  /** Makes a user with a key. */
  addUser(user: Omit<IdentityOfTest, "accountId" | "kind">): Promise<SigningKey & { readonly arn: string; readonly uniqueId: string }>;
  /** Makes a role. */
  addRole(role: RoleOfTest): Promise<{ readonly arn: string; readonly uniqueId: string }>;
  client(key: SigningKey | Credentials | undefined): STSClient;
  /** What GetCallerIdentity answers. */
  whoIs(key: SigningKey | Credentials | undefined): Promise<{ readonly arn: string | undefined; readonly userId: string | undefined }>;
  close(): Promise<void>;
}

/**
 * Asks for credentials and checks that they are good for so many seconds from when the server made them, which was between the question and
 * the answer. Expirations are in whole seconds.
 */
export async function goodFor<Made extends Credentials | undefined>(
  sts: StsServer,
  seconds: number,
  ask: () => Promise<Made>,
): Promise<Made> {
  const { clock } = sts.server.core;
  const askedAt = clock.now();
  const made = await ask();
  const madeBefore = clock.now();
  const expiration = made?.Expiration?.getTime() ?? 0;
  const least = Math.floor(askedAt / 1000) + seconds;
  const most = Math.ceil(madeBefore / 1000) + seconds;
  assert.ok(expiration >= least * 1000 && expiration <= most * 1000, `good for ${(expiration - askedAt) / 1000} s instead of ${seconds}`);
  return made;
}

/** Starts it. Close it, or the test run does not end. */
export async function startStsServer(options: RegistryServerOptions = {}): Promise<StsServer> {
  const server = await startRegistryServer(options);
  const { metadata, sealer, random } = server.core;
  const clients: STSClient[] = [];
  const clientFor: StsServer["client"] = (key) => {
    // The server's clock may have been moved, and a signature must be of its time.
    const systemClockOffset = server.core.clock.now() - Date.now();
    const { url: endpoint, region } = server;
    const client = new STSClient({ endpoint, region, credentials: keyOf(key), maxAttempts: 1, systemClockOffset });
    clients.push(client);
    return client;
  };
  return {
    server,
    async addUser(user) {
      const { accountId } = server;
      const { identityId, uniqueId } = await makeIdentity(metadata, { ...user, accountId, kind: "user" });
      const key = await makeUserKey(metadata, sealer, accountId, identityId);
      return { ...key, uniqueId, arn: identityArn("user", accountId, user.path ?? "/", user.name) };
    },
    async addRole({ name, path = "/", accountId = server.accountId, trust, inline, maxSessionSeconds = 3600 }) {
      const uniqueId = makeUniqueId(random, "AROA");
      const made = await createRole(metadata, {
        accountId,
        name,
        path,
        uniqueId,
        maxSessionSeconds,
        tags: [],
        now: 0,
        limit: 1000,
        trustDocument: documentOf(trust ?? [trusting({ AWS: server.accountId })]),
        trustPrincipals: {},
      });
      if (made.outcome !== "created") throw new Error(`${name}: ${made.outcome}`);
      if (inline !== undefined) {
        const { identityId } = made.role.identity;
        const document = documentOf(inline);
        await metadata.transaction(async (tx) => {
          await moveIdentityEpoch(tx);
          const row = { identity_id: identityId, name: "inline", document, size_characters: document.length };
          await tx.insertInto("inline_policy").values(row).execute();
        });
      }
      return { arn: identityArn("role", accountId, path, name), uniqueId };
    },
    client: clientFor,
    async whoIs(key) {
      const { Arn, UserId } = await clientFor(key).send(new GetCallerIdentityCommand({}));
      return { arn: Arn, userId: UserId };
    },
    async close() {
      for (const client of clients) client.destroy();
      await server.close();
    },
  };
}

/** A statement of a trust policy. */
export function trusting(
  principal: object,
  actions: readonly string[] = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
  condition?: object,
): object {
  return { Effect: "Allow", Principal: principal, Action: actions, ...(condition !== undefined && { Condition: condition }) };
}

/** A statement that allows. */
export function allowing(actions: readonly string[], resource = "*", condition?: object): object {
  return { Effect: "Allow", Action: actions, Resource: resource, ...(condition !== undefined && { Condition: condition }) };
}

function keyOf(key: SigningKey | Credentials | undefined): SigningKey {
  if (key === undefined) throw new Error("there are no credentials");
  if ("accessKeyId" in key) return key;
  const { AccessKeyId = "", SecretAccessKey = "", SessionToken = "" } = key;
  return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken };
}
