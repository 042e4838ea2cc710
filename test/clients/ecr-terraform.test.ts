/**
 * Everything that terraform's aws provider knows of ECR: applied, planned again, changed in place, planned again, destroyed. The server is a
 * process with strict authentication. Terraform reads back what it wrote, so an empty plan says that each setting was kept as it was given.
 */
import assert from "node:assert/strict";
import { cpSync, globSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import {
  DescribePullThroughCacheRulesCommand,
  DescribeRegistryCommand,
  DescribeRepositoriesCommand,
  DescribeRepositoryCreationTemplatesCommand,
  GetRegistryPolicyCommand,
  GetRegistryScanningConfigurationCommand,
  RegistryPolicyNotFoundException,
} from "@aws-sdk/client-ecr";
import { createEcrClient } from "../aws-client.ts";
import { createOciClient } from "../oci-client.ts";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { json, mustRun, needs, runTool } from "./tool.ts";

const account = "000000000000";
/** Where the provider was put beforehand, for machines that do not reach its registry. */
const [mirror] = [
  ...globSync("/{opt,usr/share,usr/local/share}/*/registry.terraform.io/hashicorp/aws/5.100.*"),
  ...globSync("/{usr/share,usr/local/share}/terraform/{plugins,providers}/registry.terraform.io/hashicorp/aws/5.100.*"),
];
const pluginFolder = mirror?.slice(0, mirror.indexOf("/registry.terraform.io"));
/** Of the provider's own making: it tells them from the others, or offers them for every type alike. */
const notArguments = ["id", "tags_all"];
let server: ServerProcess;
let folder: string;
before(async () => {
  server = await startServerProcess({ environment: { SUPERCARGO_REGIONS: "us-east-1,us-west-2,eu-west-1" } });
  folder = mkdtempSync(join(tmpdir(), "supercargo-ecr-terraform-"));
  cpSync(new URL("ecr-terraform", import.meta.url).pathname, folder, { recursive: true });
});
after(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

type Mode = "managed" | "data";

/** A block in the provider's schema. */
interface Block {
  readonly attributes?: Readonly<Record<string, { readonly required?: boolean; readonly optional?: boolean }>>;
  readonly block_types?: Readonly<Record<string, { readonly nesting_mode: string; readonly block: Block }>>;
}

/** What a block of the configuration says: a list for each kind of block in it, and something for each argument. */
type Expressions = Readonly<Record<string, unknown>>;

interface ProviderSchema {
  readonly resource_schemas: Readonly<Record<string, { readonly block: Block }>>;
  readonly data_source_schemas: Readonly<Record<string, { readonly block: Block }>>;
}

interface Resource {
  readonly address: string;
  readonly mode: Mode;
  readonly type: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/** A saved plan: what was there when it was made, read a moment ago, and the configuration. */
interface Plan {
  readonly prior_state: { readonly values: { readonly root_module: { readonly resources: readonly Resource[] } } };
  readonly configuration: {
    readonly root_module: {
      readonly resources: readonly { readonly mode: Mode; readonly type: string; readonly expressions: Expressions }[];
    };
  };
}

function terraform(...words: string[]): ReturnType<typeof runTool> {
  return runTool(["terraform", ...words], { cwd: folder, timeoutMs: 300_000, environment: environment() });
}

function environment(): Readonly<Record<string, string>> {
  return { ...server.awsEnvironment, AWS_EC2_METADATA_DISABLED: "true", TF_IN_AUTOMATION: "1", CHECKPOINT_DISABLE: "1" };
}

/** The variables of the configuration. */
interface Variables {
  readonly team: string;
  readonly pushed?: boolean;
  readonly reversed?: boolean;
  readonly bare?: boolean;
}

function given({ team, pushed = false, reversed = false, bare = false }: Variables): string[] {
  const other = `${account}.dkr.ecr.us-west-2.localhost:${server.port}`;
  const values = [`team=${team}`, `pushed=${pushed}`, `reversed=${reversed}`, `bare=${bare}`, `other_registry=${other}`];
  return ["-no-color", "-input=false", ...values.map((value) => `-var=${value}`)];
}

/** Applies, and answers what terraform printed. */
async function apply(variables: Variables): Promise<string> {
  const applied = await terraform("apply", "-auto-approve", ...given(variables));
  assert.equal(applied.status, 0, applied.stdout + applied.stderr);
  return applied.stdout;
}

/** Plans, with nothing left to change. */
async function planNothing(variables: Variables): Promise<Plan> {
  // 0: nothing to change, 1: an error, 2: there is something to change.
  const planned = await terraform("plan", "-detailed-exitcode", "-out=saved", ...given(variables));
  assert.equal(planned.status, 0, planned.stdout + planned.stderr);
  return json<Plan>(await mustRun(["terraform", "show", "-json", "saved"], { cwd: folder, environment: environment() }));
}

function resourcesOf(plan: Plan): readonly Resource[] {
  return plan.prior_state.values.root_module.resources;
}

/** The values of one resource. */
function valuesOf(plan: Plan, address: string): Resource["values"] {
  const found = resourcesOf(plan).find((resource) => resource.address === address);
  assert.ok(found, `there is no ${address}`);
  return found.values;
}

const isEcr = (type: string): boolean => type.startsWith("aws_ecr_");

/** The arguments in a block's schema that no block of that kind has, with the path to them. */
function unused(schema: Block, blocks: readonly Expressions[], path: string): string[] {
  const missing = Object.entries(schema.attributes ?? {})
    .filter(([name, { required = false, optional = false }]) => (required || optional) && !notArguments.includes(name))
    .filter(([name]) => !blocks.some((block) => name in block))
    .map(([name]) => `${path}.${name}`);
  const within = Object.entries(schema.block_types ?? {}).flatMap(([name, { block }]) => {
    const inner = blocks.flatMap((outer) => (outer[name] === undefined ? [] : ([outer[name]].flat() as Expressions[])));
    return inner.length === 0 ? [`${path}.${name}`] : unused(block, inner, `${path}.${name}`);
  });
  return [...missing, ...within];
}

/** The configuration uses every type that the provider has for ECR, and every argument of each. */
async function checkComplete(plan: Plan): Promise<void> {
  const printed = await mustRun(["terraform", "providers", "schema", "-json"], { cwd: folder, environment: environment() });
  const { provider_schemas: providers } = json<{ provider_schemas: Record<string, ProviderSchema> }>(printed);
  const schema = providers["registry.terraform.io/hashicorp/aws"];
  assert.ok(schema);
  const configured = plan.configuration.root_module.resources;
  const missing = (mode: Mode, schemas: ProviderSchema["resource_schemas"]): string[] =>
    Object.entries(schemas)
      .filter(([type]) => isEcr(type))
      .flatMap(([type, { block }]) => {
        const blocks = configured.filter((resource) => resource.mode === mode && resource.type === type);
        if (blocks.length === 0) return [`${mode} ${type}`];
        return unused(
          block,
          blocks.map(({ expressions }) => expressions),
          `${mode} ${type}`,
        );
      });
  assert.deepEqual([...missing("managed", schema.resource_schemas), ...missing("data", schema.data_source_schemas)], []);
}

/** Every type of resource has one whose settings are others now. */
function checkChanged(earlier: Plan, now: Plan): void {
  const resources = resourcesOf(now).filter(({ mode, type }) => mode === "managed" && isEcr(type));
  const changed = resources.filter(({ address, values }) => !isDeepStrictEqual(values, valuesOf(earlier, address)));
  const typesOf = (some: readonly Resource[]): string[] => [...new Set(some.map(({ type }) => type))].toSorted();
  assert.deepEqual(typesOf(changed), typesOf(resources));
}

test(
  "everything of ECR: apply, plan nothing, change in place, plan nothing, destroy",
  { timeout: 600_000, ...needs("terraform") },
  async (context) => {
    const source = pluginFolder === undefined ? [] : [`-plugin-dir=${pluginFolder}`];
    const initialised = await terraform("init", "-no-color", "-input=false", ...source);
    if (initialised.status !== 0 && pluginFolder === undefined) return context.skip("not reachable: terraform's aws provider");
    assert.equal(initialised.status, 0, initialised.stdout + initialised.stderr);

    assert.match(await apply({ team: "sea" }), /Apply complete! Resources: \d+ added, 0 changed, 0 destroyed\./);
    const first = await planNothing({ team: "sea" });
    await checkComplete(first);
    const digest = await push(String(valuesOf(first, "data.aws_ecr_authorization_token.push")["password"]));

    const changed = { team: "shore", pushed: true };
    const printed = await apply(changed);
    // The provider has no other way to change a lifecycle policy.
    const replaced = [...printed.matchAll(/# (\S+) must be replaced/g)].map(([, address = ""]) => address);
    assert.deepEqual(replaced.toSorted(), ["aws_ecr_lifecycle_policy.plain", "aws_ecr_lifecycle_policy.shop"]);
    assert.match(printed, /Apply complete! Resources: 2 added, \d+ changed, 2 destroyed\./);
    const second = await planNothing(changed);
    checkChanged(first, second);
    checkData(second, digest);
    await planNothing({ ...changed, reversed: true });

    const bare = { ...changed, bare: true };
    assert.match(await apply(bare), /Apply complete! Resources: 0 added, 2 changed, 0 destroyed\./);
    checkBare(await planNothing(bare));

    const destroyed = await terraform("destroy", "-auto-approve", ...given(bare));
    assert.equal(destroyed.status, 0, destroyed.stdout + destroyed.stderr);
    await checkGone();
  },
);

/** Pushes an image as whom terraform was handed a password for; answers its digest. */
async function push(password: string): Promise<string> {
  const { digest } = await createOciClient(server.url, password).pushImage("team/shop", "v1", [Buffer.from("a layer")]);
  return digest;
}

/** What the data sources answer is what the resources say. */
function checkData(plan: Plan, digest: string): void {
  const shop = valuesOf(plan, "aws_ecr_repository.shop");
  const data = valuesOf(plan, "data.aws_ecr_repository.shop");
  for (const name of ["arn", "repository_url", "encryption_configuration", "image_scanning_configuration", "image_tag_mutability", "tags"])
    assert.deepEqual(data[name], shop[name], name);
  assert.deepEqual(data["most_recent_image_tags"], ["v1"]);
  assert.deepEqual(valuesOf(plan, "data.aws_ecr_repositories.all")["names"], ["team/managed", "team/plain", "team/shop", "team/twice"]);
  for (const address of ["by_tag[0]", "by_digest[0]", "latest[0]"]) {
    const image = valuesOf(plan, `data.aws_ecr_image.${address}`);
    assert.equal(image["image_digest"], digest, address);
    assert.deepEqual(image["image_tags"], ["v1"], address);
    assert.equal(image["image_uri"], `${String(shop["repository_url"])}@${digest}`, address);
  }
  const token = valuesOf(plan, "data.aws_ecr_authorization_token.push");
  assert.equal(token["user_name"], "AWS");
  assert.equal(token["proxy_endpoint"], server.awsEnvironment["AWS_ENDPOINT_URL"]);
  for (const address of [
    "aws_ecr_pull_through_cache_rule.hub",
    "aws_ecr_pull_through_cache_rule.other_region",
    "aws_ecr_repository_creation_template.hub",
  ])
    assert.deepEqual(comparable(valuesOf(plan, `data.${address}`)), comparable(valuesOf(plan, address)), address);
}

/** What was taken away is gone, as the data sources see it. */
function checkBare(plan: Plan): void {
  const shop = valuesOf(plan, "data.aws_ecr_repository.shop");
  assert.deepEqual([shop["image_tag_mutability"], shop["tags"]], ["MUTABLE", {}]);
  const { description, custom_role_arn, resource_tags, repository_policy, lifecycle_policy, image_tag_mutability } = valuesOf(
    plan,
    "data.aws_ecr_repository_creation_template.hub",
  );
  assert.deepEqual([description, custom_role_arn, resource_tags, repository_policy, lifecycle_policy], ["", "", {}, "", ""]);
  assert.equal(image_tag_mutability, "MUTABLE");
}

/** Policies as what they say: terraform keeps a text of its own beside the registry's. */
function comparable(values: Resource["values"]): Resource["values"] {
  const isPolicy = (name: string): boolean => name.endsWith("_policy");
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, isPolicy(name) ? json<unknown>(String(value)) : value]));
}

/** Everything is as in a registry where nobody ever set anything. */
async function checkGone(): Promise<void> {
  const client = createEcrClient(server.url);
  assert.deepEqual((await client.send(new DescribeRepositoriesCommand({}))).repositories, []);
  assert.deepEqual((await client.send(new DescribeRegistryCommand({}))).replicationConfiguration, { rules: [] });
  assert.deepEqual((await client.send(new DescribePullThroughCacheRulesCommand({}))).pullThroughCacheRules, []);
  assert.deepEqual((await client.send(new DescribeRepositoryCreationTemplatesCommand({}))).repositoryCreationTemplates, []);
  const { scanningConfiguration } = await client.send(new GetRegistryScanningConfigurationCommand({}));
  assert.deepEqual(scanningConfiguration, { scanType: "BASIC", rules: [] });
  await assert.rejects(client.send(new GetRegistryPolicyCommand({})), RegistryPolicyNotFoundException);
}
