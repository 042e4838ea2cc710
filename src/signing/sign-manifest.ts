/**
 * The signing room: signs what was pushed, for the profiles that the registry's signing configuration names. A signature is a manifest like
 * others, pushed through the registry's own functions: so it is listed, replicated and deleted as others are. The room knows no HTTP.
 */
import { findFollowUpSubject, keepFollowUpDetail } from "#metadata/follow-up-subject.ts";
import type { FollowUpSubject } from "#metadata/follow-up-subject.ts";
import { settleFollowUp } from "#metadata/follow-ups.ts";
import type { FollowUpJob } from "#metadata/follow-ups.ts";
import type { JobRun } from "#jobs/table.ts";
import type { Digest } from "#oci/digest.ts";
import { digestOf } from "#oci/digest.ts";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { RegistryContext, RegistryRef } from "#registry/context.ts";
import { RegistryError } from "#registry/errors.ts";
import { KeyRefusal } from "#registry/key-service.ts";
import { putManifest } from "#registry/manifest.ts";
import { uploadWhole } from "#registry/upload.ts";
import { emptyConfig, makeEnvelope, makeSignatureManifest } from "./envelope.ts";
import type { SignedDescriptor } from "./envelope.ts";
import { openProfile } from "./profile.ts";

/** What could not be done this often, within minutes, has failed. */
const maxAttempts = 5;
/** Refusals of a key management service that pass. */
const passing: readonly string[] = ["KeyUnavailableException", "KMSInternalException", "DependencyTimeoutException", "ThrottlingException"];

/** What is kept of a signature from before it is pushed, so that a job that runs twice pushes the same one twice. */
interface KeptSignature {
  /** The envelope. */
  readonly envelope: string;
  /** Base64 of DER. */
  readonly certificate: string;
}

/** The job `sign`. Idempotent; it rejects when it is to be tried again. */
export async function signManifest(run: JobRun): Promise<void> {
  const { core, attempt, signal } = run;
  const { manifestId, target } = run.payload as FollowUpJob;
  const name = { manifestId, kind: "sign", target } as const;
  const subject = await findFollowUpSubject(core.metadata, name);
  if (subject === undefined) return;
  const now = (): number => core.clock.now();
  try {
    const digest = await sign(run, subject, target);
    await settleFollowUp(core.metadata, { ...name, state: "COMPLETE", detail: { digest }, now: now() });
  } catch (error) {
    const isLast = attempt >= maxAttempts;
    const failure = failureOf(error, isLast);
    if (failure === undefined || signal.aborted) throw error;
    if (isLast) core.log.error({ target, error: String(error) }, "a signature could not be made");
    await settleFollowUp(core.metadata, { ...name, state: "FAILED", ...failure, now: now() });
  }
}

/** Why a signature could not be made, in the words of Amazon Signer where it has some. Undefined: it is worth another attempt. */
function failureOf(error: unknown, isLast: boolean): { readonly code: string; readonly reason: string } | undefined {
  if (error instanceof KeyRefusal && (isLast || !passing.includes(error.kmsError))) return { code: error.kmsError, reason: error.message };
  if (error instanceof RegistryError) {
    const { kind, detail } = error.refusal;
    if (kind === "limit-exceeded") return { code: "LimitExceededException", reason: detail.message };
    if (kind === "key-unusable") return { code: detail.kmsError, reason: detail.reason };
  }
  return isLast ? { code: "InternalServiceErrorException", reason: "The signature could not be made or stored." } : undefined;
}

/** Makes the signature, or takes the one that an earlier run has made, and pushes it. Answers its digest. */
async function sign(run: JobRun, subject: FollowUpSubject, profileArn: string): Promise<Digest> {
  const { core } = run;
  const { key, manifest, startedAt } = subject;
  const registry: RegistryRef = { accountId: key.accountId, region: key.region };
  const name = key.name as RepositoryName;
  const ctx: RegistryContext = {
    core,
    actor: {
      accountId: key.accountId,
      principalId: "ecr.amazonaws.com",
      arn: `arn:aws:iam::${key.accountId}:role/aws-service-role/ecr.amazonaws.com/AWSServiceRoleForECR`,
    },
    requestId: `job-${run.jobId}`,
  };
  const target: SignedDescriptor = { mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.sizeBytes };
  const kept = (subject.detail as KeptSignature | undefined) ?? (await makeSignature());
  const envelope = Buffer.from(kept.envelope, "utf8");
  for (const content of [emptyConfig, envelope]) await pushBlob(ctx, registry, name, content);
  const bytes = makeSignatureManifest(Buffer.from(kept.certificate, "base64"), target, envelope);
  return (await putManifest(ctx, registry, name, { bytes, tags: [], plane: "oci" })).digest;

  async function makeSignature(): Promise<KeptSignature> {
    const signer = await openProfile(core, profileArn);
    // Not before the certificate, which may have been made just now.
    const signedAt = Math.max(startedAt, core.clock.now());
    const detail: KeptSignature = {
      envelope: makeEnvelope(signer, target, signedAt),
      certificate: Buffer.from(signer.certificate).toString("base64"),
    };
    const name = { manifestId: manifest.manifestId, kind: "sign", target: profileArn } as const;
    return (await keepFollowUpDetail(core.metadata, { ...name, detail })) as KeptSignature;
  }
}

async function pushBlob(ctx: RegistryContext, registry: RegistryRef, name: RepositoryName, content: Uint8Array): Promise<void> {
  async function* once(): AsyncGenerator<Uint8Array> {
    // A driver may detach what it is given.
    yield Uint8Array.from(content);
  }
  await uploadWhole(ctx, registry, name, { digest: digestOf("sha256", content), incoming: { chunks: once() } });
}
