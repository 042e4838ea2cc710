/** Makes docs/generated/configuration.md from the settings table. */
import { settingRows } from "#server/setting-rows.ts";
import { flagOf } from "#server/settings.ts";

/** The reference page of all settings. */
export function generateConfiguration(): string {
  const rows = Object.values(settingRows).map((row) => {
    const fallback = row.fallback === undefined || row.fallback === "" ? "–" : `\`${row.fallback}\``;
    return `| \`${row.env}\` | \`${flagOf(row)}\` | ${fallback} | ${row.limit} | ${row.reason} |`;
  });
  return [
    "# Settings",
    "",
    "Made from `src/server/settings.ts` by `npm run generate`. Flags win over the environment, the environment over the optional YAML file, the file over the default.",
    "",
    "| environment | flag | default | limit | reason |",
    "|---|---|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}
