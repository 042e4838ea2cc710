/** AssumeRoleWithWebIdentity as a client, and the few fields of its answer (AWS STS API Reference, AssumeRoleWithWebIdentity). */
import { ask, onOneLine } from "./ask.ts";

/** Which session is asked for. */
export interface SessionRequest {
  readonly server: URL;
  readonly roleArn: string;
  readonly sessionName: string;
  /** The role's own default when left out. */
  readonly durationSeconds: number | undefined;
}

/** Temporary keys in the form that `credential_process` answers in (AWS SDKs and Tools Reference Guide, "Process credential provider"). */
export interface ProcessCredentials {
  readonly Version: 1;
  readonly AccessKeyId: string;
  readonly SecretAccessKey: string;
  readonly SessionToken: string;
  /** ISO 8601. */
  readonly Expiration: string;
}

/** Gets keys for an ID token. The request is not signed: the token proves who asks. Rejects with words for a person. */
export async function assumeRoleWithToken(asked: SessionRequest, token: string): Promise<ProcessCredentials> {
  const form = new URLSearchParams({
    Action: "AssumeRoleWithWebIdentity",
    Version: "2011-06-15",
    RoleArn: asked.roleArn,
    RoleSessionName: asked.sessionName,
    WebIdentityToken: token,
    ...(asked.durationSeconds !== undefined && { DurationSeconds: String(asked.durationSeconds) }),
  });
  const { status, text } = await ask(`the server ${asked.server.origin}`, asked.server, form);
  if (status !== 200) {
    const code = elementText(text, "Code");
    if (code === undefined) throw new Error(`${asked.server.origin} answers ${status}, and not as a registry does`);
    throw new Error(`the server gives no keys for ${asked.roleArn}: ${onOneLine(`${code}: ${elementText(text, "Message") ?? ""}`)}`);
  }
  const credentials = readCredentials(text);
  if (credentials === undefined) throw new Error(`${asked.server.origin} does not answer as a registry does`);
  return credentials;
}

/** The credentials in the XML of an answer; undefined when one is missing, there twice, or cannot be meant so. */
export function readCredentials(xml: string): ProcessCredentials | undefined {
  const [, block, ...more] = xml.split("<Credentials>");
  const end = block?.indexOf("</Credentials>") ?? -1;
  if (block === undefined || end < 0 || more.length > 0) return undefined;
  const [id, secret, token, expiration] = ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"].map((name) =>
    elementText(block.slice(0, end), name),
  );
  if (!isKeyText(id) || !isKeyText(secret) || !isKeyText(token) || !isKeyText(expiration)) return undefined;
  if (Number.isNaN(Date.parse(expiration))) return undefined;
  return { Version: 1, AccessKeyId: id, SecretAccessKey: secret, SessionToken: token, Expiration: expiration };
}

/** Visible ASCII, which is all that keys are made of. */
function isKeyText(text: string | undefined): text is string {
  return text !== undefined && /^[!-~]+$/.test(text);
}

/** The text of the one element of that name that holds nothing but text. */
function elementText(xml: string, name: string): string | undefined {
  const [found, ...more] = xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, "g"));
  return found === undefined || more.length > 0 ? undefined : unescapeXml(found[1] ?? "");
}

const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function unescapeXml(text: string): string {
  return text.replaceAll(
    /&(?:(lt|gt|amp|quot|apos)|#(\d{1,7})|#x([\da-fA-F]{1,6}));/g,
    (whole, name?: string, decimal?: string, hex?: string) => {
      if (name !== undefined) return entities[name] ?? whole;
      const point = decimal === undefined ? Number.parseInt(hex ?? "", 16) : Number(decimal);
      return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
    },
  );
}
