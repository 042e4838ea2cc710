/** Commands that write, as plain data in and plain data out: run by the server over its control socket, or by the command line when no server runs. */
import { resetRootKey } from "#access/root-key.ts";
import { identityFault } from "#api/iam/errors.ts";
import type { IdentityContext } from "#identity/context.ts";
import { IdentityError } from "#identity/errors.ts";
import { enrolMachine, listEnrolledMachines, revokeMachine } from "#identity/machine.ts";
import { getProviderKeys, removeProviderKeys, setProviderKeys } from "#identity/oidc-provider.ts";
import { accountExists, createAccount, listAccounts } from "#metadata/accounts.ts";
import { parseRepositoryName } from "#oci/repository-name.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryRef } from "#registry/context.ts";
import { RegistryError } from "#registry/errors.ts";
import type { RegistryRefusal } from "#registry/errors.ts";
import { runGarbageCollection } from "#registry/gc.ts";
import type { LifecycleRunPage } from "#registry/lifecycle-schedule.ts";
import { purge, restore } from "#registry/undo.ts";
import { z } from "zod";
import type { Foundation } from "./assemble.ts";
import type { AuditLog } from "./audit-log.ts";
import { recordCommand } from "./command-record.ts";
import type { Settings } from "./settings.ts";

const target = z.object({
  account: z
    .string()
    .regex(/^\d{12}$/)
    .optional(),
  region: z.string().max(64).optional(),
  repository: z.string().max(256),
  tag: z.string().max(128).optional(),
  digest: z.string().max(256).optional(),
});

type Target = z.infer<typeof target>;

const accountNumber = z.string().regex(/^\d{12}$/, "expected 12 digits");
const newAccount = z.object({
  accountId: accountNumber.optional(),
  name: z.string().min(1).max(128).optional(),
});

const providerArn = z.string().regex(/^arn:aws:iam::\d{12}:oidc-provider\/[!-~]{1,255}$/, "expected the ARN of an OpenID Connect provider");
const ofProvider = z.object({ providerArn });
const newKeys = z.object({ providerArn, jwks: z.unknown() });

const backfill = z.object({
  account: accountNumber.optional(),
  region: z.string().max(64).optional(),
  repository: z.string().max(256).optional(),
  after: z.number().int().min(0),
});

const lifecycleRun = z.object({
  account: accountNumber.optional(),
  region: z.string().max(64).optional(),
  repository: z.string().max(256).optional(),
  after: z.string().max(256).optional(),
  dryRun: z.boolean(),
});

const commands = {
  "account-create": {
    input: newAccount,
    run: ({ core }: Foundation, _settings: Settings, input: z.infer<typeof newAccount>) => makeAccount(core, input),
  },
  "account-list": {
    input: z.object({ after: z.string().max(12).optional() }),
    run: async ({ core }: Foundation, _settings: Settings, input: { after?: string | undefined }) =>
      listAccounts(core.metadata, { after: input.after, limit: accountsAtOnce }),
  },
  "machine-enroll": {
    input: z.object({ account: accountNumber.optional(), profile: z.string().max(128), name: z.string().max(128) }),
    run: ({ core }: Foundation, settings: Settings, input: { account?: string | undefined; profile: string; name: string }) =>
      asTyped(() => enrolMachine({ core, accountId: input.account ?? settings.account }, { profileName: input.profile, name: input.name })),
  },
  "machine-list": {
    input: z.object({ account: accountNumber.optional(), after: z.string().max(128).optional() }),
    run: ({ core }: Foundation, settings: Settings, input: { account?: string | undefined; after?: string | undefined }) =>
      listEnrolledMachines({ core, accountId: input.account ?? settings.account }, { after: input.after, limit: machinesAtOnce }),
  },
  "machine-revoke": {
    input: z.object({ account: accountNumber.optional(), name: z.string().max(128) }),
    run: ({ core }: Foundation, settings: Settings, input: { account?: string | undefined; name: string }) =>
      asTyped(() => revokeMachine({ core, accountId: input.account ?? settings.account }, input.name)),
  },
  "oidc-keys-set": {
    input: newKeys,
    run: ({ core }: Foundation, _settings: Settings, input: z.infer<typeof newKeys>) =>
      asTyped(() => setProviderKeys(ownerOf(core, input), input.providerArn, input.jwks)),
  },
  "oidc-keys-show": {
    input: ofProvider,
    run: async ({ core }: Foundation, _settings: Settings, input: z.infer<typeof ofProvider>) => {
      const keys = await asTyped(() => getProviderKeys(ownerOf(core, input), input.providerArn));
      if (keys === undefined) throw new Error(`no keys were set for ${input.providerArn}: its issuer is asked for them`);
      return keys;
    },
  },
  "oidc-keys-remove": {
    input: ofProvider,
    run: ({ core }: Foundation, _settings: Settings, input: z.infer<typeof ofProvider>) =>
      asTyped(() => removeProviderKeys(ownerOf(core, input), input.providerArn)),
  },
  gc: {
    input: z.object({ graceMs: z.number().int().min(0).optional() }),
    run: ({ core }: Foundation, _settings: Settings, input: { graceMs?: number | undefined }) =>
      runGarbageCollection(core, input.graceMs === undefined ? {} : { graceMs: input.graceMs }),
  },
  restore: {
    input: target,
    run: (foundation: Foundation, settings: Settings, input: Target) => applyUndo("restore", foundation, settings, input),
  },
  purge: {
    input: target,
    run: (foundation: Foundation, settings: Settings, input: Target) => applyUndo("purge", foundation, settings, input),
  },
  "lifecycle-run": {
    input: lifecycleRun,
    run: ({ core }: Foundation, settings: Settings, input: z.infer<typeof lifecycleRun>) => runPolicies(core, settings, input),
  },
  "replicate-backfill": {
    input: backfill,
    run: ({ core }: Foundation, settings: Settings, input: z.infer<typeof backfill>) => beginBackfill(core, settings, input),
  },
  "root-reset": {
    input: z.object({
      account: z
        .string()
        .regex(/^\d{12}$/)
        .optional(),
    }),
    run: ({ core }: Foundation, settings: Settings, input: { account?: string | undefined }) =>
      replaceRootKey(core, input.account ?? settings.account),
  },
} as const;

