import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startRegistryServer } from "../../../test/registry-server.ts";
import type { RegistryServer } from "../../../test/registry-server.ts";
import { callJson } from "../../../test/signed-call.ts";

let server: RegistryServer;
before(async () => {
  server = await startRegistryServer();
});
after(async () => {
  assert.deepEqual(server.errors, []);
  await server.close();
});

/** The password, or the exception with its message. */
async function draw(input: object): Promise<string> {
  const answer = await callJson(server, "secretsmanager.GetRandomPassword", input);
  const { RandomPassword, __type, message } = answer.json<{ RandomPassword?: string; __type?: string; message?: string }>();
  return RandomPassword ?? `${__type}: ${message}`;
}

const cases: readonly (readonly [object, RegExp])[] = [
  [{}, /^(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])(?=.*[!-/:-@[-`{-~])[!-~]{32}$/],
  [{ PasswordLength: 4 }, /^(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])(?=.*[!-/:-@[-`{-~])[!-~]{4}$/],
  [{ PasswordLength: 4096, ExcludePunctuation: true }, /^[A-Za-z0-9]{4096}$/],
  [{ ExcludeUppercase: true, ExcludeLowercase: true, ExcludePunctuation: true }, /^[0-9]{32}$/],
  [
    { ExcludeNumbers: true, ExcludePunctuation: true, ExcludeCharacters: "abcdefghijklmnopqrstuvwxyzABC" },
    /^InvalidParameterException: All characters of the/,
  ],
  [{ PasswordLength: 1, RequireEachIncludedType: false, ExcludeNumbers: true }, /^[!-/:-~]$/],
  [{ PasswordLength: 3 }, /^InvalidParameterException: Password length is too short based on the required types\.$/],
  [{ PasswordLength: 0 }, /^\w*Exception: /],
  [{ PasswordLength: 4097 }, /^\w*Exception: /],
  [
    { ExcludeUppercase: true, ExcludeLowercase: true, ExcludePunctuation: true, ExcludeNumbers: true },
    /^InvalidParameterException: All characters have been excluded from selection\.$/,
  ],
  [
    {
      PasswordLength: 2,
      IncludeSpace: true,
      ExcludeUppercase: true,
      ExcludeLowercase: true,
      ExcludePunctuation: true,
      ExcludeNumbers: true,
    },
    /^ {2}$/,
  ],
];

test("passwords as they are asked for", async () => {
  for (const [input, form] of cases) assert.match(await draw(input), form, JSON.stringify(input));
  assert.notEqual(await draw({}), await draw({}));
});
