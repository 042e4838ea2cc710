/** Every exception that ECR's model gives to an operation is either answered to a request here, or has a reason why it never is. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { prepareGround } from "./ground.ts";
import type { PreparedGround } from "./ground.ts";
import type { ErrorRow, Input, ShownError } from "./row.ts";
import { untriggeredReasons } from "./row.ts";
import { exceptionOf, modelledErrors, serverFault } from "./table.ts";

interface Model {
  readonly operations: Readonly<Record<string, { readonly errors?: readonly { readonly shape: string }[] }>>;
  readonly shapes: Readonly<Record<string, { readonly members?: Readonly<Record<string, unknown>>; readonly fault?: boolean }>>;
}

const model = JSON.parse(readFileSync(new URL("../../models/ecr-2015-09-21.json", import.meta.url), "utf8")) as Model;
const pairs = Object.entries(model.operations).flatMap(([operation, { errors = [] }]) =>
  errors.map(({ shape }) => `${operation} ${shape}`),
);

let prepared: PreparedGround;
before(async () => {
  prepared = await prepareGround();
});
after(async () => {
  await prepared.close();
});

function inputOf(row: ErrorRow): Input {
  return typeof row.input === "function" ? row.input(prepared.ground) : row.input;
}

async function changed(row: ErrorRow, { change }: ShownError): Promise<Input> {
  return { ...inputOf(row), ...(typeof change === "function" ? await change(prepared.ground) : change) };
}

test("the table has every pair of the model once, and no other", () => {
  const listed = Object.entries(modelledErrors).flatMap(([operation, { shown, untriggered = {} }]) =>
    [serverFault, ...Object.keys(shown), ...Object.keys(untriggered)].map((name) => `${operation} ${exceptionOf(name)}`),
  );
  assert.equal(pairs.length, 265);
  assert.deepEqual(listed.toSorted(), pairs.toSorted());
});

test("every reason is one that some pair has", () => {
  const given = new Set(Object.values(modelledErrors).flatMap(({ untriggered = {} }) => Object.values(untriggered)));
  assert.deepEqual([...given].toSorted(), Object.keys(untriggeredReasons).toSorted());
});

for (const [operation, row] of Object.entries(modelledErrors)) {
  test(`${operation}: what it is refused with`, async () => {
    for (const [name, shown] of Object.entries(row.shown)) {
      const answer = await prepared.ask(shown.place, operation, await changed(row, shown));
      const { __type, message, ...members } = answer.json<{ __type?: string; message?: string }>();
      assert.deepEqual([answer.status, __type], [400, exceptionOf(name)], `${exceptionOf(name)}: ${message}`);
      if (typeof shown.text === "string") assert.equal(message, shown.text);
      else assert.match(message ?? "", shown.text);
      const known = Object.keys(model.shapes[exceptionOf(name)]?.members ?? {});
      for (const [member, value] of Object.entries(shown.members)) assert.equal((members as Input)[member], value, member);
      assert.deepEqual(
        Object.keys(members).filter((member) => !known.includes(member)),
        [],
      );
    }
  });
}

test("a broken database is a fault of the server: 500, and not a word of what is broken", async () => {
  for (const [operation, row] of Object.entries(modelledErrors)) {
    // Its answer is made from what is known of the caller, so that is what must be broken for it.
    const place = operation === "GetAuthorizationToken" ? "wrecked" : "broken";
    const answer = await prepared.ask(place, operation, inputOf(row));
    const { __type, message, ...members } = answer.json<{ __type?: string; message?: string }>();
    assert.deepEqual([answer.status, __type, members], [500, exceptionOf(serverFault), {}], `${operation}: ${message}`);
    assert.match(message ?? "", /^The request failed for a reason that is not the client's\. Request id: [0-9a-f-]{36}$/, operation);
  }
  assert.equal(model.shapes[exceptionOf(serverFault)]?.fault, true);
  assert.deepEqual(prepared.unexpected(), []);
});
