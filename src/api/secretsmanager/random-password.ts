import { drawPassword } from "#secrets/random-password.ts";
import type { PasswordKind } from "#secrets/random-password.ts";
import type { GetRandomPasswordRequest } from "./model/shapes.ts";
import type { SecretsRows } from "./table.ts";

const usualLength = 32;

/** Passwords for what is to become a secret. */
export const randomPasswordOperations: SecretsRows<"GetRandomPassword"> = {
  GetRandomPassword: {
    action: "secretsmanager:GetRandomPassword",
    resource: () => "*",
    handle: async (call, input) => ({
      RandomPassword: drawPassword(call.context.core.random, {
        length: input.PasswordLength ?? usualLength,
        kinds: kindsOf(input),
        includeSpace: input.IncludeSpace ?? false,
        excluded: input.ExcludeCharacters ?? "",
        requireEachKind: input.RequireEachIncludedType ?? true,
      }),
    }),
  },
};

function kindsOf(input: GetRandomPasswordRequest): readonly PasswordKind[] {
  const isExcluded: Readonly<Record<PasswordKind, boolean | undefined>> = {
    lowercase: input.ExcludeLowercase,
    uppercase: input.ExcludeUppercase,
    numbers: input.ExcludeNumbers,
    punctuation: input.ExcludePunctuation,
  };
  return (Object.keys(isExcluded) as PasswordKind[]).filter((kind) => isExcluded[kind] !== true);
}
