/** Opening an address in the person's browser. */
import { spawn } from "node:child_process";

/**
 * Asks the desktop to open an http(s) address, and does not wait for it. Says nothing when there is no desktop: the address
 * is printed as well. No shell reads the address, and nothing that the browser writes gets between our own output.
 */
export function openBrowser(url: string): void {
  const command = process.platform === "darwin" ? "open" : "xdg-open";
  const child = spawn(command, [url], { stdio: "ignore", detached: true });
  child.on("error", () => undefined);
  child.unref();
}
