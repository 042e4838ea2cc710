/** AWS SDK clients against a server under test. */
import { ECRClient, GetAuthorizationTokenCommand } from "@aws-sdk/client-ecr";
import { rootKey } from "./server-process.ts";

/** A client that does not retry, so that a test sees each answer. */
export function createEcrClient(url: string, region = "us-east-1", credentials = rootKey): ECRClient {
  return new ECRClient({ endpoint: url, region, credentials, maxAttempts: 1 });
}

/** The password for docker, as every client gets it: decode, split at the colon. */
export async function registryPassword(client: ECRClient): Promise<string> {
  const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({}));
  const [user, password, ...rest] = Buffer.from(authorizationData?.[0]?.authorizationToken ?? "", "base64")
    .toString()
    .split(":");
  if (user !== "AWS" || password === undefined || rest.length > 0)
    throw new Error("the token does not split into exactly AWS and a password");
  return password;
}
