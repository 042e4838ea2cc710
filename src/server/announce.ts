/** What the person who starts the server sees: where it listens, how to log in and push, and a new root key once. */
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
  const host = isLoopbackHost(server.host) || server.host === "0.0.0.0" || server.host === "::" ? "localhost" : server.host;
  const endpoint = settings.publicUrl ?? `${server.scheme}://${host}:${server.port}`;
  const qualified = `${settings.account}.dkr.ecr.${settings.region}.${settings.domain ?? ""}`;
  const isOwnPort = server.port === (server.scheme === "https" ? 443 : 80);
  const registry = settings.domain === undefined ? new URL(endpoint).host : `${qualified}${isOwnPort ? "" : `:${server.port}`}`;
  const lines = [
    `Supercargo ${version} is listening on ${server.scheme}://${server.host}:${server.port} (account ${settings.account}, region ${settings.region})`,
    "",
  ];
  if (settings.dev) lines.push("  --dev: ANY access key is accepted and signatures are NOT verified. For laptops and CI only.", "");
  lines.push(...(await keyLines(server, settings, output.isTerminal)));
  lines.push(
    `  export AWS_ENDPOINT_URL=${endpoint} AWS_REGION=${settings.region}`,
    `  aws ecr get-login-password | docker login --username AWS --password-stdin ${registry}`,
    "  aws ecr create-repository --repository-name hello",
    `  docker tag YOUR_IMAGE ${registry}/hello:1 && docker push ${registry}/hello:1`,
    "",
    "  Blobs are stored as they are, not encrypted by this server: use an encrypted disk where that matters.",
    "",
  );
  output.write(`${lines.join("\n")}\n`);
}

async function keyLines(server: RunningServer, settings: Settings, isTerminal: boolean): Promise<string[]> {
  if (settings.dev) return ["  export AWS_ACCESS_KEY_ID=dev AWS_SECRET_ACCESS_KEY=dev"];
  const { createdRootKey, paths } = server.foundation;
  if (createdRootKey === undefined)
    return settings.rootAccessKeyId === undefined
      ? ["  # with the root key of the first start (lost it? supercargo root reset):"]
      : ["  # with the root key given in the environment:"];
  const exports = rootKeyExports(createdRootKey);
  if (isTerminal) return ["  The root access key, shown this once:", ...exports.map((line) => `  ${line}`)];
  await writeSecretFile(paths.rootKeyFile, `${exports.join("\n")}\n`);
  return [
    `  # The root access key was written to ${paths.rootKeyFile}: move it to a safe place.`,
    `  . ${paths.rootKeyFile.startsWith("/") ? "" : "./"}${paths.rootKeyFile}`,
  ];
}

/** Two shell lines that put a key into the environment. */
export function rootKeyExports(key: { readonly accessKeyId: string; readonly secretAccessKey: string }): string[] {
  return [`export AWS_ACCESS_KEY_ID='${key.accessKeyId}'`, `export AWS_SECRET_ACCESS_KEY='${key.secretAccessKey}'`];
}
