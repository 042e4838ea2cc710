/** The far end of a download: a writable stream that may vanish at any time, as promises that always settle. */
import { addAbortListener } from "node:events";
import type { Writable } from "node:stream";

/** A watched sink. One call at a time. */
export interface Receiver {
  /** Resolves when the chunk has been flushed and its memory may be used again. Rejects when the sink failed or was closed. */
  write(chunk: Uint8Array): Promise<void>;
  /** Writes the last chunk, ends the sink, and resolves when everything has been flushed. */
  end(chunk: Uint8Array): Promise<void>;
  /** Stops watching. */
  release(): void;
}

/** Watches a sink until `release`. A sink that is closed does not call the callbacks of its writes, so its end is awaited beside them. */
export function watchReceiver(sink: Writable, signal?: AbortSignal): Receiver {
  let gone: { readonly reason: unknown } | undefined;
  let refuse: ((reason: unknown) => void) | undefined;
  const leave = (reason: unknown): void => {
    gone ??= { reason };
    refuse?.(gone.reason);
  };
  const onError = (error: Error): void => leave(error);
  const onClose = (): void => leave(prematureClose());
  sink.on("error", onError);
  sink.on("close", onClose);
  const abortion = signal === undefined ? undefined : addAbortListener(signal, () => leave(signal.reason));
  if (signal?.aborted === true) leave(signal.reason);
  else if (sink.destroyed || sink.writableEnded) leave(prematureClose());

  function settle(start: (callback: (error?: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (gone !== undefined) {
        reject(gone.reason);
        return;
      }
      refuse = reject;
      start((error) => {
        if (error === null || error === undefined) resolve();
        else leave(error);
      });
    });
  }

  return {
    write: (chunk) => settle((callback) => sink.write(chunk, callback)),
    end: (chunk) => settle((callback) => sink.end(chunk, callback)),
    release() {
      sink.off("error", onError);
      sink.off("close", onClose);
      abortion?.[Symbol.dispose]();
    },
  };
}

function prematureClose(): Error {
  return Object.assign(new Error("the receiver closed before the last byte"), { code: "ERR_STREAM_PREMATURE_CLOSE" });
}
