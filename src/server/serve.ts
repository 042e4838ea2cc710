/** Starts the server and ends it gracefully: stop accepting, let running transfers finish, then close what is open. */
import { ensureRootKey } from "#access/root-key.ts";
import { createMachineCredentials } from "#api/machine-credentials.ts";
import { createApi } from "#api/pipeline.ts";
import { createDistribution } from "#distribution/pipeline.ts";
import { findRootKey } from "#metadata/accounts.ts";
import { releaseJobs } from "#metadata/jobs.ts";
import { listReplicationLag } from "#metadata/replication.ts";
import { endExpiredMoves } from "#metadata/storage-class-tier.ts";
import { createAddressing } from "#registry/addressing.ts";
import { createByteBudget } from "#std/byte-budget.ts";
import type { Log } from "#std/log.ts";
import { systemRandom } from "#std/random.ts";
import { openFoundation } from "./assemble.ts";
import type { Foundation } from "./assemble.ts";
import { startBackgroundWork } from "./background.ts";
import { runCommand } from "./commands.ts";
import { openControlSocket } from "./control.ts";
import type { ControlHandler } from "./control.ts";
import { dataFolderAt, ownDataFolder, prepareDataFolder } from "./data-folder.ts";
import type { DataFolder } from "./data-folder.ts";
import { createCollectorAuditLog, createFileAuditLog, createStreamAuditLog, noAuditLog } from "./audit-log.ts";
import type { AuditCollector, AuditLog } from "./audit-log.ts";
import { createFront } from "./front.ts";
import { openListener } from "./listener.ts";
import type { Listener, RequestListener } from "./listener.ts";
import type { ServerLog } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import type { Metrics } from "./metrics.ts";
import { createPages } from "./pages.ts";
import { isLoopbackHost } from "./settings.ts";
import type { Settings } from "./settings.ts";

/** A running server. */
export interface RunningServer {
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly port: number;
  readonly foundation: Foundation;
  /** A root key that this start made; shown once and nowhere kept in the clear. */
  readonly createdRootKey: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  readonly rootAccessKeyId: string | undefined;
  /** Resolves when everything is closed; running transfers get `settings.shutdownSeconds`. */
  stop(): Promise<void>;
}

/** Opens everything, then answers. Throws SettingsError, FolderInUse and RootKeyUnusable with words for the operator; nothing stays open then. */
export async function startServer(settings: Settings, log: ServerLog, version: string): Promise<RunningServer> {
  const opened = new AsyncDisposableStack();
  try {
    return await openServer(settings, log, version, opened);
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

/** First what may be refused without a trace, then what writes. */
async function openServer(settings: Settings, log: ServerLog, version: string, opened: AsyncDisposableStack): Promise<RunningServer> {
  const paths = dataFolderAt(settings.data);
  await prepareDataFolder(paths);
  const hasOwner = settings.databaseUrl === undefined;
  if (hasOwner) {
    const lock = ownDataFolder(paths);
    opened.defer(() => lock.release());
  }
  const listener = await openListener(settings, { log, random: systemRandom });
  opened.defer(() => listener.close(0));
  const foundation = await openFoundation(settings, log, "serve");
  opened.defer(() => foundation.close());
  const auditLog = openAuditLog(settings, { paths, core: foundation.core, log, standardOutput: process.stdout });
  opened.defer(() => auditLog.close());
  if (hasOwner) {
    const answer: ControlHandler = (command, input) => runCommand({ foundation, settings, auditLog }, command, input);
    const control = await openControlSocket(paths.controlSocket, answer, log);
    opened.defer(() => control.close());
  }
  // Last of what may fail: a key that is made here has to be shown.
  const rootKey = await prepareRootKey(foundation, settings);
  let serving = true;
  const metrics = createMetrics();
  if (foundation.eventTargets.length > 0) {
    const { startEventDelivery } = await import("./event-delivery.ts");
    const delivery = await startEventDelivery({ foundation, settings, register: metrics.register });
    opened.defer(() => delivery.stop());
  }
  listener.answerWith(createAnswers(foundation, settings, listener, { log, auditLog, metrics, version, isServing: () => serving }));
  if (hasOwner) await takeOver(foundation.core);
  const worker = startBackgroundWork(foundation, settings);
  if (settings.tlsCert !== undefined) {
    const reload = (): void => listener.reloadCertificate();
    process.on("SIGHUP", reload);
    opened.defer(() => void process.off("SIGHUP", reload));
  }
  const { scheme, port } = listener;
  return {
    scheme,
    host: settings.listen.host,
    port,
    foundation,
    ...rootKey,
    async stop() {
      serving = false;
      await Promise.all([listener.close(settings.shutdownSeconds * 1000), worker.stop()]);
      await opened.disposeAsync();
      log.info({}, "stopped");
      log.flush();
    },
  };
}

/** Moves that are given up in one transaction. */
const movesAtOnce = 200;

/** The data folder has one owner: whoever worked on it before is dead, and what they had claimed need not wait until the claims run out. */
async function takeOver({ metadata, clock }: Foundation["core"]): Promise<void> {
  await releaseJobs(metadata, { now: clock.now() });
  while ((await endExpiredMoves(metadata, { now: Number.MAX_SAFE_INTEGER, limit: movesAtOnce })) > 0);
}

/** What the sink of the audit log is made of. */
interface AuditLogOptions {
  readonly paths: DataFolder;
  readonly core: Foundation["core"];
  readonly log: Log;
  readonly standardOutput: NodeJS.WritableStream;
  /** Who writes, as a part of a file's name; a random one when undefined. */
  readonly node?: string;
}

/** The sink of the settings. Records of several nodes stand in files of their own, also in a shared folder. */
export function openAuditLog(
  settings: Settings,
  { paths, core, log, standardOutput, node = core.random.uuid().slice(0, 8) }: AuditLogOptions,
): AuditLog {
  switch (settings.audit) {
    case "off":
      return noAuditLog;
    case "stdout":
      return createStreamAuditLog(standardOutput, log);
    case "file":
      return createFileAuditLog({ folder: paths.auditFolder, node, keepDays: settings.auditDays, clock: core.clock, log });
    default:
      return createCollectorAuditLog(collectorAt(settings.audit), log);
  }
}

/** The operator named the address: it may be on the own network. Redirects are not followed, so nobody else names another. */
function collectorAt(url: string): AuditCollector {
  return async (lines) => {
    const answer = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/x-ndjson" },
      body: Buffer.from(lines),
      redirect: "error",
      signal: AbortSignal.timeout(10_000),
    });
    await answer.body?.cancel();
    if (!answer.ok) throw new Error(`the collector answered ${answer.status}`);
  };
}

