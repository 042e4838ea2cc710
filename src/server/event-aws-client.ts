/** How this server speaks to event services of AWS, or to servers that speak like them: the settings of their clients, and what their failures mean. */
import type { SendOutcome } from "#events/target.ts";

/** Where and as whom a client asks. */
export interface AwsPlace {
  readonly region: string;
  /** Instead of AWS's own; the operator named it, so it may be on the own network. */
  readonly endpoint?: string | undefined;
  /** Instead of what AWS's default chain finds: environment, files, container, machine. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
}

/** What all clients are made with: one attempt, because the reader of the log has its own pauses; AWS's clients follow no redirect. */
export function clientSettings({ region, endpoint, credentials }: AwsPlace) {
  return {
    region,
    ...(endpoint !== undefined && { endpoint }),
    // AWS_ENDPOINT_URL is often this very server's: people who work with it have it in their environment.
    ignoreConfiguredEndpointUrls: true,
    ...(credentials !== undefined && { credentials }),
    maxAttempts: 1,
    requestHandler: { connectionTimeout: 3_000, requestTimeout: 15_000, throwOnRequestTimeout: true },
  };
}

const delivered: SendOutcome = { outcome: "delivered" };

/** What a service says of one entry of a batch that it took as a whole. */
export function entryOutcome(
  failure: { readonly code: string | undefined; readonly message: string | undefined; readonly isRefusal: boolean } | undefined,
): SendOutcome {
  if (failure === undefined) return delivered;
  return { outcome: failure.isRefusal ? "refused" : "failed", reason: `${failure.code ?? "failure"}: ${failure.message ?? ""}` };
}

/** Is it the content that a service would not take? A wrong address or missing permissions are no fault of the event. */
export function isContentRefusal(error: unknown): boolean {
  return error instanceof Error && contentErrors.has(error.name);
}

const contentErrors: ReadonlySet<string> = new Set([
  "ValidationException",
  "ValidationError",
  "InvalidMessageContents",
  "BatchRequestTooLong",
  "AWS.SimpleQueueService.BatchRequestTooLong",
  "RequestEntityTooLargeException",
]);
