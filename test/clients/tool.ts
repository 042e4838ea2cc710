/** Runs foreign clients as a person would in a shell, and says by name which are missing. */
import { spawn, spawnSync } from "node:child_process";

/** What a client printed and how it ended. */
export interface ToolResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command with an environment of its own; never rejects for an exit code. */
export function runTool(
  command: readonly string[],
  options: { environment?: Readonly<Record<string, string>>; input?: string; timeoutMs?: number; cwd?: string } = {},
): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0] ?? "", command.slice(1), {
      env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "/root", ...options.environment },
      timeout: options.timeoutMs ?? 120_000,
      ...(options.cwd !== undefined && { cwd: options.cwd }),
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ status: code ?? (signal === null ? -1 : 128), stdout, stderr }));
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
  });
}

/** Runs a command and throws with everything it printed unless it succeeds. Returns its standard output. */
export async function mustRun(command: readonly string[], options: Parameters<typeof runTool>[1] = {}): Promise<string> {
  const result = await runTool(command, options);
  if (result.status !== 0) throw new Error(`${command.join(" ")} ended with ${result.status}\n${result.stdout}\n${result.stderr}`);
  return result.stdout;
}

/** `{}` where the command is installed, else the reason to skip, by name; for `test(name, needs("skopeo"), …)`. */
export function needs(...commands: readonly string[]): { skip?: string } {
  const missing = commands.filter((command) => spawnSync("sh", ["-c", `command -v ${command}`]).status !== 0);
  return missing.length === 0 ? {} : { skip: `not installed: ${missing.join(", ")}` };
}

/** Parses a client's JSON output. */
export function json<T>(text: string): T {
  return JSON.parse(text) as T;
}
