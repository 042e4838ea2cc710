/**
 * Receiving UploadLayerPart, whose body is megabytes of base64 inside JSON. Clients put the members in any order, and what says which
 * upload the bytes are for may come behind them; the signature covers everything and is known to be right only at the end.
 * So the bytes wait, decoded and within the byte budget, until both are known.
 */
import type { IncomingMessage } from "node:http";
import type { JsonBlobProblem } from "#aws/json-stream.ts";
import { decodeJsonValue } from "#aws/json-protocol.ts";
import { createJsonBlobReader } from "#aws/json-stream.ts";
import type { ByteBudget } from "#std/byte-budget.ts";
import { abortSignal, announcedBytes, hashBody } from "../body.ts";
import { ApiFault, invalidParameter } from "../fault.ts";
import type { ReceivedInput } from "../invoke.ts";
import { inputOf, parameterProblem } from "../json-input.ts";
import { ecrModel } from "./service-model.ts";
import { blockBytes, collectBlob } from "./received-blob.ts";

const blobMember = "layerPartBlob";
const blobLimitBytes = 20_971_520;
/** All members but the bytes; names and ids are a few hundred. */
const otherLimitBytes = 65_536;
/** The base64 of the largest part, and room for the members and for clients that write every slash as an escape. */
const bodyLimitBytes = 32 * 1_048_576;

/** Reads the body of one UploadLayerPart. Throws ApiFault for what is wrong with the transfer; what is wrong with the document waits until the signature is known. */
export async function receiveUploadPart(budget: ByteBudget, request: IncomingMessage): Promise<ReceivedInput> {
  const announced = announcedBytes(request, bodyLimitBytes);
  const decodedBytes = Math.min(blobLimitBytes, Math.ceil(announced / 4) * 3);
  const release = await budget.acquire(decodedBytes + blockBytes, abortSignal(request));
  try {
    const body = hashBody(request, bodyLimitBytes);
    const blob = collectBlob();
    const reader = createJsonBlobReader({
      blobMember,
      maxOtherBytes: otherLimitBytes,
      maxBlobBytes: blobLimitBytes,
      onBlob: (chunk) => blob.append(chunk),
    });
    // A document that is wrong is read to its end all the same: who is not the caller must not learn what is wrong with it.
    for await (const chunk of body.chunks) reader.push(chunk);
    const document = reader.end();
    const input = (): unknown => {
      if (!document.ok) throw documentFault(document.problem);
      const decoded = decodeJsonValue(ecrModel, "UploadLayerPartRequest", document.members, { omit: [blobMember] });
      return { ...inputOf(decoded, parameterProblem), [blobMember]: blob };
    };
    return { sha256: body.sha256(), input, release };
  } catch (error) {
    release();
    throw error;
  }
}

function documentFault(problem: JsonBlobProblem): ApiFault {
  if (problem.kind === "missing") return invalidParameter(blobMember, "Member must not be null");
  if (problem.kind === "blob-too-large") {
    return invalidParameter(blobMember, `Member must have length less than or equal to ${blobLimitBytes}`);
  }
  return new ApiFault("SerializationException", problem.message);
}
