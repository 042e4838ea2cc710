import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as fc from "fast-check";
import { startCpuTime } from "#std/testing/cpu-time.ts";
import { parseLifecyclePolicy } from "./policy.ts";

/** One text of `cases/validation.json`: refused with a whole message or with what stands inside ECR's usual one, or accepted. */
interface Case {
  readonly id: string;
  readonly why: string;
  readonly source: string;
  readonly policy?: object;
  readonly text?: string;
  readonly message?: string;
  readonly says?: string;
  readonly accepted?: true;
  readonly canonical?: string;
}

const { cases } = JSON.parse(readFileSync(new URL("cases/validation.json", import.meta.url), "utf8")) as { cases: Case[] };

function textOf({ text, policy }: Case): string {
  return text ?? JSON.stringify(policy);
}

function expectedMessage({ message, says }: Case): string | undefined {
  if (says === undefined) return message;
  return `Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: ${says}'`;
}

for (const one of cases) {
  test(`${one.id}: ${one.why}`, () => {
    const read = parseLifecyclePolicy(textOf(one));
    assert.equal(read.ok ? undefined : read.message, expectedMessage(one));
    if (one.canonical !== undefined) assert.equal(read.ok && read.canonicalText, one.canonical);
  });
}

test("a policy is read as it is written", () => {
  const read = parseLifecyclePolicy(textOf(cases.find(({ id }) => id === "order") as Case));
  assert.deepEqual(read.ok && read.value, {
    rules: [
      {
        priority: 3,
        selection: {
          tagStatus: "untagged",
          storageClass: "archive",
          countType: "sinceImageTransitioned",
          countUnit: "days",
          countNumber: 90,
        },
        action: { type: "expire" },
      },
      {
        priority: 20,
        description: 'Ümlaut "quoted"',
        selection: {
          tagStatus: "tagged",
          tagPatternList: ["b*", "a*"],
          storageClass: "standard",
          countType: "sinceImagePulled",
          countUnit: "days",
          countNumber: 30,
        },
        action: { type: "transition", target: "archive" },
      },
    ],
  });
});

test("what ECR gives back reads as the same policy and comes back unchanged", () => {
  const accepted = cases.filter((one) => expectedMessage(one) === undefined);
  assert.ok(accepted.length > 5);
  for (const one of accepted) {
    const first = parseLifecyclePolicy(textOf(one));
    assert.ok(first.ok);
    assert.deepEqual(parseLifecyclePolicy(first.canonicalText), first, one.id);
  }
});

const longest = 30_720;

/** A valid policy whose text has exactly this length. */
function policyOfLength(length: number, countNumber = "1"): string {
  const text = (description: string): string =>
    `{"rules":[{"rulePriority":1,"description":"${description}","selection":{"tagStatus":"any",` +
    `"countType":"imageCountMoreThan","countNumber":${countNumber}},"action":{"type":"expire"}}]}`;
  return text("d".repeat(length - text("").length));
}

test("a text has at most 30,720 characters, as sent and as kept", () => {
  const message =
    "Invalid parameter at 'lifecyclePolicyText' failed to satisfy constraint: 'Member must have length less than or equal to 30720'";
  assert.equal(parseLifecyclePolicy(policyOfLength(longest)).ok, true);
  assert.deepEqual(parseLifecyclePolicy(policyOfLength(longest + 1)), { ok: false, message });
  assert.deepEqual(parseLifecyclePolicy(policyOfLength(longest, "1e9")), { ok: false, message });
});

test("whatever somebody sends is answered", () => {
  const names = "rules rulePriority description selection action type tagStatus tagPrefixList countType countUnit countNumber";
  const name = fc.constantFrom(...names.split(" "), "targetStorageClass", "storageClass", "__proto__", "constructor", "x\ud83d\ude00");
  const leaf = fc.oneof(
    fc.constantFrom<unknown>(null, true, 0, 1, -0, 1e300, "days", "any", "expire", "tagged", "\ud83d\ude00".repeat(40)),
    fc.string(),
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof({ maxDepth: 6 }, leaf, fc.array(tie("value"), { maxLength: 3 }), fc.dictionary(name, tie("value"), { maxKeys: 4 })),
  }));
  const document = fc.record({ rules: fc.array(value, { maxLength: 3 }) });
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 300 }),
    fc.oneof(value, document).map((json) => JSON.stringify(json).padEnd(120)),
  );
  fc.assert(
    fc.property(text, (some) => {
      const read = parseLifecyclePolicy(some);
      if (read.ok) return;
      assert.match(read.message, /^Invalid parameter at '[lL]ifecyclePolicyText' failed to satisfy constraint: '.+'$/s);
      assert.ok(read.message.length < 2_000 && read.message.isWellFormed());
    }),
    { numRuns: 2_000 },
  );
});

test("the longest texts are read in a moment", () => {
  const fill = (start: string, piece: (index: number) => string, end: string): string => {
    const pieces: string[] = [];
    for (let size = start.length + end.length, index = 0; ; index++) {
      size += piece(index).length + 1;
      if (size > longest) return `${start}${pieces.join(",")}${end}`;
      pieces.push(piece(index));
    }
  };
  const start =
    '{"rules":[{"rulePriority":1,"selection":{"tagStatus":"tagged","countType":"imageCountMoreThan","countNumber":1,"tagPatternList":[';
  const texts = [
    fill(start, (index) => `"${index.toString(36)}*"`, ']},"action":{"type":"expire"}}]}'),
    fill(start, () => `"${"*".repeat(900)}"`, ']},"action":{"type":"expire"}}]}'),
    fill("{", (index) => `"${index.toString(36)}":0`, "}"),
    fill('{"rules":[', () => "{}", "]}"),
    "[".repeat(longest),
  ];
  const cpuMs = startCpuTime();
  const answers = texts.map((text) => parseLifecyclePolicy(text).ok);
  assert.ok(cpuMs() < 1_000, `took ${cpuMs()} ms`);
  assert.deepEqual(answers, [true, false, false, false, false]);
});
