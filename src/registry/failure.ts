import { DatabaseFull } from "#metadata/database-full.ts";
import { StorageError } from "#storage/driver.ts";
import type { RegistryRefusal } from "./errors.ts";
import { RegistryError } from "./errors.ts";

/**
 * What a failed operation has to tell its client: what `registry/` refused, or that the disk is full, under the bytes or under the facts.
 * Undefined for a failure that is nobody's business but ours.
 */
export function refusalOf(error: unknown): RegistryRefusal | undefined {
  if (error instanceof RegistryError) return error.refusal;
  const isFull = error instanceof DatabaseFull || (error instanceof StorageError && error.kind === "no-space");
  return isFull ? { kind: "storage-full", detail: {} } : undefined;
}
