/** What machines and people find beside the two planes: health, readiness, metrics, and a first page that says what this is. */
import type { RegistryCore } from "#registry/context.ts";
import type { Exchange } from "#std/exchange.ts";
import { describeError, respondJson } from "./front.ts";
import type { Plane } from "./front.ts";
import type { Metrics } from "./metrics.ts";
import type { AddressSet } from "./setting-values.ts";

/** What the pages need. */
export interface PagesOptions {
  readonly core: RegistryCore;
  readonly metrics: Metrics;
  readonly metricsFrom: AddressSet;
  readonly version: string;
  /** False from the moment shutdown begins, so that a load balancer sends no more. */
  readonly isServing: () => boolean;
  /** How long database and storage may take to show that they work. Default five seconds. */
  readonly checkTimeoutMs?: number;
}

interface PagesContext extends PagesOptions {
  /** Resolves when database and storage work; rejects otherwise. */
  readonly check: () => Promise<void>;
}

type Page = (exchange: Exchange, context: PagesContext) => void | Promise<void>;

/** Every page, who may read it, and what answers. `public` pages tell nothing about what the registry holds. */
const pages: Readonly<Record<string, { readonly readers: "public" | "metrics-from"; readonly answer: Page }>> = {
  "/": { readers: "public", answer: firstPage },
  "/healthz": { readers: "public", answer: ({ response }) => respondJson(response, 200, { status: "ok" }) },
  "/readyz": { readers: "public", answer: readiness },
  "/metrics": { readers: "metrics-from", answer: metricsPage },
};

/** Makes the plane that answers everything outside the two APIs. */
export function createPages(options: PagesOptions): Plane {
  const context: PagesContext = { ...options, check: createCheck(options.core, options.checkTimeoutMs ?? 5_000) };
  return async (exchange) => {
    const path = (exchange.request.url ?? "/").split("?", 1)[0] ?? "/";
    const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
    exchange.request.resume();
    if (page === undefined) {
      exchange.note({ route: "not-found" });
      respondJson(exchange.response, 404, { message: "There is nothing here. The registry protocol is at /v2/, the AWS APIs at POST /." });
      return;
    }
    exchange.note({ route: path });
    if (exchange.request.method !== "GET" && exchange.request.method !== "HEAD") {
      exchange.response.setHeader("Allow", "GET, HEAD");
      respondJson(exchange.response, 405, { message: "This page can only be read (GET)." });
    } else if (page.readers === "metrics-from" && !mayReadMetrics(exchange, options.metricsFrom)) {
      respondJson(exchange.response, 403, { message: "This address may not read /metrics; SUPERCARGO_METRICS_FROM says who may." });
    } else await page.answer(exchange, context);
  };
}

/** A proxy that is not a configured one passes on somebody else's request: its own address, often loopback, proves nothing then. */
function mayReadMetrics({ request, remoteAddress }: Exchange, metricsFrom: AddressSet): boolean {
  const isPassedOn = request.headers["x-forwarded-for"] !== undefined || request.headers["forwarded"] !== undefined;
  if (isPassedOn && remoteAddress === request.socket.remoteAddress) return false;
  return metricsFrom.contains(remoteAddress);
}

/** One check at a time, however many ask: the page is public. */
function createCheck({ metadata, storage }: RegistryCore, timeoutMs: number): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= inTime(Promise.all([metadata.check(), storage.check()]), timeoutMs).finally(() => (running = undefined));
    return running;
  };
}

async function inTime(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function readiness({ response, requestId }: Exchange, { core, isServing, check }: PagesContext): Promise<void> {
  if (!isServing()) return respondJson(response, 503, { status: "shutting down" });
  try {
    await check();
    respondJson(response, 200, { status: "ready" });
  } catch (error) {
    core.log.error({ requestId, error: describeError(error) }, "not ready");
    respondJson(response, 503, { status: "not ready" });
  }
}

async function metricsPage({ response }: Exchange, { metrics }: PagesContext): Promise<void> {
  const { contentType, body } = await metrics.render();
  response.writeHead(200, { "Content-Type": contentType });
  response.end(body);
}

function firstPage({ response }: Exchange, { version }: PagesContext): void {
  const text = [
    `Supercargo ${version}: a container registry that speaks Amazon ECR's APIs.`,
    "",
    "  /v2/       the registry protocol (docker, podman, containerd, helm, oras)",
    "  POST /     the AWS APIs: set AWS_ENDPOINT_URL to this address (aws cli, SDKs, Terraform)",
    "  /readyz    readiness      /healthz  health      /metrics  Prometheus",
    "",
  ].join("\n");
  response.writeHead(200, {
    "Content-Type": "text/plain; charset=utf-8",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
  });
  response.end(text);
}
