/** What machines and people find beside the two planes: health, readiness, metrics, and a first page that says what this is. */
import type { RegistryCore } from "#registry/context.ts";
import type { Exchange } from "#std/exchange.ts";
import { describeError, respondJson } from "./front.ts";
import type { Plane } from "./front.ts";
import type { Metrics } from "./metrics.ts";
import type { AddressSet } from "./settings.ts";

/** What the pages need. */
export interface PagesOptions {
  readonly core: RegistryCore;
  readonly metrics: Metrics;
  readonly metricsFrom: AddressSet;
  readonly version: string;
  /** False from the moment shutdown begins, so that a load balancer sends no more. */
  readonly isServing: () => boolean;
}

type Page = (exchange: Exchange, options: PagesOptions) => Promise<void>;

/** Every page, who may read it, and what answers. `public` pages tell nothing about what the registry holds. */
const pages: Readonly<Record<string, { readonly readers: "public" | "metrics-from"; readonly answer: Page }>> = {
  "/": { readers: "public", answer: firstPage },
  "/healthz": { readers: "public", answer: async ({ response }) => respondJson(response, 200, { status: "ok" }) },
  "/readyz": { readers: "public", answer: readiness },
  "/metrics": { readers: "metrics-from", answer: metricsPage },
};

/** Makes the plane that answers everything outside the two APIs. */
export function createPages(options: PagesOptions): Plane {
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
    } else if (page.readers === "metrics-from" && !options.metricsFrom.contains(exchange.remoteAddress)) {
      respondJson(exchange.response, 403, { message: "This address may not read /metrics; SUPERCARGO_METRICS_FROM says who may." });
    } else await page.answer(exchange, options);
  };
}

async function readiness({ response, requestId }: Exchange, { core, isServing }: PagesOptions): Promise<void> {
  if (!isServing()) return respondJson(response, 503, { status: "shutting down" });
  try {
    await Promise.all([core.metadata.check(), core.storage.check()]);
    respondJson(response, 200, { status: "ready" });
  } catch (error) {
    core.log.error({ requestId, error: describeError(error) }, "not ready");
    respondJson(response, 503, { status: "not ready" });
  }
}

async function metricsPage({ response }: Exchange, { metrics }: PagesOptions): Promise<void> {
  const { contentType, body } = await metrics.render();
  response.writeHead(200, { "Content-Type": contentType });
  response.end(body);
}

async function firstPage({ response }: Exchange, { version }: PagesOptions): Promise<void> {
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
