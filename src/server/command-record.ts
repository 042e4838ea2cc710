/** Records of what an operator does by commands: those that change something are in the audit log beside the calls of clients. */
import type { Clock } from "#std/clock.ts";
import type { Random } from "#std/random.ts";
import type { AuditLog } from "./audit-log.ts";
import { auditLine } from "./audit-record.ts";

/** A command that ran or failed. */
export interface RanCommand {
  /** As on the control socket: `machine-revoke`. */
  readonly name: string;
  readonly accountId: string;
  readonly region: string;
  /** What it was given, without secrets. */
  readonly parameters: object;
  /** Why it failed, in words for who typed it. */
  readonly failure: string | undefined;
}

/** Nobody signs a command: who can open the data folder owns the registry. */
const operator = { type: "Operator" };
const maxFailureChars = 1_000;

/** Writes the record. The name of its event is the command's, `MachineRevoke`. */
export function recordCommand(
  auditLog: AuditLog,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  { name, accountId, region, parameters, failure }: RanCommand,
): void {
  auditLog.write(() =>
    auditLine({
      facts: {
        eventSource: "supercargo",
        eventName: name.replaceAll(/(?:^|-)(.)/g, (_match, letter: string) => letter.toUpperCase()),
        region,
        userIdentity: operator,
        recipientAccountId: accountId,
        requestParameters: parameters,
        errorMessage: failure?.slice(0, maxFailureChars),
      },
      decisions: [],
      requestId: random.uuid(),
      eventId: random.uuid(),
      at: clock.now(),
      sourceIp: "command-line",
      userAgent: undefined,
      errorCode: failure === undefined ? undefined : "CommandFailed",
      status: failure === undefined ? 200 : 400,
    }),
  );
}
