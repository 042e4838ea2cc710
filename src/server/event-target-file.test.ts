import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { readEventTargets } from "./event-target-file.ts";
import { SettingsError } from "./settings.ts";

const folder = mkdtempSync(join(tmpdir(), "event-targets-"));
after(() => rmSync(folder, { recursive: true }));

function read(text: string, environment: Record<string, string> = {}, trustedHosts: readonly string[] = []) {
  const path = join(folder, "targets.yaml");
  writeFileSync(path, text, { mode: 0o600 });
  return readEventTargets(path, { environment, trustedHosts });
}

test("all kinds of targets, with their defaults", () => {
  const text = `
targets:
  - name: hook
    type: webhook
    url: https://hooks.example.com/ecr
    secret: { env: HOOK_SECRET }
    from: beginning
    filter:
      detailTypes: [ECR Image Action]
      repositories: ["shop/*"]
      accounts: [000000000000]
      regions: [eu-west-1]
  - { name: disk, type: file, path: /var/log/events.jsonl, keepDays: 30 }
  - { name: bus, type: eventbridge, bus: default, region: eu-west-1 }
  - { name: queue, type: sqs, queueUrl: "http://127.0.0.1:9324/000000000000/q", region: eu-west-1 }
`;
  assert.deepEqual(read(text, { HOOK_SECRET: "sixteen characters" }), [
    {
      name: "hook",
      type: "webhook",
      url: "https://hooks.example.com/ecr",
      secret: "sixteen characters",
      from: "beginning",
      filter: { detailTypes: ["ECR Image Action"], repositories: ["shop/*"], accounts: ["000000000000"], regions: ["eu-west-1"] },
    },
    { name: "disk", type: "file", path: "/var/log/events.jsonl", sync: "batch", keepDays: 30, from: "now" },
    { name: "bus", type: "eventbridge", bus: "default", region: "eu-west-1", source: "supercargo.ecr", from: "now" },
    { name: "queue", type: "sqs", queueUrl: "http://127.0.0.1:9324/000000000000/q", region: "eu-west-1", from: "now" },
  ]);
});

const hook = "name: hook, type: webhook, secret: sixteen-characters";
const refusals: readonly (readonly [what: string, text: string, words: RegExp])[] = [
  ["no YAML", "targets: [", /targets\.yaml: .+/],
  ["no YAML, with a secret in it", `targets: [{ ${hook}, url: 'x`, /targets\.yaml: .+/],
  ["no targets", "{}", /targets: /],
  ["a key that is none", "targets: [{ name: disk, type: file, path: /x, mode: fast }]", /targets\.0: .*mode/],
  ["a type that is none", "targets: [{ name: disk, type: kafka }]", /targets\.0\.type/],
  ["a name that is none", "targets: [{ name: Disk, type: file, path: /x }]", /targets\.0\.name: expected up to 63/],
  ["a name twice", "targets: [{ name: a, type: file, path: /x }, { name: a, type: file, path: /y }]", /the name a stands for two targets/],
  ["a type of event that is none", "targets: [{ name: a, type: file, path: /x, filter: { detailTypes: [Push] } }]", /detailTypes\.0/],
  ["an account that is none", "targets: [{ name: a, type: file, path: /x, filter: { accounts: [12] } }]", /expected 12 digits/],
  ["a short secret", "targets: [{ name: a, type: webhook, url: https://x.example, secret: short }]", /targets\.0\.secret/],
  [
    "a secret that is not in the environment",
    "targets: [{ name: a, type: webhook, url: https://x.example, secret: { env: NOT_SET } }]",
    /variable NOT_SET does not hold/,
  ],
  ["a URL with credentials", `targets: [{ ${hook}, url: "https://u:hidden@x.example" }]`, /without credentials/],
  ["plain http", `targets: [{ ${hook}, url: "http://x.example" }]`, /hook: x\.example is named without TLS/],
  [
    "a queue by plain http",
    "targets: [{ name: q, type: sqs, region: us-east-1, queueUrl: 'http://10.0.0.1/q' }]",
    /10\.0\.0\.1 is named without TLS/,
  ],
  [
    "too many targets",
    `targets:\n${Array.from({ length: 33 }, (_, n) => `  - { name: t${n}, type: file, path: /x }`).join("\n")}`,
    /targets: .*32/,
  ],
  ["aliases", "targets: [&a { name: a, type: file, path: /x }, *a]", /alias/i],
];
for (const [what, text, words] of refusals) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => read(text),
      (error) => {
        assert.ok(error instanceof SettingsError, String(error));
        assert.match(error.message, words);
        assert.ok(!error.message.includes("hidden") && !error.message.includes("sixteen-characters"));
        return true;
      },
    );
  });
}

test("plain http to a host that is trusted", () => {
  assert.equal(read(`targets: [{ ${hook}, url: "http://x.example:81/a" }]`, {}, ["x.example:81"]).length, 1);
});

test("a file that is not there is told", () => {
  assert.throws(() => readEventTargets(join(folder, "nowhere"), { environment: {}, trustedHosts: [] }), /nowhere: .*ENOENT/);
});

test("a secret in the file is one only where nobody else can read the file", () => {
  const hook = (secret: string): string => `targets: [{ name: hook, type: webhook, url: "https://a.example", secret: ${secret} }]`;
  read(hook("0123456789abcdef"));
  for (const mode of [0o640, 0o604, 0o622]) {
    chmodSync(join(folder, "targets.yaml"), mode);
    assert.throws(
      () => read(hook("0123456789abcdef")),
      /targets\.yaml: it holds a secret and can be read by others \(mode 6\d\d\); run: chmod 600/,
    );
    assert.equal(read(hook("{ env: HOOK_SECRET }"), { HOOK_SECRET: "0123456789abcdef" }).length, 1);
  }
});
