/** Starts the server and ends it gracefully: stop accepting, let running transfers finish, then close what is open. */
import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import type { Server as HttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Server as HttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { createApi } from "#api/pipeline.ts";
import { createDistribution } from "#distribution/pipeline.ts";
import { startWorker } from "#jobs/worker.ts";
import { createAddressing } from "#registry/addressing.ts";
import { runGarbageCollection } from "#registry/gc.ts";
import { createByteBudget } from "#std/byte-budget.ts";
import { openFoundation } from "./assemble.ts";
import type { Foundation } from "./assemble.ts";
import { runCommand } from "./commands.ts";
import { openControlSocket } from "./control.ts";
import { createFront } from "./front.ts";
import { createMetrics } from "./metrics.ts";
import { createPages } from "./pages.ts";
import { SettingsError, isLoopbackHost } from "./settings.ts";
import type { Settings } from "./settings.ts";
import type { ServerLog } from "./log.ts";

/** A running server. */
export interface RunningServer {
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly port: number;
  readonly foundation: Foundation;
  /** Resolves when everything is closed; running transfers get `settings.shutdownSeconds`. */
  stop(): Promise<void>;
}

const hourMs = 3_600_000;

/** Opens everything, then listens. Throws SettingsError and AlreadyRunning with words for the operator. */
export async function startServer(settings: Settings, log: ServerLog, version: string): Promise<RunningServer> {
  const foundation = await openFoundation(settings, log);
  const { core, access, paths } = foundation;
  const scheme = settings.tlsCert === undefined ? "http" : "https";
  let serving = true;
  try {
    const control = await openControlSocket(paths.controlSocket, (command, input) => runCommand(foundation, settings, command, input), log);
    const listener = openListener(settings);
    const port = await listenOn(listener, settings);
    const addressing = createAddressing({
      defaultRegistry: { accountId: settings.account, region: settings.region },
      regions: settings.regions,
      domain: settings.domain,
      publicUrl: settings.publicUrl,
      port,
      scheme,
    });
    const metrics = createMetrics();
    const front = createFront({
      distribution: createDistribution({ core, access, addressing }),
      api: createApi({ core, access, addressing, budget: createByteBudget(settings.bodyBudgetMb * 1_048_576) }),
      pages: createPages({ core, metrics, metricsFrom: settings.metricsFrom, version, isServing: () => serving }),
      clock: core.clock,
      random: core.random,
      log,
      metrics,
      trustedProxies: settings.trustedProxies,
      scheme,
      hostIsKnown: settings.dev ? createHostCheck(settings) : undefined,
    });
    listener.on("request", front);
    listener.on("checkContinue", front);
    const worker = startWorker({
      core,
      handlers: { gc: async () => void (await runGarbageCollection(core, {})) },
      recurring: [{ kind: "gc", everyMs: hourMs }],
    });
    const reload = (): void => reloadCertificate(listener, settings, log);
    process.on("SIGHUP", reload);
    const stop = async (): Promise<void> => {
      serving = false;
      process.off("SIGHUP", reload);
      await drain(listener, settings.shutdownSeconds * 1000);
      await worker.stop();
      await control.close();
      await foundation.close();
      log.info({}, "stopped");
      log.flush();
    };
    return { scheme, host: settings.listen.host, port, foundation, stop };
  } catch (error) {
    await foundation.close();
    throw error;
  }
}

function openListener(settings: Settings): HttpServer | HttpsServer {
  const limits = {
    // A request's head within half a minute (slow senders hold a connection, not memory); bodies may take as long as they move.
    headersTimeout: 30_000,
    requestTimeout: 0,
    keepAliveTimeout: 75_000,
    maxHeaderSize: 32_768,
    // Registry bodies come in megabytes: larger reads halve the number of turns of the event loop.
    highWaterMark: 262_144,
  };
  const listener =
    settings.tlsCert === undefined
      ? createHttpServer(limits)
      : createHttpsServer({ ...limits, ...readCertificate(settings), minVersion: "TLSv1.2", ALPNProtocols: ["http/1.1"] });
  listener.maxHeadersCount = 200;
  listener.maxConnections = 20_000;
  // A connection on which nothing moves for two minutes is given up, whichever side stopped.
  listener.setTimeout(120_000);
  return listener;
}

function readCertificate(settings: Settings): { cert: Buffer; key: Buffer } {
  try {
    return { cert: readFileSync(settings.tlsCert ?? ""), key: readFileSync(settings.tlsKey ?? "") };
  } catch (error) {
    throw new SettingsError(`the TLS certificate or key cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function reloadCertificate(listener: HttpServer | HttpsServer, settings: Settings, log: ServerLog): void {
  if (settings.tlsCert === undefined || !("setSecureContext" in listener)) return;
  try {
    listener.setSecureContext({ ...readCertificate(settings), minVersion: "TLSv1.2" });
    log.info({}, "certificate read again");
  } catch (error) {
    log.error({ error: String(error) }, "certificate could not be read again; the old one stays");
  }
}

function listenOn(listener: HttpServer | HttpsServer, settings: Settings): Promise<number> {
  const { host, port } = settings.listen;
  return new Promise((resolve, reject) => {
    listener.once("error", (error: NodeJS.ErrnoException) => {
      const reason = error.code === "EADDRINUSE" ? "something else listens there already" : error.message;
      reject(new SettingsError(`cannot listen on ${host}:${port}: ${reason}. SUPERCARGO_LISTEN chooses another address`));
    });
    listener.listen(port, host, () => resolve((listener.address() as AddressInfo).port));
  });
}

/** Stops accepting, closes idle connections, and waits for running requests until the time is up. */
function drain(listener: HttpServer | HttpsServer, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const giveUp = setTimeout(() => listener.closeAllConnections(), timeoutMs);
    const sweep = setInterval(() => listener.closeIdleConnections(), 200);
    listener.close(() => {
      clearTimeout(giveUp);
      clearInterval(sweep);
      resolve();
    });
    listener.closeIdleConnections();
  });
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
