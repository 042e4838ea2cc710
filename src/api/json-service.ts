/** AWS JSON 1.1: the service `ecr`. One way for all operations; what differs between them is in their rows. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Exchange } from "#std/exchange.ts";
import { ecrOperations } from "./ecr/table.ts";
import { ApiFault } from "./fault.ts";
import { ecrModel } from "./models.ts";
import { respond } from "./respond.ts";
