import { systemClock } from "#std/clock.ts";
import { storageDriverContract } from "./driver-contract.ts";
import { createMemoryDriver } from "./memory.ts";

storageDriverContract("memory", async () => createMemoryDriver({ clock: systemClock }));
