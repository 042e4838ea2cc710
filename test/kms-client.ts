/** Calls of the KMS API made by hand. */
import { resetRootKey } from "#access/root-key.ts";
import type { KmsOperations } from "#api/kms/model/shapes.ts";
import { iam, iamDocument } from "./iam-client.ts";
import type { RegistryServer } from "./registry-server.ts";
import { callJson } from "./signed-call.ts";

/** What signs a call. */
export interface CallerKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

type Name = keyof KmsOperations;

/** A member as JSON has it: bytes are base64. */
type Wire<Value> = Value extends Uint8Array
  ? string
  : Value extends readonly (infer Item)[]
    ? readonly Wire<Item>[]
    : Value extends object
      ? { readonly [Member in keyof Value]: Wire<Value[Member]> }
      : Value;

/** An answer: the operation's output, or the exception as `Name: message`. */
export type KmsAnswer<Operation extends Name> = Wire<KmsOperations[Operation]["output"]> & { readonly refusal?: string };

/** Calls an operation, as root unless told otherwise. Throws for a status that does not fit the answer. */
export async function callKms<Operation extends Name>(
  server: RegistryServer,
  operation: Operation,
  input: Wire<KmsOperations[Operation]["input"]>,
  options: { readonly credentials?: CallerKey; readonly region?: string } = {},
): Promise<KmsAnswer<Operation>> {
  const answer = await callJson(server, `TrentService.${operation}`, input, { service: "kms", ...options });
  const content = answer.body.length === 0 ? {} : answer.json<{ readonly __type?: string; readonly message?: string }>();
  if ("__type" in content) {
    if (answer.status !== 400) throw new Error(`${operation}: ${answer.status} ${content.__type}`);
    return { refusal: `${content.__type}: ${content.message}` } as KmsAnswer<Operation>;
  }
  if (answer.status !== 200) throw new Error(`${operation}: ${answer.status}`);
  return content as KmsAnswer<Operation>;
}

/** Makes a key and answers its id and ARN. */
export async function makeKey(
  server: RegistryServer,
  input: Wire<KmsOperations["CreateKey"]["input"]> = {},
  options: { readonly credentials?: CallerKey; readonly region?: string } = {},
): Promise<{ readonly id: string; readonly arn: string }> {
  const { KeyMetadata: made, refusal } = await callKms(server, "CreateKey", input, options);
  if (made?.Arn === undefined) throw new Error(refusal);
  return { id: made.KeyId, arn: made.Arn };
}

/** A key policy of these statements. */
export function policyOf(...statements: readonly object[]): string {
  return JSON.stringify({ Version: "2012-10-17", Statement: statements });
}

/** A statement that lets a principal do things with the key. */
export function allow(principal: string, actions: string | readonly string[], more: object = {}): object {
  return { Effect: "Allow", Principal: { AWS: principal }, Action: actions, Resource: "*", ...more };
}

/** Text as the API takes bytes. */
export function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** Makes another account and answers a key of its root. */
export async function addRoot(server: RegistryServer, accountId: string): Promise<CallerKey> {
  await server.addAccount(accountId);
  const { metadata, sealer, clock, random } = server.core;
  return resetRootKey({ metadata, sealer, clock, random, accountId });
}

/** Makes a user who may do these things by its own policy, and answers a key of it; root of the default account does it unless told otherwise. */
export async function addUser(
  server: RegistryServer,
  name: string,
  actions: readonly string[] = [],
  by: CallerKey = server.credentials,
): Promise<CallerKey> {
  await iam(server, "CreateUser", { UserName: name }, by);
  if (actions.length > 0) await setOwnPolicy(server, name, { Effect: "Allow", Action: actions, Resource: "*" }, by);
  const made = await iam(server, "CreateAccessKey", { UserName: name }, by);
  return { accessKeyId: made.first("AccessKeyId") ?? "", secretAccessKey: made.first("SecretAccessKey") ?? "" };
}

/** Gives a user one statement as its own policy. */
export async function setOwnPolicy(
  server: RegistryServer,
  name: string,
  statement: object,
  by: CallerKey = server.credentials,
): Promise<void> {
  await iam(server, "PutUserPolicy", { UserName: name, PolicyName: "own", PolicyDocument: iamDocument(statement) }, by);
}
