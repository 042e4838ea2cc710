/** What an account sets for one of its registries as a whole (Amazon ECR API Reference, PutAccountSetting). */
import type { RegistrySettingName } from "#metadata/registry-settings.ts";
import { putRegistrySetting, readRegistrySettings } from "#metadata/registry-settings.ts";
import type { RegistryContext, RegistryCore, RegistryRef } from "./context.ts";
import { refuse } from "./errors.ts";
import { authorOf } from "./scope.ts";

/** The values of each setting; the first one holds while none was set. */
const settings = {
  BASIC_SCAN_TYPE_VERSION: ["AWS_NATIVE", "CLAIR"],
  REGISTRY_POLICY_SCOPE: ["V2", "V1"],
  BLOB_MOUNTING: ["ENABLED", "DISABLED"],
} as const;

/** The name of a setting. */
export type AccountSettingName = keyof typeof settings;

const names = Object.keys(settings) as readonly AccountSettingName[];

/** The name in an input as a value. Throws `parameter-invalid`. */
export function accountSettingName(text: string): AccountSettingName {
  return (
    names.find((name) => name === text) ??
    refuse("parameter-invalid", { parameter: "name", constraint: `Member must satisfy enum value set: [${names.join(", ")}]` })
  );
}

/** Checks a value. Throws `parameter-invalid`. */
export function checkAccountSettingValue(name: AccountSettingName, value: string): void {
  const values: readonly string[] = settings[name];
  if (values.includes(value)) return;
  refuse("parameter-invalid", { parameter: "value", constraint: `Member must satisfy enum value set: [${values.join(", ")}]` });
}

/** What holds in the registry now, set or not. */
export async function getAccountSetting(
  { metadata }: Pick<RegistryCore, "metadata">,
  registry: RegistryRef,
  name: AccountSettingName,
): Promise<string> {
  const value = (await readRegistrySettings(metadata, registry)).get(storedAs(name));
  return typeof value === "string" ? value : settings[name][0];
}

/** Sets a value. Throws `parameter-invalid`. */
export async function putAccountSetting(
  ctx: RegistryContext,
  registry: RegistryRef,
  name: AccountSettingName,
  value: string,
): Promise<void> {
  checkAccountSettingValue(name, value);
  await putRegistrySetting(ctx.core.metadata, { registry, name: storedAs(name), value, author: authorOf(ctx) });
}

function storedAs(name: AccountSettingName): RegistrySettingName {
  return `account:${name}`;
}
