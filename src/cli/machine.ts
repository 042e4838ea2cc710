/** What the commands about machines do: enrolling them at the server, and the agent that runs on one. */
import { existsSync, readFileSync } from "node:fs";
import { writeSecretFile } from "#server/data-folder.ts";
import { fetchMachineCredentials } from "#server/machine-agent-source.ts";
import { createMachineAgent } from "#server/machine-agent.ts";
import { isLoopbackHost } from "#server/settings.ts";
import { systemClock } from "#std/clock.ts";
import { systemRandom } from "#std/random.ts";
import { isConfidential } from "./ask.ts";
import { UsageError, accountTyped, runAnywhere } from "./commands.ts";
import { settingsFrom } from "./settings-file.ts";
import type { Flags } from "./settings-file.ts";

/** Where software expects EC2's metadata service (Amazon EC2 User Guide, "Use the Instance Metadata Service"). */
const metadataHosts: ReadonlySet<string> = new Set(["169.254.169.254", "fd00:ec2::254"]);

/** `supercargo machine enroll`: the token goes where it is told, or to the terminal. */
export async function machineEnroll(name: string, flags: Flags): Promise<void> {
  const { profile, tokenFile } = flags;
  if (profile === undefined) throw new UsageError("--profile is needed: the instance profile whose role the machine gets");
  if (tokenFile === undefined && !process.stdout.isTTY) throw new UsageError("--token-file is needed: a token does not belong into a log");
  if (tokenFile !== undefined && existsSync(tokenFile)) throw new UsageError(`${tokenFile} exists already and is left alone`);
  const settings = settingsFrom(flags);
  const made = (await runAnywhere(settings, "machine-enroll", { ...accountTyped(flags, settings), profile, name })) as {
    machineId: string;
    token: string;
  };
  process.stdout.write(`The machine '${name}' was enrolled as ${made.machineId}.\n`);
  if (tokenFile === undefined) process.stdout.write(`Its token, shown this once:\n${made.token}\n`);
  else {
    await writeSecretFile(tokenFile, made.token);
    process.stdout.write(`Its token was written to ${tokenFile}; on the machine:\n`);
    process.stdout.write("  export AWS_CONTAINER_CREDENTIALS_FULL_URI=https://YOUR_REGISTRY/v1/credentials\n");
    process.stdout.write("  export AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/path/to/the/token\n");
  }
}

/** A machine as the server lists it; times are milliseconds since the epoch, absent for what never was. */
interface ListedMachine {
  readonly name: string;
  readonly createdAt: number;
  readonly lastUsedAt?: number | undefined;
  readonly credentialsExpireAt?: number | undefined;
}

/** `supercargo machine list`: one a line, with when it last fetched credentials and when those end. */
export async function machineList(flags: Flags): Promise<void> {
  const settings = settingsFrom(flags);
  for (let after: string | undefined; ;) {
    const asked = { ...accountTyped(flags, settings), ...(after !== undefined && { after }) };
    const page = (await runAnywhere(settings, "machine-list", asked)) as readonly ListedMachine[];
    for (const { createdAt, lastUsedAt, credentialsExpireAt, ...machine } of page) {
      const times = { createdAt: iso(createdAt), lastUsedAt: iso(lastUsedAt), credentialsExpireAt: iso(credentialsExpireAt) };
      process.stdout.write(`${JSON.stringify({ ...machine, ...times })}\n`);
    }
    after = page.at(-1)?.name;
    if (after === undefined) return;
  }
}

function iso(time: number | undefined): string | null {
  return time === undefined ? null : new Date(time).toISOString();
}

/** `supercargo machine revoke` */
export async function machineRevoke(name: string, flags: Flags): Promise<void> {
  const settings = settingsFrom(flags);
  await runAnywhere(settings, "machine-revoke", { ...accountTyped(flags, settings), name });
  process.stdout.write(`The machine '${name}' and its credentials were revoked.\n`);
}

/** `supercargo machine agent`: runs until it is told to end. */
export async function machineAgent(flags: Flags): Promise<void> {
  const { server, tokenFile, agentListen = "127.0.0.1:1338" } = flags;
  if (server === undefined || tokenFile === undefined) throw new UsageError("--server and --token-file are needed");
  const url = URL.parse("/v1/credentials", server);
  if (url === null || !isConfidential(url)) throw new UsageError("--server takes https://host[:port]; http only for this machine itself");
  const { host, port } = readListen(agentListen);
  const agent = createMachineAgent({
    // The file is read each time: whoever replaces the token need not restart anything.
    fetchCredentials: (heldTag) => fetchMachineCredentials(url.href, readFileSync(tokenFile, "utf8").trim(), heldTag),
    clock: systemClock,
    random: systemRandom,
    onFailure: (error) => process.stderr.write(`supercargo: ${error instanceof Error ? error.message : String(error)}\n`),
  });
  await new Promise<void>((resolve, reject) => {
    agent.once("error", reject);
    agent.listen(port, host, resolve);
  });
  process.stdout.write(`export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://${agentListen}\n`);
}

/** `127.0.0.1:1338`, `[::1]:1338` */
function readListen(text: string): { readonly host: string; readonly port: number } {
  const [, six, other = "", digits = ""] = /^(?:\[([\da-f:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = six ?? other;
  const port = Number(digits);
  if ((!isLoopbackHost(host) && !metadataHosts.has(host)) || port < 1 || port > 65_535) {
    throw new UsageError(
      "--agent-listen takes a loopback address, 169.254.169.254 or [fd00:ec2::254], and a port: the agent gives credentials to whoever can reach it",
    );
  }
  return { host, port };
}
