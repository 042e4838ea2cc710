/**
 * `supercargo login`: a person signs in at an OpenID Connect provider and gets temporary keys of a role, as a `credential_process` of every AWS
 * tool. Standard output belongs to the keys alone; what a person reads goes to standard error. No token and no key is ever an
 * argument of a process or part of a message.
 */
import { createHash } from "node:crypto";
import { userInfo } from "node:os";
import { join, resolve } from "node:path";
import { parseIdentityArn } from "#identity/arn.ts";
import { systemClock } from "#std/clock.ts";
import { systemRandom } from "#std/random.ts";
import { isConfidential } from "./ask.ts";
import { openBrowser } from "./browser.ts";
import { UsageError } from "./commands.ts";
import { keepKeys, readKeptKeys, userCacheFolder, waitForTurn } from "./login-cache.ts";
import { signIn } from "./login-provider.ts";
import { assumeRoleWithToken } from "./login-session.ts";
import type { ProcessCredentials, SessionRequest } from "./login-session.ts";

/** The options of the command line as they were typed. */
export interface LoginFlags {
  readonly server: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly roleArn: string;
  readonly sessionName?: string;
  readonly duration?: string;
  readonly cacheFile?: string;
  /** False: the address is only printed. */
  readonly browser: boolean;
}

interface Login {
  readonly issuer: URL;
  readonly clientId: string;
  readonly session: SessionRequest;
  readonly cacheFile: string;
  /** Says in the cache which sign-in its keys come from. */
  readonly id: string;
  readonly opensBrowser: boolean;
}

/** How long a person may take in the browser. */
const signInMs = 5 * 60_000;

/** Prints the keys as JSON: those kept from before, or new ones after a sign-in. Throws {@link UsageError}, and other errors in words. */
export async function login(flags: LoginFlags): Promise<void> {
  const asked = readFlags(flags);
  const kept = await readKeptKeys(asked.cacheFile, asked.id, systemClock.now());
  process.stdout.write(`${JSON.stringify(kept ?? (await obtainKeys(asked)))}\n`);
}

async function obtainKeys(asked: Login): Promise<ProcessCredentials> {
  const turn = await waitForTurn(asked.cacheFile, signInMs, () => tell("another command is signing in already; waiting for it"));
  try {
    return (await readKeptKeys(asked.cacheFile, asked.id, systemClock.now())) ?? (await signInForKeys(asked));
  } finally {
    turn?.release();
  }
}

async function signInForKeys(asked: Login): Promise<ProcessCredentials> {
  const token = await signIn({
    issuer: asked.issuer,
    clientId: asked.clientId,
    timeoutMs: signInMs,
    random: systemRandom,
    warn: tell,
    show(url) {
      tell(`to sign in, open this address in a browser on this machine:\n${url}`);
      if (asked.opensBrowser) openBrowser(url);
    },
  });
  const keys = await assumeRoleWithToken(asked.session, token);
  try {
    await keepKeys(asked.cacheFile, asked.id, keys);
  } catch (error) {
    tell(`the keys cannot be kept for the next command: ${error instanceof Error ? error.message : String(error)}`);
  }
  return keys;
}

function tell(text: string): void {
  process.stderr.write(`supercargo: ${text}\n`);
}

function readFlags(flags: LoginFlags): Login {
  const { clientId, roleArn, sessionName = defaultSessionName(), duration, cacheFile } = flags;
  const server = addressOf("--server", flags.server);
  if (server.pathname !== "/") throw new UsageError("--server takes https://host[:port], without a path");
  const issuer = addressOf("--issuer", flags.issuer);
  if (!/^[!-~]{1,255}$/.test(clientId)) throw new UsageError("--client-id takes the client's id at the issuer, up to 255 characters");
  if (parseIdentityArn(roleArn)?.kind !== "role")
    throw new UsageError("--role-arn takes the ARN of a role: arn:aws:iam::ACCOUNT:role/NAME");
  if (!/^[\w+=,.@-]{2,64}$/.test(sessionName))
    throw new UsageError("--session-name takes 2 to 64 letters, digits and characters of _+=,.@-");
  if (duration !== undefined && !(/^\d{3,5}$/.test(duration) && Number(duration) >= 900 && Number(duration) <= 43_200))
    throw new UsageError("--duration takes a whole number of seconds, 900 to 43200");
  if (cacheFile === "") throw new UsageError("--cache-file takes the name of a file");
  const id = createHash("sha256")
    .update(JSON.stringify([server.origin, issuer.href, clientId, roleArn, sessionName]))
    .digest("hex");
  return {
    issuer,
    clientId,
    session: { server, roleArn, sessionName, durationSeconds: duration === undefined ? undefined : Number(duration) },
    cacheFile: resolve(cacheFile ?? join(userCacheFolder(process.env, process.platform), "supercargo", `login-${id.slice(0, 32)}.json`)),
    id,
    opensBrowser: flags.browser,
  };
}

/** An address to which tokens may be sent. */
function addressOf(option: string, text: string): URL {
  const url = URL.parse(text);
  if (url === null || !isConfidential(url)) throw new UsageError(`${option} takes https://host[:port]; http only for this machine itself`);
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    throw new UsageError(`${option} takes an address without user, query and fragment`);
  return url;
}

/** Who is logged in here, as far as a session name can say it. */
function defaultSessionName(): string {
  const name = userName()
    .replaceAll(/[^\w+=,.@-]/g, "-")
    .slice(0, 64);
  return name.length < 2 ? "supercargo-login" : name;
}

/** In containers a user may have a number and no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return "";
  }
}
