/** Another registry as tests want it: serves what it is given, counts what it is asked, and misbehaves on demand. */
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Bytes that the double serves. */
interface Served {
  readonly bytes: Uint8Array;
  readonly digest: string;
  readonly mediaType: string;
}

/** Answers a request instead of the double; false: the double answers after all. */
export type Misbehaviour = (request: IncomingMessage, response: ServerResponse) => unknown;

/** A running double. */
export interface UpstreamDouble {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  /** `<method> <path>` of each request, in order. */
  readonly asked: string[];
  /** The Authorization header of each request. */
  readonly shown: (string | undefined)[];
  /** Serves a manifest under its digest and these tags, and blobs under theirs. */
  serve(name: string, content: { readonly manifest?: Served; readonly blobs?: readonly Served[]; readonly tags?: readonly string[] }): void;
  serveReferrers(name: string, subject: string, index: object): void;
  /** Until it is undefined again. */
  misbehave(how: Misbehaviour | undefined): void;
  /** How often such a request came. */
  count(method: string, path: RegExp): number;
  close(): Promise<void>;
}

/** Starts a double on a loopback port. */
export async function startUpstreamDouble(): Promise<UpstreamDouble> {
  const asked: string[] = [];
  const shown: (string | undefined)[] = [];
  const contents = new Map<string, Served>();
  let misbehaviour: Misbehaviour | undefined;
  const server: Server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    shown.push(request.headers.authorization);
    if (misbehaviour !== undefined && misbehaviour(request, response) !== false) return;
    answer(contents.get(request.url ?? ""), request, response);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    shown,
    serve(name, { manifest, blobs = [], tags = [] }) {
      for (const blob of blobs) contents.set(`/v2/${name}/blobs/${blob.digest}`, { ...blob, mediaType: "application/octet-stream" });
      if (manifest === undefined) return;
      for (const reference of [manifest.digest, ...tags]) contents.set(`/v2/${name}/manifests/${reference}`, manifest);
    },
    serveReferrers(name, subject, index) {
      const bytes = Buffer.from(JSON.stringify(index));
      contents.set(`/v2/${name}/referrers/${subject}`, { bytes, digest: "", mediaType: "application/vnd.oci.image.index.v1+json" });
    },
    misbehave(how) {
      misbehaviour = how;
    },
    count: (method, path) => asked.filter((line) => line.startsWith(`${method} `) && path.test(line)).length,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answer(content: Served | undefined, request: IncomingMessage, response: ServerResponse): void {
  if (request.url === "/v2/") return void response.writeHead(200, { "content-type": "application/json" }).end("{}");
  if (content === undefined) return void response.writeHead(404, { "content-type": "application/json" }).end('{"errors":[]}');
  const { bytes, digest, mediaType } = content;
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const rest = bytes.subarray(from);
  const range = from === 0 ? {} : { "content-range": `bytes ${from}-${bytes.byteLength - 1}/${bytes.byteLength}` };
  const named = digest === "" ? {} : { "docker-content-digest": digest };
  const headers = { "content-type": mediaType, "content-length": rest.byteLength, ...named, ...range };
  response.writeHead(from === 0 ? 200 : 206, headers).end(request.method === "HEAD" ? undefined : rest);
}
