/** What Prometheus learns of the delivery of events. The label is the name of a target, which the operator chose. */
import { Counter, Gauge } from "prom-client";
import type { Registry } from "prom-client";
import type { Delivery } from "#events/delivery.ts";
import type { DeliveryObserver } from "#events/reader.ts";
import type { Clock } from "#std/clock.ts";

/** The metrics of a node's delivery. */
export interface EventMetrics {
  readonly observer: DeliveryObserver;
  /** Shows the lag from now on. */
  watch(delivery: Pick<Delivery, "standings">): void;
}

/** Makes the metrics in a process's registry. */
export function createEventMetrics(register: Registry, clock: Clock): EventMetrics {
  const options = { labelNames: ["target"] as const, registers: [register] };
  const delivered = new Counter({ name: "supercargo_events_delivered_total", help: "Events that a target has taken", ...options });
  const failed = new Counter({ name: "supercargo_events_failed_total", help: "Attempts to deliver events that failed", ...options });
  const refused = new Counter({ name: "supercargo_events_refused_total", help: "Events that were given up", ...options });
  let standings: Delivery["standings"] = () => [];
  // Only the node that delivers to a target shows its lag.
  const lag = new Gauge({
    name: "supercargo_events_lag_seconds",
    help: "Age of the oldest event that a target has not taken; 0 when there is none",
    ...options,
    collect() {
      lag.reset();
      for (const { name, isHeld, waitingSince } of standings())
        if (isHeld) lag.set({ target: name }, waitingSince === undefined ? 0 : Math.max(0, clock.now() - waitingSince) / 1_000);
    },
  });
  return {
    observer: {
      delivered: (target, count) => delivered.inc({ target }, count),
      failed: (target) => failed.inc({ target }),
      refused: (target) => refused.inc({ target }),
    },
    watch(delivery) {
      standings = () => delivery.standings();
    },
  };
}