/** Name of a command. */
export type CommandName = keyof typeof commands;

/** These change nothing and are not on record. */
const readers: ReadonlySet<CommandName> = new Set<CommandName>(["account-list", "machine-list", "oidc-keys-show"]);

/** Runs a command and puts it on record. Throws an Error whose message is meant for the person who typed it. */
export async function runCommand(
  { foundation, settings, auditLog }: { readonly foundation: Foundation; readonly settings: Settings; readonly auditLog: AuditLog },
  name: string,
  input: unknown,
): Promise<unknown> {
  if (!Object.hasOwn(commands, name)) throw new Error(`unknown command '${name}'`);
  const command = commands[name as CommandName];
  const parsedInput = command.input.safeParse(input);
  if (!parsedInput.success)
    throw new Error(parsedInput.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "));
  const run = command.run as (foundation: Foundation, settings: Settings, input: unknown) => Promise<unknown>;
  const record = (failure: string | undefined): void => {
    if (readers.has(name as CommandName)) return;
    const { account, accountId, region, ...parameters } = parsedInput.data as RecordedInput;
    recordCommand(auditLog, foundation.core, {
      name,
      accountId: account ?? accountId ?? parameters.providerArn?.split(":")[4] ?? settings.account,
      region: region ?? settings.region,
      // Of keys only how they are called: what was given could be the wrong file.
      parameters: "jwks" in parameters ? { ...parameters, jwks: keyIdsIn(parameters.jwks) } : parameters,
      failure,
    });
  };
  try {
    const output = await run(foundation, settings, parsedInput.data);
    record(undefined);
    return output;
  } catch (error) {
    record(error instanceof Error ? error.message : String(error));
    throw error;
  }
}

/** What inputs have in common where they have it. */
interface RecordedInput {
  readonly account?: string;
  readonly accountId?: string;
  readonly region?: string;
  readonly providerArn?: string;
  readonly jwks?: unknown;
}

function keyIdsIn(jwks: unknown): readonly string[] {
  const keys = (jwks as { readonly keys?: unknown } | null | undefined)?.keys;
  return (Array.isArray(keys) ? (keys as readonly { readonly kid?: unknown }[]) : [])
    .slice(0, 100)
    .flatMap((key) => (typeof key?.kid === "string" ? [key.kid.slice(0, 256)] : []));
}

/** A provider belongs to the account in its ARN. */
function ownerOf(core: Foundation["core"], input: { readonly providerArn: string }): IdentityContext {
  return { core, accountId: input.providerArn.split(":")[4] ?? "" };
}

const accountsAtOnce = 1000;
const machinesAtOnce = 1000;

/** Refusals of the identity room in the words that its API uses. */
async function asTyped<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof IdentityError) throw new Error(identityFault(error.refusal).message, { cause: error });
    throw error;
  }
}

/** Makes an account with a root key of its own, which is shown this once. Without a number it gets a random one. */
async function makeAccount(core: Foundation["core"], { accountId, name }: z.infer<typeof newAccount>): Promise<unknown> {
  const { metadata, sealer, clock, random } = core;
  const number = accountId ?? String(random.bytes(6).readUIntBE(0, 6) % 1_000_000_000_000).padStart(12, "0");
  const made = await createAccount(metadata, { accountId: number, name, now: clock.now() });
  if (!made) throw new Error(`the account ${number} exists already`);
  const key = await resetRootKey({ metadata, sealer, clock, random, accountId: number });
  return { accountId: number, ...key };
}

/** How long one call works on repositories before it says how far it has come. */
const lifecycleSliceMs = 2_000;

