/**
 * The file that says where events go, as `SUPERCARGO_EVENT_TARGETS` names it: YAML, read once at start. Secrets stand in it or in the
 * environment variable that it names, and never in a message of this program.
 */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { detailTypes } from "#events/event.ts";
import { isTrustedHost } from "#upstream/address-guard.ts";
import { describeIssue, problemOfMode, readSecretYaml } from "./secret-file.ts";
import { accountId, region } from "./setting-values.ts";
import { SettingsError, isLoopbackHost } from "./settings.ts";

const maxTargets = 32;
const maxFileChars = 1_048_576;

const list = <T extends z.ZodType>(item: T): z.ZodOptional<z.ZodArray<T>> => z.array(item).min(1).max(100).optional();

const filter = z.strictObject({
  detailTypes: list(z.enum(detailTypes)),
  repositories: list(z.string().min(1).max(256)),
  accounts: list(accountId),
  regions: list(region),
});

const url = z
  .string()
  .max(2_048)
  .refine((text) => /^https?:$/.test(URL.parse(text)?.protocol ?? ""), "expected an http(s) URL")
  .refine((text) => `${URL.parse(text)?.username}${URL.parse(text)?.password}` === "", "expected a URL without credentials");
const secretText = z.string().min(16, "expected at least 16 characters").max(1_024);
const secret = z.union([
  secretText,
  z.strictObject({ env: z.string().regex(/^[A-Z_][A-Z0-9_]{0,127}$/i, "expected the name of a variable") }),
]);

const members = {
  name: z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, "expected up to 63 lower-case letters, digits and dashes"),
  filter: filter.optional(),
  from: z.enum(["now", "beginning"]).default("now"),
};

const target = z.discriminatedUnion("type", [
  z.strictObject({ ...members, type: z.literal("webhook"), url, secret }),
  z.strictObject({
    ...members,
    type: z.literal("file"),
    path: z.string().min(1).max(4_096),
    sync: z.enum(["batch", "never"]).default("batch"),
    keepDays: z
      .string()
      .regex(/^[1-9]\d{0,4}$/, "expected a number of days")
      .transform(Number)
      .optional(),
  }),
  z.strictObject({
    ...members,
    type: z.literal("eventbridge"),
    bus: z.string().regex(/^[\w./:-]{1,1600}$/, "expected the name or ARN of an event bus"),
    region,
    endpoint: url.optional(),
    source: z
      .string()
      .regex(/^[\w.-]{1,256}$/, "expected letters, digits, dots and dashes")
      .default("supercargo.ecr"),
  }),
  z.strictObject({ ...members, type: z.literal("sqs"), queueUrl: url, region, endpoint: url.optional() }),
]);

const file = z.strictObject({ targets: z.array(target).max(maxTargets) });

type Written = z.infer<typeof target>;

/** A target as the file says it, with its secret found. */
export type TargetSetting = Exclude<Written, { readonly type: "webhook" }> | (Omit<WrittenWebhook, "secret"> & { readonly secret: string });

type WrittenWebhook = Extract<Written, { readonly type: "webhook" }>;

/** Reads the file. Throws {@link SettingsError} naming everything that is wrong with it. */
export function readEventTargets(
  path: string,
  context: { readonly environment: Readonly<Record<string, string | undefined>>; readonly trustedHosts: readonly string[] },
): readonly TargetSetting[] {
  const parsed = file.safeParse(readYaml(path));
  if (!parsed.success)
    throw refused(
      path,
      parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${describeIssue(issue)}`),
    );
  const problems: string[] = [];
  const holdsSecret = parsed.data.targets.some((one) => one.type === "webhook" && typeof one.secret === "string");
  const problemOfFile = holdsSecret ? problemOfMode(path) : undefined;
  if (problemOfFile !== undefined) problems.push(problemOfFile);
  const names = new Set<string>();
  const targets = parsed.data.targets.map((one) => {
    if (names.has(one.name)) problems.push(`the name ${one.name} stands for two targets`);
    names.add(one.name);
    problems.push(...plainUrls(one, context.trustedHosts).map((host) => plainProblem(one.name, host)));
    return one.type === "webhook" ? { ...one, secret: secretOf(one, context.environment, problems) } : one;
  });
  if (problems.length > 0) throw refused(path, problems);
  return targets;
}

function readYaml(path: string): unknown {
  try {
    const text = readFileSync(path, "utf8");
    if (text.length > maxFileChars) throw new Error(`it is longer than ${maxFileChars} characters`);
    return readSecretYaml(text);
  } catch (error) {
    throw refused(path, [error instanceof Error ? error.message : String(error)]);
  }
}

function secretOf(
  { name, secret: given }: WrittenWebhook,
  environment: Readonly<Record<string, string | undefined>>,
  problems: string[],
): string {
  if (typeof given === "string") return given;
  const found = secretText.safeParse(environment[given.env] ?? "");
  if (!found.success) problems.push(`${name}: the environment variable ${given.env} does not hold a secret of 16 to 1024 characters`);
  return found.data ?? "";
}

/** Hosts beyond this machine that would be spoken to without TLS, though nobody allowed it. */
function plainUrls(one: Written, trustedHosts: readonly string[]): readonly string[] {
  const urls =
    one.type === "webhook"
      ? [one.url]
      : one.type === "sqs"
        ? [one.queueUrl, one.endpoint]
        : one.type === "eventbridge"
          ? [one.endpoint]
          : [];
  return urls.flatMap((text) => {
    const place = text === undefined ? null : URL.parse(text);
    if (place?.protocol !== "http:" || isTrustedHost(trustedHosts, place)) return [];
    // What a webhook says is nobody's secret but this network's, whose addresses are guarded: loopback must be named, too.
    if (one.type !== "webhook" && isLoopbackHost(place.hostname.replace(/^\[(.*)\]$/, "$1"))) return [];
    return [place.host];
  });
}

function plainProblem(name: string, host: string): string {
  return `${name}: ${host} is named without TLS. Use https, or name the host in SUPERCARGO_TRUSTED_HOSTS`;
}

function refused(path: string, problems: readonly string[]): SettingsError {
  return new SettingsError(problems.map((problem) => `the file of event targets ${path}: ${problem}`).join("\n"));
}
