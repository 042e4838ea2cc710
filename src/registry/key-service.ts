/** What the registry asks of a key management service. Who joins the rooms brings it; the registry knows no key. */
import type { RegistryRef } from "./context.ts";

/** A repository's use of a key. */
export interface KeyUse {
  readonly keyArn: string;
  /** The grant that allows it. */
  readonly grantId: string;
  /** Of the repository. */
  readonly region: string;
  /** The encryption context is made of it. */
  readonly repositoryArn: string;
}

/** The two grants of a repository; empty texts where the service needs none. */
export interface RepositoryGrants {
  /** For what is in the repository. */
  readonly contentGrantId: string;
  /** For looking at the key, and for ending the grants. */
  readonly manageGrantId: string;
}

/**
 * Keys that others keep. Every function judges the key, the grant and the secret as of this moment (of a key that is kept elsewhere: of at
 * most a second ago), and rejects with {@link KeyRefusal} when the key is not to be used.
 */
export interface KeyService {
  /** Who keeps the keys of new repositories: this deployment, which knows their policies, or somebody else. */
  readonly keeper: "here" | "elsewhere";
  /** The ARN of the key that a reference (id, ARN, alias) means in the registry; without one its default key, made now if need be. */
  resolve(registry: RegistryRef, reference: string | undefined): Promise<string>;
  /** Lets this service use the key for a repository. */
  grant(keyArn: string, registry: RegistryRef, repositoryArn: string): Promise<RepositoryGrants>;
  /** Takes grants back; those that are gone already are no error. */
  retire(keyArn: string, grants: RepositoryGrants): Promise<void>;
  /** A fresh key of 32 bytes, in the clear and encrypted under the key. */
  wrap(use: KeyUse): Promise<{ readonly plain: Uint8Array; readonly wrapped: Uint8Array }>;
  /** Opens what {@link KeyService.wrap} made for the same use. */
  unwrap(use: KeyUse, wrapped: Uint8Array): Promise<Uint8Array>;
}

/** The service refuses the use of a key. */
export class KeyRefusal extends Error {
  override readonly name = "KeyRefusal";
  /** The name of KMS's exception. */
  readonly kmsError: string;
  constructor(kmsError: string, message: string) {
    super(message);
    this.kmsError = kmsError;
  }
}
