/** A registry's access room over a real database, with short ways to make who asks and to read what was decided. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { issueSession } from "#identity/session.ts";
import type { SessionRequest } from "#identity/session.ts";
import { openDatabase } from "#metadata/database.ts";
import type { Database } from "#metadata/database.ts";
import { createRepository } from "#metadata/repositories.ts";
import { putRepositoryPolicy } from "#metadata/resource-policies.ts";
import { makeInstanceKey } from "#sealing/instance-key.ts";
import { createSealer } from "#sealing/sealer.ts";
import { silentLog } from "#std/log.ts";
import type { Log } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import { createAccess } from "../access.ts";
import type { Access } from "../access.ts";
import { authorize } from "../authorize.ts";
import type { Ask, Decision } from "../authorize.ts";
import type { Principal } from "../principal.ts";
import { ensureRootKey } from "../root-key.ts";
import { documentOf, makeIdentity, makeUserKey } from "./identities.ts";
import type { IdentityOfTest, PolicyOfTest } from "./identities.ts";

/** The account that owns what is asked for. */
export const own = "111111111111";
/** Another account of the same deployment. */
export const foreign = "222222222222";
/** When everything happens. */
export const now = Date.UTC(2026, 0, 15, 12, 0, 0);
/** Where everything happens. */
export const region = "eu-west-1";
/** Who writes what is not made by a request. */
export const author = { principalArn: "test", requestId: "test", now };
/** Where requests come from. */
export const origin = {
  host: "localhost:4600",
  scheme: "http",
  sourceIp: "::ffff:192.0.2.7",
  userAgent: "docker/29",
  referer: undefined,
} as const;

/** An open access room. */
export interface Decisions {
  readonly metadata: Database;
  readonly access: Access;
  /** What was logged as an error. */
  readonly logged: readonly unknown[];
  readonly rootOf: (accountId?: string) => Principal;
  readonly user: (asked?: Partial<IdentityOfTest>) => Promise<Principal>;
  readonly session: (request: Partial<SessionRequest> & Pick<SessionRequest, "kind" | "owner">) => Promise<Principal>;
  /** Makes a repository, with a policy when one is given, and answers its name. */
  readonly repository: (policy?: PolicyOfTest, name?: string) => Promise<string>;
  readonly ask: (principal: Principal, action: string, resource: string, more?: Partial<Ask>) => Promise<Decision>;
  /** `yes`, or the end of the refusal's sentence. */
  readonly answerTo: (principal: Principal, action: string, resource: string, more?: Partial<Ask>) => Promise<string>;
  readonly close: () => Promise<void>;
}

let counter = 0;

/** A name that no other case uses. */
export function unique(prefix: string): string {
  counter += 1;
  return `${prefix}${counter}`;
}

/** The ARN of a repository. */
export function repo(name: string, accountId: string = own): string {
  return `arn:aws:ecr:${region}:${accountId}:repository/${name}`;
}

/** The ARN of a policy that AWS manages. */
export function managed(name: string): string {
  return `arn:aws:iam::aws:policy/${name}`;
}

/** How a refusal ends where an Allow was missing. */
export function no(type: string, action: string): string {
  return `because no ${type} allows the ${action} action`;
}

/** A statement that allows. */
export function allow(action: string | readonly string[], resource: string = "*", more: object = {}): object {
  return { Effect: "Allow", Action: action, Resource: resource, ...more };
}

/** Opens a room with two accounts and nothing in them. */
export async function openDecisions(): Promise<Decisions> {
  const folder = mkdtempSync(join(tmpdir(), "decisions-"));
  const sealer = createSealer([makeInstanceKey(systemRandom)], systemRandom);
  const clock = { now: () => now };
  const logged: unknown[] = [];
  const log: Log = { ...silentLog, error: (fields) => void logged.push(fields) };
  const metadata = await openDatabase({ kind: "sqlite", file: join(folder, "test.sqlite") }, { log: silentLog });
  const core = { metadata, sealer, clock, random: systemRandom };
  const access = createAccess({ ...core, log, dev: false, defaultAccountId: own, regions: [region] });
  const principalOf = async (accessKeyId: string): Promise<Principal> => (await access.keys.find(accessKeyId))?.principal ?? assert.fail();
  const roots = new Map<string, Principal>();
  for (const accountId of [own, foreign]) {
    const { created } = await ensureRootKey({ ...core, accountId }, {});
    roots.set(accountId, await principalOf(created?.accessKeyId ?? ""));
  }
  const ask: Decisions["ask"] = (principal, action, resource, more = {}) =>
    authorize(access, principal, { action, resource, region, origin, ...more });
  return {
    metadata,
    access,
    logged,
    rootOf: (accountId = own) => roots.get(accountId) ?? assert.fail(),
    async user(asked = {}) {
      const accountId = asked.accountId ?? own;
      const { identityId } = await makeIdentity(metadata, { name: unique("user"), ...asked, accountId, kind: "user" });
      return principalOf((await makeUserKey(metadata, sealer, accountId, identityId)).accessKeyId);
    },
    async session(request) {
      const usual = { sessionName: "session", lifetimeSeconds: 900, policies: undefined };
      return principalOf((await issueSession({ core, accountId: own }, { ...usual, ...request })).accessKeyId);
    },
    async repository(policy, name = unique("repository")) {
      const settings = { tagMutability: "MUTABLE", mutabilityFilters: [], scanOnPush: false, encryptionType: "AES256" } as const;
      const key = { accountId: own, region, name };
      await createRepository(metadata, { key, ...settings, protectionDomain: "AES256", resourceTags: {}, maxRepositories: 1000, author });
      if (policy !== undefined) await putRepositoryPolicy(metadata, { key, document: documentOf(policy), principals: {}, author });
      return name;
    },
    ask,
    async answerTo(principal, action, resource, more = {}) {
      const decision = await ask(principal, action, resource, more);
      if (decision.allowed) return "yes";
      const start = `User: ${principal.arn} is not authorized to perform: ${action} on resource: ${resource} `;
      return decision.message.startsWith(start) ? decision.message.slice(start.length) : decision.message;
    },
    async close() {
      await metadata.close();
      rmSync(folder, { recursive: true });
    },
  };
}
