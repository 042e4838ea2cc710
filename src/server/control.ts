/**
 * The control socket: commands that write (`gc`, `restore`, `purge`, `root reset`) run inside the server that owns the data folder,
 * because SQLite has one writer. It is a Unix socket in the data folder: who can open it owns the registry anyway.
 */
import { chmodSync, existsSync, unlinkSync } from "node:fs";
import { createServer, request } from "node:http";
import type { Server } from "node:http";
import type { Log } from "#std/log.ts";
import { describeError } from "./front.ts";

/** A command by name with plain data in and out. */
export type ControlHandler = (command: string, input: unknown) => Promise<unknown>;

/** The control socket of a running server. */
export interface ControlSocket {
  close(): Promise<void>;
}

/** Another server already runs on this data folder. */
export class AlreadyRunning extends Error {
  override readonly name = "AlreadyRunning";
}

const bodyLimitBytes = 1_048_576;

/** Listens on the socket. Throws {@link AlreadyRunning} when a live server holds it; a socket left by a killed one is replaced. */
export async function openControlSocket(path: string, handler: ControlHandler, log: Log): Promise<ControlSocket> {
  if (existsSync(path)) {
    const alive = await callControl(path, "ping", {}).catch(() => undefined);
    if (alive !== undefined)
      throw new AlreadyRunning(
        `another server is running on this data folder (it answers on ${path}); stop it first, or choose another folder with SUPERCARGO_DATA`,
      );
    unlinkSync(path);
  }
  const server = createServer((incoming, outgoing) => {
    void (async () => {
      try {
        const chunks: Buffer[] = [];
        let total = 0;
        for await (const chunk of incoming as AsyncIterable<Buffer>) {
          total += chunk.length;
          if (total > bodyLimitBytes) throw new Error("command too large");
          chunks.push(chunk);
        }
        const command = (incoming.url ?? "/").slice(1);
        const output = command === "ping" ? { ok: true } : await handler(command, JSON.parse(Buffer.concat(chunks).toString() || "{}"));
        outgoing.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ output }));
      } catch (error) {
        log.warn({ error: describeError(error) }, "control command failed");
        outgoing
          .writeHead(400, { "Content-Type": "application/json" })
          .end(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
      }
    })();
  });
  await listen(server, path);
  chmodSync(path, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
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

/** Runs a command in the server that owns the data folder. Rejects with its message when it refuses, and with the connection's error when none runs. */
export function callControl(path: string, command: string, input: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = request(
      { socketPath: path, path: `/${command}`, method: "POST", headers: { "Content-Type": "application/json" } },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.once("error", reject);
        answer.once("end", () => {
          const body = JSON.parse(Buffer.concat(chunks).toString()) as { output?: unknown; error?: string };
          if (answer.statusCode === 200) resolve(body.output);
          else reject(new ControlRefused(body.error ?? "the command failed"));
        });
      },
    );
    call.once("error", reject);
    call.end(JSON.stringify(input));
  });
}

/** The running server refused the command; its words are for the person at the keyboard. */
export class ControlRefused extends Error {
  override readonly name = "ControlRefused";
}
