/** What the agent of a machine asks the registry for: credentials for the machine's token, or whether those that it holds still stand. */

/** What `GET /v1/credentials` of the registry answers. Times are ISO 8601. */
export interface FetchedCredentials {
  readonly AccessKeyId: string;
  readonly SecretAccessKey: string;
  readonly Token: string;
  readonly Expiration: string;
  readonly RoleArn: string;
  readonly AccountId: string;
  readonly LastUpdated: string;
  readonly RoleName: string;
  readonly InstanceProfileArn: string;
  readonly MachineId: string;
  readonly Region: string;
}

/** The registry's word on a machine. */
export type FetchedAnswer =
  | {
      readonly kind: "given";
      readonly credentials: FetchedCredentials;
      /** Names machine and role; the registry answers `unchanged` while it would give credentials of the same. */
      readonly entityTag: string | undefined;
    }
  /** What is held still stands. */
  | { readonly kind: "unchanged" }
  /** This machine gets none: it was revoked, or its role is gone or does not trust it. */
  | { readonly kind: "refused"; readonly status: number; readonly code: string; readonly message: string };

const timeoutMs = 10_000;
const maxBytes = 65_536;
/** Of the statuses of a client's fault, those that tell nothing about the machine. */
const passing: ReadonlySet<number> = new Set([408, 425, 429]);
const members = [
  "AccessKeyId",
  "SecretAccessKey",
  "Token",
  "Expiration",
  "RoleArn",
  "AccountId",
  "LastUpdated",
  "RoleName",
  "InstanceProfileArn",
  "MachineId",
  "Region",
] as const satisfies readonly (keyof FetchedCredentials)[];

/**
 * Asks the registry's endpoint at `url` with the machine's token; with a tag of an earlier answer, new credentials come only when that no longer
 * stands. Follows no redirect: the token is for that server alone. Rejects, with words for the log, when the registry cannot be
 * understood, which says nothing about the machine.
 */
export async function fetchMachineCredentials(url: string, token: string, heldTag: string | undefined): Promise<FetchedAnswer> {
  const answer = await fetch(url, {
    headers: { authorization: token, accept: "application/json", ...(heldTag !== undefined && { "if-none-match": heldTag }) },
    redirect: "manual",
    signal: AbortSignal.timeout(timeoutMs),
  });
  const body = await readObject(answer);
  if (answer.status === 304 && heldTag !== undefined) return { kind: "unchanged" };
  if (answer.ok) {
    if (!isCredentials(body)) throw new Error(`the answer of ${url} holds no credentials of a machine`);
    return { kind: "given", credentials: body, entityTag: answer.headers.get("etag") ?? undefined };
  }
  const { Code: code, Message: message } = body ?? {};
  const isRefusal = answer.status >= 400 && answer.status < 500 && !passing.has(answer.status);
  // Without a code it is the answer of something else, such as a proxy.
  if (!isRefusal || typeof code !== "string") throw new Error(`${url} answered ${answer.status}`);
  return { kind: "refused", status: answer.status, code, message: typeof message === "string" ? message : code };
}

async function readObject(answer: Response): Promise<Readonly<Record<string, unknown>> | undefined> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of answer.body ?? []) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) throw new Error(`${answer.url} answers with more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // An error page; its status tells enough.
    return undefined;
  }
}

function isCredentials(body: object | undefined): body is FetchedCredentials {
  if (body === undefined) return false;
  const given = body as Readonly<Record<string, unknown>>;
  return members.every((member) => typeof given[member] === "string") && !Number.isNaN(Date.parse(String(given["Expiration"])));
}
