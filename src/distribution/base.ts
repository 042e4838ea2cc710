import type { Call } from "./call.ts";
import { sendJson } from "./answer.ts";

/** GET `/v2/` (end-1): says that this is a registry and that the credentials are good. */
export async function getBase(call: Call): Promise<void> {
  sendJson(call.exchange, 200, [], {});
}
