/** boto3 (botocore) calls every operation of IAM, STS, KMS and Secrets Manager that is offered, and pages through every listing that it can. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { iamOperations } from "#api/iam/table.ts";
import { kmsOperations } from "#api/kms/table.ts";
import { secretsOperations } from "#api/secretsmanager/table.ts";
import { stsOperations } from "#api/sts/table.ts";
import { startFakeIssuer } from "../fake-issuer.ts";
import type { FakeIssuer } from "../fake-issuer.ts";
import { awsAttribute, encoded, makeSamlIssuer } from "../saml-issuer.ts";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { json, mustRun } from "./tool.ts";

const installed = spawnSync("python3", ["-c", "import boto3"]).status === 0 ? {} : { skip: "not installed: python3's boto3" };

/** What a program printed at its end, each as `<service>:<operation>`. */
interface Journey {
  /** Called and answered with success. */
  readonly answered: readonly string[];
  /** Paged through, each item seen once. */
  readonly paginated: readonly string[];
  /** What botocore has a paginator for. */
  readonly paginators: readonly string[];
}

const tables = { iam: iamOperations, sts: stsOperations, kms: kmsOperations, secretsmanager: secretsOperations };
const offered = Object.entries(tables).flatMap(([service, table]) =>
  Object.entries(table).flatMap(([operation, row]) => ("refused" in row ? [] : [`${service}:${operation}`])),
);
const journeys: Journey[] = [];
const samlIssuer = makeSamlIssuer();
const samlAttributes = {
  [`${awsAttribute}Role`]: ["arn:aws:iam::000000000000:role/Crew,arn:aws:iam::000000000000:saml-provider/Idp"],
  [`${awsAttribute}RoleSessionName`]: ["alice"],
};
let issuer: FakeIssuer;
let server: ServerProcess;
let other: Readonly<Record<string, string>>;
before(async () => {
  issuer = await startFakeIssuer();
  server = await startServerProcess({ environment: { SUPERCARGO_TRUSTED_HOSTS: issuer.host } });
  other = await makeAccount("111122223333");
});
after(async () => {
  await server.close();
  await issuer.close();
});

/** Makes another account; where its root key is found. */
async function makeAccount(accountId: string): Promise<Readonly<Record<string, string>>> {
  const words = [process.execPath, new URL("../../src/cli/main.ts", import.meta.url).pathname, "account", "create", "--id", accountId];
  const text = await mustRun(words, { environment: { SUPERCARGO_DATA: server.folder } });
  const keys = readFileSync(/written to (.+)/.exec(text)?.[1] ?? "", "utf8");
  return {
    JOURNEY_OTHER_ACCOUNT: accountId,
    JOURNEY_OTHER_KEY_ID: /ACCESS_KEY_ID='(.+)'/.exec(keys)?.[1] ?? "",
    JOURNEY_OTHER_SECRET: /SECRET_ACCESS_KEY='(.+)'/.exec(keys)?.[1] ?? "",
  };
}

for (const program of ["iam_users", "iam_policies", "iam_roles", "sts", "saml", "kms", "secretsmanager", "cross_account"]) {
  test(`boto3: ${program}`, installed, async () => {
    const claims = { aud: "sts.amazonaws.com", sub: "repo:org/app" };
    const environment = {
      ...server.awsEnvironment,
      ...other,
      PYTHONDONTWRITEBYTECODE: "1",
      JOURNEY_ISSUER: issuer.host,
      JOURNEY_TOKEN: await issuer.sign(claims, Math.floor(Date.now() / 1000)),
      JOURNEY_SAML_METADATA: samlIssuer.metadata,
      JOURNEY_SAML_RESPONSE: encoded(samlIssuer.sign(samlIssuer.message({ issuedAt: Date.now(), attributes: samlAttributes }))),
    };
    const file = new URL(`boto3/${program}.py`, import.meta.url).pathname;
    journeys.push(json<Journey>(await mustRun(["python3", file], { environment })));
  });
}

test("boto3: every operation that is offered was called", installed, () => {
  const answered = new Set(journeys.flatMap((journey) => journey.answered));
  assert.ok(offered.length > 150, `${offered.length} operations`);
  assert.deepEqual(
    offered.filter((operation) => !answered.has(operation)),
    [],
  );
});

test("boto3: every paginator of what is offered visited each item once", installed, () => {
  const paginated = new Set(journeys.flatMap((journey) => journey.paginated));
  const paginators = new Set(journeys.flatMap((journey) => journey.paginators));
  const asked = offered.filter((operation) => paginators.has(operation));
  assert.ok(asked.length > 30, `${asked.length} paginators`);
  assert.deepEqual(
    asked.filter((operation) => !paginated.has(operation)),
    [],
  );
});
