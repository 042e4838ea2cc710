import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { awsManagedPolicy } from "./aws-managed-policies.ts";
import { readJson } from "#std/json.ts";
import { statementSpans } from "./statement-span.ts";

/** The text of a span. */
function cut(text: string, { start, end }: ReturnType<typeof statementSpans>[number]): string {
  const lines = text.split("\n");
  const indexOf = ({ line, column }: { readonly line: number; readonly column: number }): number =>
    lines.slice(0, line - 1).reduce((sum, { length }) => sum + length + 1, 0) + column - 1;
  return text.slice(indexOf(start), indexOf(end));
}

test("positions are those that the policy simulator of AWS prints", () => {
  const administrator = awsManagedPolicy("arn:aws:iam::aws:policy/AdministratorAccess")?.document ?? "";
  assert.deepEqual(statementSpans(administrator), [{ start: { line: 3, column: 17 }, end: { line: 8, column: 6 } }]);
  const single = '{"Version":"2012-10-17","Statement":{"Effect":"Allow"}}';
  assert.deepEqual(statementSpans(single), [{ start: { line: 1, column: 37 }, end: { line: 1, column: 55 } }]);
});

test("whatever stands around and inside, each span is its statement", () => {
  const text = fc.oneof(fc.string(), fc.constantFrom("Statement", '"', "\\", "{", "}]", ",", '\\"'));
  const statement = fc.dictionary(
    text,
    fc.oneof(text, fc.array(text, { maxLength: 3 }), fc.dictionary(text, fc.array(text, { maxLength: 2 }))),
  );
  const written = fc.record({ statements: fc.array(statement, { maxLength: 4 }), id: text, indent: fc.nat(3), first: fc.boolean() });
  fc.assert(
    fc.property(written, fc.boolean(), ({ statements, id, indent, first }, isSingle) => {
      const value = isSingle ? (statements[0] ?? {}) : statements;
      const document = first ? { Statement: value, Id: id } : { Id: id, Version: "2012-10-17", Statement: value };
      const printed = JSON.stringify(document, undefined, indent).replace('"Statement"', '"\\u0053tatement"');
      const read = statementSpans(printed).map((span) => JSON.stringify(readJson(cut(printed, span))));
      assert.deepEqual(
        read,
        (isSingle ? [value] : statements).map((each) => JSON.stringify(each)),
      );
    }),
  );
});
