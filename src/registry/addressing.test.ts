import assert from "node:assert/strict";
import { test } from "node:test";
import type { RepositoryName } from "#oci/repository-name.ts";
import type { AddressingSettings } from "./addressing.ts";
import { createAddressing } from "./addressing.ts";

const home = { accountId: "111111111111", region: "eu-central-1" };
const other = { accountId: "222222222222", region: "us-east-1" };
const china = { accountId: "111111111111", region: "cn-north-1" };
const government = { accountId: "111111111111", region: "us-gov-west-1" };
const name = "team/app" as RepositoryName;

function addressing(settings: Partial<AddressingSettings> = {}) {
  return createAddressing({
    defaultRegistry: home,
    regions: ["eu-central-1", "us-east-1", "cn-north-1", "us-gov-west-1"],
    port: 4600,
    scheme: "http",
    ...settings,
  });
}

const aws = { domain: "amazonaws.com" };
const own = { domain: "Registry.example" };

const hosts: readonly [Partial<AddressingSettings>, string | undefined, typeof home | undefined][] = [
  [{}, undefined, home],
  [{}, "localhost:4600", home],
  [{}, "registry.example", home],
  [{}, "[::1]:4600", home],
  [{}, "222222222222.dkr.ecr.us-east-1.localhost:4600", other],
  [{}, "222222222222.DKR.ECR.us-east-1.LOCALHOST.", other],
  [{}, "222222222222.dkr.ecr.eu-north-1.localhost", undefined],
  [{}, "222222222222.dkr.ecr.us-east-1.amazonaws.com", undefined],
  [{}, "222222222222.dkr-ecr.us-east-1.localhost", undefined],
  [{}, "22222222222.dkr.ecr.us-east-1.localhost", home],
  [own, "222222222222.dkr.ecr.us-east-1.registry.example", other],
  [own, "222222222222.dkr.ecr.us-east-1.localhost:4600", other],
  [own, "222222222222.dkr.ecr.us-east-1.other.example", undefined],
  [own, "222222222222.dkr.ecr.us-east-1.evil.registry.example", undefined],
  [own, "222222222222.dkr.ecr-fips.us-east-1.registry.example", undefined],
  [own, "anything.registry.example", home],
  [aws, "222222222222.dkr.ecr.us-east-1.amazonaws.com", other],
  [aws, "222222222222.dkr.ecr-fips.us-east-1.amazonaws.com:443", other],
  [aws, "222222222222.dkr-ecr.us-east-1.on.aws", other],
  [aws, "222222222222.dkr-ecr-fips.us-east-1.on.aws", other],
  [aws, "222222222222.dkr.ecr.us-east-1.on.aws", undefined],
  [aws, "111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn", china],
  [aws, "111111111111.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", china],
  [aws, "111111111111.dkr.ecr.cn-north-1.amazonaws.com", undefined],
];

test("a host names its registry, any other host the default one, and an unserved qualified host none", () => {
  for (const [settings, host, expected] of hosts) {
    assert.deepEqual(addressing(settings).registryOfHost(host), expected, `${JSON.stringify(settings)} ${host}`);
  }
});

const uris: readonly [string, Partial<AddressingSettings>, typeof home, string | undefined, "http" | "https", string][] = [
  ["the request's own host", {}, home, "registry.lan:5000", "http", "registry.lan:5000/team/app"],
  ["the scheme's own port is left out", {}, home, "registry.lan:443", "https", "registry.lan/team/app"],
  ["without a host, where we listen", {}, home, undefined, "http", "localhost:4600/team/app"],
  [
    "another registry is qualified under localhost",
    {},
    other,
    "registry.lan:5000",
    "http",
    "222222222222.dkr.ecr.us-east-1.localhost:4600/team/app",
  ],
  ["with the port that the client used", {}, other, "localhost:9000", "http", "222222222222.dkr.ecr.us-east-1.localhost:9000/team/app"],
  [
    "a qualified host stays",
    {},
    other,
    "222222222222.dkr.ecr.us-east-1.localhost:7",
    "http",
    "222222222222.dkr.ecr.us-east-1.localhost:7/team/app",
  ],
  [
    "the default registry asked through another's host",
    {},
    home,
    "222222222222.dkr.ecr.us-east-1.localhost:7",
    "http",
    "111111111111.dkr.ecr.eu-central-1.localhost:7/team/app",
  ],
  ["the public URL", { publicUrl: "https://cr.example:8443" }, home, "10.0.0.1:4600", "http", "cr.example:8443/team/app"],
  ["the domain", own, home, undefined, "http", "111111111111.dkr.ecr.eu-central-1.registry.example:4600/team/app"],
  [
    "the domain behind a proxy on 443",
    own,
    home,
    "api.ecr.us-east-1.registry.example",
    "https",
    "111111111111.dkr.ecr.eu-central-1.registry.example/team/app",
  ],
  [
    "the domain wins over the public URL, which knows the port",
    { ...own, publicUrl: "https://cr.example" },
    home,
    "10.0.0.1:4600",
    "http",
    "111111111111.dkr.ecr.eu-central-1.registry.example/team/app",
  ],
  [
    "ECR's own names",
    { ...aws, port: 443, scheme: "https" },
    other,
    undefined,
    "https",
    "222222222222.dkr.ecr.us-east-1.amazonaws.com/team/app",
  ],
  ["China", { ...aws, port: 443, scheme: "https" }, china, undefined, "https", "111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn/team/app"],
];

test("repositoryUri works when pasted, and names its registry when it comes back as a host", () => {
  for (const [what, settings, registry, host, scheme, expected] of uris) {
    const made = addressing(settings);
    const uri = made.repositoryUri(registry, name, { host, scheme });
    assert.equal(uri, expected, what);
    assert.deepEqual(made.registryOfHost(uri.slice(0, uri.indexOf("/"))), registry, what);
  }
});

test("an endpoint has the public URL's scheme where it has its host, else the request's", () => {
  const settings = { publicUrl: "https://cr.example" };
  assert.equal(addressing(settings).endpoint(home, { host: "10.0.0.1", scheme: "http" }), "https://cr.example");
  assert.equal(addressing().endpoint(home, { host: "localhost:4600", scheme: "http" }), "http://localhost:4600");
});

test("an ARN has the region's partition unless told otherwise", () => {
  const arns = [home, china, government].map((registry) => addressing().repositoryArn(registry, name));
  assert.deepEqual(arns, [
    "arn:aws:ecr:eu-central-1:111111111111:repository/team/app",
    "arn:aws-cn:ecr:cn-north-1:111111111111:repository/team/app",
    "arn:aws-us-gov:ecr:us-gov-west-1:111111111111:repository/team/app",
  ]);
  assert.match(addressing({ partition: "aws-iso" }).repositoryArn(home, name), /^arn:aws-iso:/);
});
