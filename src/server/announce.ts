/** What the person who starts the server sees: where it listens, how to log in and push, and a new root key once. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { writeSecretFile } from "./data-folder.ts";
import type { RunningServer } from "./serve.ts";
import { isLoopbackHost } from "./settings.ts";
import type { Settings } from "./settings.ts";

/** Writes the start-up notice. A new root key goes to the terminal when there is one, else into a file of mode 0600 whose path is printed; never into a log. */
export async function announce(
  server: RunningServer,
  settings: Settings,
  version: string,
  output: { write(text: string): void; readonly isTerminal: boolean },
): Promise<void> {
  const { endpoint, registry } = namesOf(server, settings);
  const { account, region } = settings;
  const lines = [
    `Supercargo ${version} is listening on ${server.scheme}://${inUrl(server.host)}:${server.port} (account ${account}, region ${region})`,
    "",
  ];
  if (settings.dev) lines.push("  --dev: ANY access key is accepted and signatures are NOT verified. For laptops and CI only.", "");
  lines.push(
    "  # Paste in another terminal:",
    ...(await keyLines(server, settings, output.isTerminal)),
    // Both names of the region: version 1 of the aws cli knows only the second.
    `  export AWS_ENDPOINT_URL=${endpoint} AWS_REGION=${region} AWS_DEFAULT_REGION=${region}`,
    `  aws ecr get-login-password | docker login --username AWS --password-stdin ${registry}`,
    "  aws ecr create-repository --repository-name hello",
    `  docker tag YOUR_IMAGE ${registry}/hello:1 && docker push ${registry}/hello:1`,
    "",
    "  Blobs are stored as they are, not encrypted by this server: use an encrypted disk where that matters.",
    "",
  );
  output.write(`${lines.join("\n")}\n`);
}

/** The address for AWS clients, and the host for names of images. */
function namesOf({ scheme, host, port }: RunningServer, settings: Settings): { readonly endpoint: string; readonly registry: string } {
  const isHere = isLoopbackHost(host) || host === "0.0.0.0" || host === "::";
  const endpoint = settings.publicUrl ?? `${scheme}://${isHere ? "localhost" : inUrl(host)}:${port}`;
  if (settings.domain === undefined) return { endpoint, registry: new URL(endpoint).host };
  const publicPort = settings.publicUrl === undefined ? String(port) : new URL(settings.publicUrl).port;
  const isImplied = publicPort === "" || Number(publicPort) === (scheme === "https" ? 443 : 80);
  const qualified = `${settings.account}.dkr.ecr.${settings.region}.${settings.domain}`;
  return { endpoint, registry: isImplied ? qualified : `${qualified}:${publicPort}` };
}

function inUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

async function keyLines(server: RunningServer, settings: Settings, isTerminal: boolean): Promise<string[]> {
  if (settings.dev) return ["  export AWS_ACCESS_KEY_ID=dev AWS_SECRET_ACCESS_KEY=dev"];
  const { createdRootKey, foundation } = server;
  const file = foundation.paths.rootKeyFile;
  // Absolute, because the other terminal may stand somewhere else.
  const readFromFile = `  . ${quoted(resolve(file))}`;
  if (createdRootKey !== undefined) {
    const exports = rootKeyExports(createdRootKey);
    if (isTerminal) return ["  # (the root access key, shown this once: keep it in a safe place)", ...exports.map((line) => `  ${line}`)];
    await writeSecretFile(file, `${exports.join("\n")}\n`);
    return ["  # (the root access key was written to this file: move it to a safe place)", readFromFile];
  }
  if (settings.rootAccessKeyId !== undefined)
    return ["  # (after AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: the root access key that the settings give)"];
  if (await holdsKey(file, server.rootAccessKeyId))
    return ["  # (the root access key of an earlier start is still in this file: move it to a safe place)", readFromFile];
  return [
    "  # (after AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: the root access key that the first start showed.",
    "  #  Lost it? This makes a new one: supercargo root reset, or in the source folder: npm run supercargo -- root reset)",
  ];
}

/** A word for a shell. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Does the file hold the root key that is valid now? */
async function holdsKey(file: string, accessKeyId: string | undefined): Promise<boolean> {
  const text = await readFile(file, "utf8").catch(() => "");
  return accessKeyId !== undefined && text.includes(`AWS_ACCESS_KEY_ID='${accessKeyId}'`);
}

/** Two shell lines that put a key into the environment. */
export function rootKeyExports(key: { readonly accessKeyId: string; readonly secretAccessKey: string }): string[] {
  return [`export AWS_ACCESS_KEY_ID='${key.accessKeyId}'`, `export AWS_SECRET_ACCESS_KEY='${key.secretAccessKey}'`];
}
