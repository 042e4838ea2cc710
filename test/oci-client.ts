/** A small OCI client of the tests' own, written from the specification: enough to push, read back and say what came back when it failed. */
import { createHash } from "node:crypto";

/** A reference to content, as in manifests. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** An answer that was not the expected one. */
export class UnexpectedAnswer extends Error {
  readonly status: number;
  constructor(what: string, status: number, body: string) {
    super(`${what}: ${status} ${body.slice(0, 500)}`);
    this.status = status;
  }
}

/** `sha256:` digest of bytes. */
export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** A client for one registry with one password. */
export interface OciClient {
  request(
    method: string,
    path: string,
    options?: { headers?: Record<string, string>; body?: Uint8Array<ArrayBuffer> | string },
  ): Promise<Response>;
  pushBlob(repository: string, bytes: Uint8Array<ArrayBuffer>, mediaType?: string): Promise<Descriptor>;
  putManifest(repository: string, reference: string, manifest: object): Promise<{ digest: string }>;
  /** Pushes an image of the given layers and returns its manifest's digest. */
  pushImage(repository: string, tag: string, layers: readonly Uint8Array<ArrayBuffer>[]): Promise<{ digest: string }>;
  /** Reads a manifest and every blob it names, and checks all digests and sizes. */
  verifyImage(repository: string, reference: string): Promise<{ digest: string; bytes: number }>;
  listTags(repository: string): Promise<string[]>;
}

/** Makes a client; `password` is the registry token. */
export function createOciClient(url: string, password: string): OciClient {
  const authorization = `Basic ${Buffer.from(`AWS:${password}`).toString("base64")}`;
  const request: OciClient["request"] = (method, path, options = {}) =>
    fetch(new URL(path, url), {
      method,
      headers: { authorization, ...options.headers },
      ...(options.body !== undefined && { body: options.body }),
    });
  const expect = async (what: string, answer: Response, status: number): Promise<Response> => {
    if (answer.status !== status) throw new UnexpectedAnswer(what, answer.status, await answer.text());
    return answer;
  };
  const client: OciClient = {
    request,
    async pushBlob(repository, bytes, mediaType = "application/vnd.oci.image.layer.v1.tar") {
      const digest = sha256(bytes);
      const opened = await expect("open upload", await request("POST", `/v2/${repository}/blobs/uploads/`), 202);
      await opened.arrayBuffer();
      const location = new URL(opened.headers.get("location") ?? "", url);
      location.searchParams.set("digest", digest);
      const closed = await expect(
        "close upload",
        await request("PUT", location.pathname + location.search, { body: bytes, headers: { "content-type": "application/octet-stream" } }),
        201,
      );
      await closed.arrayBuffer();
      return { mediaType, digest, size: bytes.length };
    },
    async putManifest(repository, reference, manifest) {
      const body = JSON.stringify(manifest);
      const { mediaType = "application/vnd.oci.image.manifest.v1+json" } = manifest as { mediaType?: string };
      const answer = await expect(
        "put manifest",
        await request("PUT", `/v2/${repository}/manifests/${reference}`, { body, headers: { "content-type": mediaType } }),
        201,
      );
      await answer.arrayBuffer();
      return { digest: answer.headers.get("docker-content-digest") ?? "" };
    },
    async pushImage(repository, tag, layers) {
      const pushed: Descriptor[] = [];
      for (const layer of layers) pushed.push(await client.pushBlob(repository, layer));
      const config = await client.pushBlob(
        repository,
        Buffer.from(
          JSON.stringify({
            architecture: "amd64",
            os: "linux",
            tag,
            rootfs: { type: "layers", diff_ids: pushed.map(({ digest }) => digest) },
          }),
        ),
        "application/vnd.oci.image.config.v1+json",
      );
      return client.putManifest(repository, tag, {
        schemaVersion: 2,
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        config,
        layers: pushed,
      });
    },
    async verifyImage(repository, reference) {
      const answer = await expect("get manifest", await request("GET", `/v2/${repository}/manifests/${reference}`), 200);
      const manifest = Buffer.from(await answer.arrayBuffer());
      const digest = sha256(manifest);
      if (answer.headers.get("docker-content-digest") !== digest) throw new Error(`manifest ${reference} came with another digest`);
      const parsed = JSON.parse(manifest.toString()) as { config: Descriptor; layers: Descriptor[] };
      let total = manifest.length;
      for (const part of [parsed.config, ...parsed.layers]) {
        const blob = await expect(`get blob ${part.digest}`, await request("GET", `/v2/${repository}/blobs/${part.digest}`), 200);
        const bytes = Buffer.from(await blob.arrayBuffer());
        if (bytes.length !== part.size || sha256(bytes) !== part.digest) throw new Error(`blob ${part.digest} came back damaged`);
        total += bytes.length;
      }
      return { digest, bytes: total };
    },
    async listTags(repository) {
      const tags: string[] = [];
      let path: string | undefined = `/v2/${repository}/tags/list?n=1000`;
      while (path !== undefined) {
        const answer: Response = await expect("list tags", await request("GET", path), 200);
        tags.push(...((await answer.json()) as { tags: string[] }).tags);
        path = /<([^>]+)>;\s*rel="next"/.exec(answer.headers.get("link") ?? "")?.[1];
      }
      return tags;
    },
  };
  return client;
}