/** Destinations of replication that the metrics name; those that wait longest. */
const destinationsShown = 100;

/** Everything that answers requests, behind the front door. */
function createAnswers(
  { core, access, openIdKeys, pullThrough, peers }: Foundation,
  settings: Settings,
  { scheme, port }: Listener,
  {
    log,
    auditLog,
    metrics,
    version,
    isServing,
  }: {
    readonly log: ServerLog;
    readonly auditLog: AuditLog;
    readonly metrics: Metrics;
    readonly version: string;
    readonly isServing: () => boolean;
  },
): RequestListener {
  const addressing = createAddressing({
    defaultRegistry: { accountId: settings.account, region: settings.region },
    regions: settings.regions,
    peerRegions: [...peers.keys()],
    domain: settings.domain,
    publicUrl: settings.publicUrl,
    port,
    scheme,
  });
  metrics.observeReplication(async () => {
    const now = core.clock.now();
    const waiting = await listReplicationLag(core.metadata, destinationsShown);
    return waiting.map(({ target, startedAt }) => ({ destination: target, seconds: Math.max(0, now - startedAt) / 1000 }));
  });
  const api = { core, access, addressing, openIdKeys, pullThrough, budget: createByteBudget(settings.bodyBudgetMb * 1_048_576) };
  return createFront({
    distribution: createDistribution({ core, access, addressing, pullThrough }),
    api: createApi(api),
    machineCredentials: createMachineCredentials(api),
    pages: createPages({ core, metrics, metricsFrom: settings.metricsFrom, version, isServing }),
    clock: core.clock,
    random: core.random,
    log,
    auditLog,
    metrics,
    trustedProxies: settings.trustedProxies,
    scheme,
    hostIsKnown: settings.dev ? createHostCheck(settings) : undefined,
  });
}

async function prepareRootKey(
  { core }: Foundation,
  settings: Settings,
): Promise<Pick<RunningServer, "createdRootKey" | "rootAccessKeyId">> {
  const { metadata, sealer, clock, random } = core;
  const { account: accountId, rootAccessKeyId, rootSecretAccessKey } = settings;
  const given =
    rootAccessKeyId !== undefined && rootSecretAccessKey !== undefined
      ? { accessKeyId: rootAccessKeyId, secretAccessKey: rootSecretAccessKey }
      : undefined;
  const { created } = await ensureRootKey({ metadata, sealer, clock, random, accountId }, { given });
  return { createdRootKey: created, rootAccessKeyId: (await findRootKey(metadata, accountId))?.accessKeyId };
}

/** The names that `--dev` answers to: this machine's own, the configured ones, and literal addresses (a page cannot rebind those). */
function createHostCheck(settings: Settings): (host: string | undefined) => boolean {
  const publicHost = settings.publicUrl === undefined ? undefined : new URL(settings.publicUrl).hostname;
  return (host) => {
    const name = host?.replace(/:\d+$/, "").toLowerCase();
    if (name === undefined || name === "") return false;
    if (isLoopbackHost(name) || name.endsWith(".localhost") || name === publicHost || name === settings.listen.host) return true;
    if (settings.domain !== undefined && (name === settings.domain || name.endsWith(`.${settings.domain}`))) return true;
    return /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:]+\])$/.test(name);
  };
}
