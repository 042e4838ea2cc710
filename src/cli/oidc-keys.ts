/** What the commands about keys of OpenID Connect providers do: for issuers that the registry cannot reach. */
import { readFileSync } from "node:fs";
import { parseJson } from "#std/json.ts";
import { UsageError, runAnywhere } from "./commands.ts";
import { settingsFrom } from "./settings-file.ts";
import type { Flags } from "./settings-file.ts";

/** `supercargo oidc-keys set` */
export async function oidcKeysSet(providerArn: string, flags: Flags): Promise<void> {
  const { jwks: file } = flags;
  if (file === undefined) throw new UsageError("--jwks is needed: the file with the issuer's JSON Web Key Set");
  let text: Buffer;
  try {
    text = readFileSync(file);
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const read = parseJson(text);
  if (!read.ok) throw new UsageError(`${file}: ${read.problem}`);
  print(await runAnywhere(settingsFrom(flags), "oidc-keys-set", { providerArn, jwks: read.value }));
}

/** `supercargo oidc-keys show`: exit code 1 when there are none. */
export async function oidcKeysShow(providerArn: string, flags: Flags): Promise<void> {
  print(await runAnywhere(settingsFrom(flags), "oidc-keys-show", { providerArn }));
}

/** `supercargo oidc-keys remove` */
export async function oidcKeysRemove(providerArn: string, flags: Flags): Promise<void> {
  await runAnywhere(settingsFrom(flags), "oidc-keys-remove", { providerArn });
  process.stdout.write(`The keys of ${providerArn} are those that its issuer publishes.\n`);
}

function print(keys: unknown): void {
  process.stdout.write(`${JSON.stringify(keys, null, 2)}\n`);
}
