/** Joins the file of event targets, the targets and the delivery. */
import type { Registry } from "prom-client";
import { startDelivery } from "#events/delivery.ts";
import type { EventTarget } from "#events/target.ts";
import type { RegistryCore } from "#registry/context.ts";
import { assert, unreachable } from "#std/assert.ts";
import type { Foundation } from "./assemble.ts";
import { createEventBridge } from "./event-bridge.ts";
import { createEventFile } from "./event-file.ts";
import { createEventMetrics } from "./event-metrics.ts";
import { createQueue } from "./event-queue.ts";
import type { TargetSetting } from "./event-target-file.ts";
import { createWebhook } from "./event-webhook.ts";
import { readRegistryId } from "./instance-marks.ts";
import type { Settings } from "./settings.ts";

/** What a node's delivery is made with. */
export interface EventDeliveryOptions {
  readonly foundation: Pick<Foundation, "core" | "paths" | "eventTargets">;
  readonly settings: Settings;
  readonly register: Registry;
}

/** Starts delivering to the targets; answers how to stop. */
export async function startEventDelivery(options: EventDeliveryOptions): Promise<{ stop(): Promise<void> }> {
  const { settings, register } = options;
  const { core, paths, eventTargets: targets } = options.foundation;
  const registryId = await readRegistryId(paths);
  assert(registryId !== undefined, "a folder that was opened has the id of its registry");
  const metrics = createEventMetrics(register, core.clock);
  const delivery = await startDelivery({
    core,
    registryId,
    node: core.random.uuid(),
    // With SQLite the data folder has one owner.
    isOnlyNode: settings.databaseUrl === undefined,
    observer: metrics.observer,
    targets: targets.map((one) => ({ name: one.name, filter: one.filter ?? {}, from: one.from, target: targetOf(one, core, settings) })),
  });
  metrics.watch(delivery);
  return delivery;
}

function targetOf(one: TargetSetting, { clock }: RegistryCore, { trustedHosts }: Settings): EventTarget {
  switch (one.type) {
    case "webhook":
      return createWebhook({ url: one.url, secret: one.secret, trustedHosts, clock });
    case "file":
      return createEventFile({ path: one.path, sync: one.sync, keepDays: one.keepDays, clock });
    case "eventbridge":
      return createEventBridge(one);
    case "sqs":
      return createQueue(one);
    default:
      return unreachable(one);
  }
}
