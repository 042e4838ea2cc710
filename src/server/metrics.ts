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

/** Makes the metrics of one server. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: "supercargo_" });
  const registers = [registry];
  const requests = new Counter({
    name: "supercargo_requests_total",
    help: "Finished requests",
    labelNames: ["route", "status"] as const,
    registers,
  });
  const durations = new Histogram({
    name: "supercargo_request_seconds",
    help: "Time from the request's head to the answer's end",
    labelNames: ["route"] as const,
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 120],
    registers,
  });
  const received = new Counter({ name: "supercargo_received_bytes_total", help: "Bytes of request bodies and heads", registers });
  const sent = new Counter({ name: "supercargo_sent_bytes_total", help: "Bytes of answers", registers });
  const running = new Gauge({ name: "supercargo_requests_running", help: "Requests under way", registers });
  // One child a route and status, looked up once: label hashing would otherwise be most of a hot request's metric cost.
  const children = new Map<string, { inc(): void }>();
  const timers = new Map<string, { observe(seconds: number): void }>();
  return {
    started: () => running.inc(),
    finished({ route, status, seconds, receivedBytes, sentBytes }) {
      running.dec();
      const key = `${status} ${route}`;
      let child = children.get(key);
      if (child === undefined) children.set(key, (child = requests.labels({ route, status: String(status) })));
      child.inc();
      let timer = timers.get(route);
      if (timer === undefined) timers.set(route, (timer = durations.labels({ route })));
      timer.observe(seconds);
      if (receivedBytes > 0) received.inc(receivedBytes);
      if (sentBytes > 0) sent.inc(sentBytes);
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
