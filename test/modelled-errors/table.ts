/** For each operation of the service `ecr` what its model says that it may be refused with, and what shows it. */
import { imageRows } from "./image-rows.ts";
import { registryRows } from "./registry-rows.ts";
import { repositoryRows } from "./repository-rows.ts";
import type { ErrorRow } from "./row.ts";

/** The rows by operation; `table.test.ts` holds it total over the model. */
export const modelledErrors: Readonly<Record<string, ErrorRow>> = { ...repositoryRows, ...imageRows, ...registryRows };

/** The model's exception for a name as the rows have it. */
export function exceptionOf(name: string): string {
  return `${name}Exception`;
}

/** What every operation is answered with when the server itself is broken. */
export const serverFault = "Server";
