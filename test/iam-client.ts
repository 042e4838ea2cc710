/** Calls of IAM made by hand, and what is in their answers: the AWS SDK for IAM is not among our dependencies. */
import assert from "node:assert/strict";
import type { RegistryServer } from "./registry-server.ts";
import { callQuery } from "./signed-call.ts";

/** An answer of IAM. */
export interface IamAnswer {
  readonly status: number;
  /** The code of an error. */
  readonly code: string | undefined;
  readonly message: string;
  /** The text of the first element of that name, or undefined. */
  readonly first: (element: string) => string | undefined;
  /** The texts of all elements of that name. */
  readonly all: (element: string) => readonly string[];
  readonly xml: string;
}

/** Parameters as forms have them: `Tags.member.1.Key`. */
export type IamParameters = Readonly<Record<string, string>>;

/** A key to sign with. */
export interface IamCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Calls an operation as the root of the default account, or with another key. */
export async function callIam(
  server: RegistryServer,
  operation: string,
  parameters: IamParameters = {},
  credentials: IamCredentials = server.credentials,
): Promise<IamAnswer> {
  const form = new URLSearchParams({ Action: operation, Version: "2010-05-08", ...parameters });
  const { status, body } = await callQuery(server, form.toString(), { service: "iam", credentials });
  const xml = body.toString("utf8");
  const all = (element: string): readonly string[] =>
    [...xml.matchAll(new RegExp(`<${element}(?:/>|>(.*?)</${element}>)`, "gs"))].map((match) => plain(match[1] ?? ""));
  return { status, code: all("Code")[0], message: all("Message")[0] ?? "", first: (element) => all(element)[0], all, xml };
}

/** Calls an operation that must succeed. */
export async function iam(
  server: RegistryServer,
  operation: string,
  parameters: IamParameters = {},
  credentials: IamCredentials = server.credentials,
): Promise<IamAnswer> {
  const answer = await callIam(server, operation, parameters, credentials);
  assert.equal(answer.status, 200, `${operation}: ${answer.code} ${answer.message}`);
  return answer;
}

/** Makes a user who may do what the statements say, and answers a key of it. */
export async function makeIamUser(server: RegistryServer, name: string, statements: readonly object[]): Promise<IamCredentials> {
  await iam(server, "CreateUser", { UserName: name });
  await iam(server, "PutUserPolicy", { UserName: name, PolicyName: "own", PolicyDocument: iamDocument(...statements) });
  const key = await iam(server, "CreateAccessKey", { UserName: name });
  return { accessKeyId: key.first("AccessKeyId") ?? "", secretAccessKey: key.first("SecretAccessKey") ?? "" };
}

/** A policy document of these statements. */
export function iamDocument(...statements: readonly object[]): string {
  return JSON.stringify({ Version: "2012-10-17", Statement: statements });
}

/** A trust policy that lets one principal in. */
export function trustIn(principal: object | string, action = "sts:AssumeRole", condition?: object): string {
  return iamDocument({ Effect: "Allow", Principal: principal, Action: action, ...(condition !== undefined && { Condition: condition }) });
}

function plain(text: string): string {
  const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };
  return text.replaceAll(/&(lt|gt|amp|quot|apos);/g, (_, name: string) => entities[name] ?? "");
}
