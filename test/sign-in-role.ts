/** A role at a running server for those who sign in at a provider. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { signRequest } from "#aws/sigv4-signer.ts";
import { iamDocument, trustIn } from "./iam-client.ts";
import { rootKey } from "./server-process.ts";
import type { ServerProcess } from "./server-process.ts";
import { signInClient } from "./sign-in-provider.ts";
import type { SignInProvider } from "./sign-in-provider.ts";

/** Makes the provider known, and the role `crew` that its `sailor-7` may have. Answers the role's ARN. The server must trust the issuer's host. */
export async function makeSignInRole(server: ServerProcess, provider: SignInProvider): Promise<string> {
  const { host, url } = provider.issuer;
  await iam(server, { Action: "CreateOpenIDConnectProvider", Url: url.replace("http:", "https:"), "ClientIDList.member.1": signInClient });
  const trust = trustIn({ Federated: `arn:aws:iam::000000000000:oidc-provider/${host}` }, "sts:AssumeRoleWithWebIdentity", {
    StringEquals: { [`${host}:aud`]: signInClient, [`${host}:sub`]: "sailor-7" },
  });
  await iam(server, { Action: "CreateRole", RoleName: "crew", AssumeRolePolicyDocument: trust });
  const policy = iamDocument({ Effect: "Allow", Action: "ecr:*", Resource: "*" });
  await iam(server, { Action: "PutRolePolicy", RoleName: "crew", PolicyName: "own", PolicyDocument: policy });
  return "arn:aws:iam::000000000000:role/crew";
}

async function iam(server: ServerProcess, parameters: Readonly<Record<string, string>>): Promise<void> {
  const body = new URLSearchParams({ Version: "2010-05-08", ...parameters }).toString();
  const own = ["Host", new URL(server.url).host, "Content-Type", "application/x-www-form-urlencoded"];
  const signed = signRequest(
    { method: "POST", target: "/", rawHeaders: own },
    {
      credentials: rootKey,
      region: "us-east-1",
      service: "iam",
      now: Date.now(),
      bodySha256: createHash("sha256").update(body).digest("hex"),
      declareBody: false,
    },
  );
  const headers = new Headers();
  for (let at = 0; at < signed.length; at += 2) if (signed[at] !== "Host") headers.set(signed[at] ?? "", signed[at + 1] ?? "");
  const answer = await fetch(server.url, { method: "POST", headers, body });
  assert.equal(answer.status, 200, await answer.text());
}
