/**
 * The control socket: commands that write (`gc`, `restore`, `purge`, `root reset`) run inside the server that owns the data folder,
 * because SQLite has one writer. It is a Unix socket in the data folder: who can open it owns the registry anyway.
 * With Postgres there is none: it takes many writers, nodes may share a folder, and commands go to the database themselves.
 */
import { readJson } from "#std/json.ts";
import { chmodSync, closeSync, openSync, rmSync } from "node:fs";
import { createServer, request } from "node:http";
import type { IncomingMessage, Server } from "node:http";
import { basename, dirname } from "node:path";
import type { Log } from "#std/log.ts";
import { describeError } from "./front.ts";
import { SettingsError } from "./settings.ts";

/** A command by name with plain data in and out. */
export type ControlHandler = (command: string, input: unknown) => Promise<unknown>;

/** The control socket of a running server. */
export interface ControlSocket {
  close(): Promise<void>;
}

/** The running server refused the command; its words are for the person at the keyboard. */
export class ControlRefused extends Error {
  override readonly name = "ControlRefused";
}

const bodyLimitBytes = 1_048_576;
/** sockaddr_un holds 108 bytes with the closing zero on Linux, 104 on macOS and the BSDs (unix(7)). */
const pathLimitBytes = process.platform === "linux" ? 107 : 103;

/** Listens on the socket; one that a killed server left is replaced, so only the owner of the data folder may call this. */
export async function openControlSocket(path: string, handler: ControlHandler, log: Log): Promise<ControlSocket> {
  const place = shortPlaceOf(path);
  const server = createServer((incoming, outgoing) => {
    const answer = (status: number, body: unknown): void =>
      void outgoing.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
    runCommand(incoming, handler).then(
      (output) => answer(200, { output }),
      (error: unknown) => {
        log.warn({ command: incoming.url, error: describeError(error) }, "control command failed");
        answer(400, { error: error instanceof Error ? error.message : String(error) });
      },
    );
  });
  // A pass of garbage collection may take as long as it takes.
  server.requestTimeout = 0;
  try {
    rmSync(place.path, { force: true });
    await listen(server, place.path);
    chmodSync(place.path, 0o600);
  } catch (error) {
    place.release();
    throw error;
  }
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          place.release();
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

async function runCommand(incoming: IncomingMessage, handler: ControlHandler): Promise<unknown> {
  const chunks: Buffer[] = [];
  let total = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    total += chunk.length;
    if (total > bodyLimitBytes) throw new Error("command too large");
    chunks.push(chunk);
  }
  return handler((incoming.url ?? "/").slice(1), readJson(Buffer.concat(chunks).toString()));
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/**
 * Runs a command in the server that owns the data folder. Rejects with {@link ControlRefused} when it refuses, and with the
 * connection's error otherwise; {@link nobodyListens} tells whether that means that no server runs.
 */
export async function callControl(path: string, command: string, input: unknown): Promise<unknown> {
  const place = shortPlaceOf(path);
  try {
    return await send(place.path, command, input);
  } finally {
    place.release();
  }
}

/** Did the connection fail because there is no server, rather than in the middle of a command or for want of a permission? */
export function nobodyListens(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ECONNREFUSED";
}

function send(path: string, command: string, input: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    // A connection of its own: one that is kept from an earlier command may lead to a server that has ended.
    const options = {
      socketPath: path,
      agent: false,
      path: `/${command}`,
      method: "POST",
      headers: { "Content-Type": "application/json" },
    };
    const call = request(options, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.once("error", reject);
      answer.once("end", () => {
        const body = readJson(Buffer.concat(chunks).toString()) as { output?: unknown; error?: string };
        if (answer.statusCode === 200) resolve(body.output);
        else reject(new ControlRefused(body.error ?? "the command failed"));
      });
    });
    call.once("error", reject);
    call.end(JSON.stringify(input));
  });
}

/** A path for the same socket that the system takes: a long one is reached through the open folder, where the system can (proc(5)). */
function shortPlaceOf(path: string): { readonly path: string; release(): void } {
  const lengthBytes = Buffer.byteLength(path);
  if (lengthBytes <= pathLimitBytes) return { path, release() {} };
  if (process.platform !== "linux")
    throw new SettingsError(
      `the path of the control socket ${path} has ${lengthBytes} bytes, and this system takes ${pathLimitBytes}; choose a shorter data folder with SUPERCARGO_DATA`,
    );
  const folder = openSync(dirname(path), "r");
  return { path: `/proc/self/fd/${folder}/${basename(path)}`, release: () => closeSync(folder) };
}
