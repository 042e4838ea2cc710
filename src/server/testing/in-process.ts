/** A whole server in the test's own process, with its real log in a file, and the smallest HTTP client that hides nothing. */
import { createHash } from "node:crypto";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { signRequest } from "#aws/sigv4-signer.ts";
import { createLog } from "../log.ts";
import { startServer } from "../serve.ts";
import type { RunningServer } from "../serve.ts";
import { readSettings } from "../settings.ts";
import type { Settings } from "../settings.ts";

/** The root key of every server here. */
export const rootKey = { accessKeyId: "AKIAINPROCESSROOT000", secretAccessKey: "in-process/Secret+Key0123456789" };

/** An answer, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body parsed; its shape is for the test to state. */
  json<T>(): T;
}

/** How a request differs from a plain one. */
export interface Asking {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The loopback address to come from; 127.0.0.0/8 is all this machine. */
  readonly from?: string;
  readonly agent?: Agent;
}

/** A server under test. */
export interface InProcessServer {
  readonly server: RunningServer;
  readonly settings: Settings;
  readonly folder: string;
  readonly port: number;
  readonly host: string;
  ask(method: string, target: string, asking?: Asking): Promise<Answer>;
  /** A signed call of the ECR API by the root key. */
  call<T>(operation: string, input: object, asking?: Asking): Promise<T>;
  /** Sends text as it is and answers everything that comes back until the server closes. */
  sendRaw(text: string): Promise<string>;
  /** What was logged so far. */
  logText(): string;
  logLines(): Record<string, unknown>[];
  close(): Promise<void>;
}

/** A folder in memory where there is such a place: what is tested here is not the disk. */
export function makeFolder(): string {
  return mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "supercargo-server-"));
}

/** Settings for a folder, on a free loopback port. */
export function settingsFor(folder: string, environment: Readonly<Record<string, string>> = {}): Settings {
  const base = {
    SUPERCARGO_DATA: join(folder, "data"),
    SUPERCARGO_LISTEN: "127.0.0.1:0",
    SUPERCARGO_ROOT_ACCESS_KEY_ID: rootKey.accessKeyId,
    SUPERCARGO_ROOT_SECRET_ACCESS_KEY: rootKey.secretAccessKey,
    SUPERCARGO_SHUTDOWN_SECONDS: "1",
  };
  return readSettings({ flags: {}, environment: { ...base, ...environment }, file: {} });
}

/** Starts a server; close it, or the test run does not end. */
export async function startInProcess(environment: Readonly<Record<string, string>> = {}): Promise<InProcessServer> {
  const folder = makeFolder();
  const settings = settingsFor(folder, environment);
  const logFile = join(folder, "log");
  const descriptor = openSync(logFile, "a");
  const log = createLog("debug", descriptor);
  const server = await startServer(settings, log, "0.0.0-test");
  const { port } = server;
  const agent = new Agent({ keepAlive: true });
  const ask: InProcessServer["ask"] = (method, target, asking = {}) => askAt(port, method, target, { agent, ...asking });
  const logText = (): string => {
    log.flush();
    return readFileSync(logFile, "utf8");
  };
  return {
    server,
    settings,
    folder,
    port,
    host: `127.0.0.1:${port}`,
    ask,
    async call<T>(operation: string, input: object, asking: Asking = {}) {
      const body = JSON.stringify(input);
      const target = `AmazonEC2ContainerRegistry_V20150921.${operation}`;
      const plain = { Host: `127.0.0.1:${port}`, "X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1", ...asking.headers };
      const rawHeaders = signRequest(
        { method: "POST", target: "/", rawHeaders: Object.entries(plain).flat() },
        {
          credentials: rootKey,
          region: settings.region,
          service: "ecr",
          now: server.foundation.core.clock.now(),
          bodySha256: createHash("sha256").update(body).digest("hex"),
        },
      );
      const pairs = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name, rawHeaders[at + 1] ?? ""] as const] : []));
      const answer = await ask("POST", "/", { ...asking, headers: Object.fromEntries(pairs), body });
      if (answer.status !== 200) throw new Error(`${operation} answered ${answer.status}: ${answer.text}`);
      return answer.json<T>();
    },
    sendRaw: (text) => sendRaw(port, text),
    logText,
    logLines: () =>
      logText()
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    async close() {
      agent.destroy();
      await server.stop();
      log.flush();
      closeSync(descriptor);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** One request to a loopback port. */
export function askAt(port: number, method: string, target: string, { headers, body, from, agent }: Asking = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, method, path: target, headers: { ...headers } };
    const request = httpRequest(
      { ...options, ...(from !== undefined && { localAddress: from }), ...(agent !== undefined && from === undefined && { agent }) },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.once("error", reject);
        response.once("end", () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: <T>() => JSON.parse(text) as T });
        });
      },
    );
    request.once("error", reject);
    request.end(body);
  });
}

/** Sends text on a connection of its own and answers what comes back until the other side closes. */
export function sendRaw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text, "latin1"));
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    socket.once("error", reject);
    socket.once("close", () => resolve(received));
  });
}