async function runPolicies(core: Foundation["core"], settings: Settings, input: z.infer<typeof lifecycleRun>): Promise<LifecycleRunPage> {
  const { account = settings.account, region = settings.region, repository, after, dryRun: isDryRun } = input;
  const registry = { accountId: account, region };
  const { runLifecycleOf, runLifecycleNamed } = await import("#registry/lifecycle-schedule.ts");
  if (repository === undefined) return runLifecycleOf(core, registry, { after, forMs: lifecycleSliceMs, isDryRun });
  const name = parseRepositoryName(repository);
  if (!name.ok) throw new Error(name.problem);
  const report = await runLifecycleNamed(core, registry, name.value, { isDryRun });
  if (report !== undefined) return { reports: [report] };
  throw new Error(`there is no repository '${repository}' with a lifecycle policy in the registry of account ${account} in ${region}`);
}

/** A number that was typed wrongly must not make an account. */
async function replaceRootKey({ metadata, sealer, clock, random }: Foundation["core"], accountId: string): Promise<unknown> {
  if (!(await accountExists(metadata, accountId)))
    throw new Error(`there is no account ${accountId}; make it with: supercargo account create --id ${accountId}`);
  return resetRootKey({ metadata, sealer, clock, random, accountId });
}

/** Manifests of one batch of a backfill; each begins a job for each of its destinations. */
const backfillBatch = 200;

async function beginBackfill(core: Foundation["core"], settings: Settings, input: z.infer<typeof backfill>): Promise<unknown> {
  const { backfillReplication } = await import("#registry/replication-status.ts");
  const name = input.repository === undefined ? undefined : parseRepositoryName(input.repository);
  if (name?.ok === false) throw new Error(name.problem);
  const registry = { accountId: input.account ?? settings.account, region: input.region ?? settings.region };
  const request = { name: name?.value, after: input.after, limit: backfillBatch };
  try {
    return await backfillReplication(operatorContext(core, registry), registry, request);
  } catch (error) {
    if (!(error instanceof RegistryError) || error.refusal.kind !== "repository-not-found") throw error;
    const where = `the registry of account ${registry.accountId} in ${registry.region}`;
    throw new Error(`there is no repository '${input.repository}' in ${where}`, { cause: error });
  }
}

/** What is typed on the machine itself is done as root of the account. */
function operatorContext(core: Foundation["core"], { accountId }: RegistryRef): RegistryContext {
  const actor = { accountId, principalId: accountId, arn: `arn:aws:iam::${accountId}:root` };
  return { core, actor, requestId: core.random.uuid() };
}

type UndoOperation = (
  ctx: RegistryContext,
  registry: RegistryRef,
  name: RepositoryName,
  what: { tag?: string; digest?: string },
) => Promise<unknown>;

const undoOperations = { restore, purge } satisfies Record<string, UndoOperation>;

async function applyUndo(
  operation: keyof typeof undoOperations,
  { core }: Foundation,
  settings: Settings,
  input: Target,
): Promise<unknown> {
  const name = parseRepositoryName(input.repository);
  if (!name.ok) throw new Error(name.problem);
  const registry = { accountId: input.account ?? settings.account, region: input.region ?? settings.region };
  const ctx = operatorContext(core, registry);
  try {
    return await undoOperations[operation](ctx, registry, name.value, {
      ...(input.tag !== undefined && { tag: input.tag }),
      ...(input.digest !== undefined && { digest: input.digest }),
    });
  } catch (error) {
    if (error instanceof RegistryError) throw new Error(refusalText(error.refusal, registry, input), { cause: error });
    throw error;
  }
}

/** What a refused `restore` or `purge` means to the person who typed it. */
function refusalText(refusal: RegistryRefusal, { accountId, region }: RegistryRef, { repository, tag, digest }: Target): string {
  const what =
    tag !== undefined ? `the tag '${tag}' of '${repository}'` : digest !== undefined ? `${digest} of '${repository}'` : `'${repository}'`;
  const where = `the registry of account ${accountId} in ${region}`;
  const gone = "nothing of that name was deleted, or its undo window is over";
  const { kind } = refusal;
  if (kind === "repository-not-found") {
    if (tag === undefined && digest === undefined) return `there is no deleted repository '${repository}' in ${where}: ${gone}`;
    return `there is no repository '${repository}' in ${where}; a deleted one comes back with: supercargo restore ${repository}`;
  }
  if (kind === "repository-exists")
    return `the repository '${repository}' exists in ${where}; to bring back what was deleted in it, name it with --tag or --digest`;
  if (kind === "manifest-not-found") return `no deletion of ${what} can be found in ${where}: ${gone}`;
  if (kind === "manifest-exists") {
    if (refusal.detail.tag === undefined) return `${what} is there and was not deleted`;
    return `${what} is in use again: it names ${refusal.detail.digest}. Delete that tag first, or restore the old one by its digest`;
  }
  return `${kind}: ${JSON.stringify(refusal.detail)}`;
}
