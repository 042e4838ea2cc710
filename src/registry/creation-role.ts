/** The roles of creation templates, as far as the registry room knows them: somebody else says what they may do. */
import type { RegistryRef } from "./context.ts";

/** A repository that is to be created as a role. */
export interface RoleCreation {
  readonly roleArn: string;
  readonly registry: RegistryRef;
  readonly name: string;
  readonly resourceTags: Readonly<Record<string, string>>;
  /** Present when it is to be under a key; without `kmsKey` under the account's default key. */
  readonly encryption?: { readonly kmsKey: string | undefined };
}

/** Judges roles. */
export interface CreationRoles {
  /** Why the role cannot create such a repository, in words for who wrote the template; undefined when it can. */
  findProblem(creation: RoleCreation): Promise<string | undefined>;
}

/** Where nobody can judge, no role can do anything. */
export const noCreationRoles: CreationRoles = {
  findProblem: async () => "roles are not known here",
};
