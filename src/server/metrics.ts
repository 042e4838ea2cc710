/** What Prometheus may know: counts and times with label sets that come from our own tables, never a name that a client chose. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";

/** One finished request, as the metrics see it. */
export interface RequestSample {
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** The process's metrics. */
export interface Metrics {
  started(): void;
  finished(sample: RequestSample): void;
  /** Shows how long the oldest unfinished replication to each destination has waited; asked whenever the metrics are read. */
  observeReplication(read: () => Promise<readonly { readonly destination: string; readonly seconds: number }[]>): void;
  /** Where other parts of the server put theirs. */
  readonly register: Registry;
  /** Prometheus text format. */
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
}

/** Times that are observed together: one by one, between other work, that costs several times as much. */
const observedTogether = 64;

/** What the requests of one route came to. */
interface RouteTally {
  readonly byStatus: Map<number, number>;
  readonly timer: { observe(seconds: number): void };
  /** Seconds that have not been observed yet. */
  readonly waiting: number[];
}

function observeWaiting({ timer, waiting }: RouteTally): void {
  for (const seconds of waiting) timer.observe(seconds);
  waiting.length = 0;
}

function totalOf(name: string, help: string, read: () => number): Counter {
  return new Counter({
    name,
    help,
    registers: [],
    collect() {
      this.reset();
      this.inc(read());
    },
  });
}

/** Makes the metrics of one server. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: "supercargo_" });
  const registers = [registry];
  // What is counted for each request is counted in plain numbers, and told to these when somebody reads them.
  const routes = new Map<string, RouteTally>();
  const totals = { running: 0, receivedBytes: 0, sentBytes: 0 };
  registry.registerMetric(
    new Counter({
      name: "supercargo_requests_total",
      help: "Finished requests",
      labelNames: ["route", "status"] as const,
      registers: [],
      collect() {
        this.reset();
        for (const [route, { byStatus }] of routes)
          for (const [status, count] of byStatus) this.inc({ route, status: String(status) }, count);
      },
    }),
  );
  const durations = new Histogram({
    name: "supercargo_request_seconds",
    help: "Time from the request's head to the answer's end",
    labelNames: ["route"] as const,
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 120],
    registers,
    collect() {
      for (const tally of routes.values()) observeWaiting(tally);
    },
  });
  registry.registerMetric(totalOf("supercargo_received_bytes_total", "Bytes of request bodies and heads", () => totals.receivedBytes));
  registry.registerMetric(totalOf("supercargo_sent_bytes_total", "Bytes of answers", () => totals.sentBytes));
  registry.registerMetric(
    new Gauge({
      name: "supercargo_requests_running",
      help: "Requests under way",
      registers: [],
      collect() {
        this.set(totals.running);
      },
    }),
  );
  return {
    started() {
      totals.running += 1;
    },
    finished({ route, status, seconds, receivedBytes, sentBytes }) {
      totals.running -= 1;
      totals.receivedBytes += receivedBytes;
      totals.sentBytes += sentBytes;
      let tally = routes.get(route);
      if (tally === undefined) routes.set(route, (tally = { byStatus: new Map(), timer: durations.labels({ route }), waiting: [] }));
      tally.byStatus.set(status, (tally.byStatus.get(status) ?? 0) + 1);
      if (tally.waiting.push(seconds) >= observedTogether) observeWaiting(tally);
    },
    observeReplication(read) {
      const lag: Gauge<"destination"> = new Gauge({
        name: "supercargo_replication_lag_seconds",
        help: "Age of the oldest unfinished replication to a destination; absent where nothing waits",
        labelNames: ["destination"] as const,
        registers,
        async collect() {
          // The other metrics are needed most when the database is away.
          const found = await read().catch(() => []);
          lag.reset();
          for (const { destination, seconds } of found) lag.set({ destination }, seconds);
        },
      });
    },
    register: registry,
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}
