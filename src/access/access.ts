/**
 * The access room: who asks, and may they. Two proofs are known, a SigV4 signature and a registry token; both end in a Principal.
 * It knows no route and no operation: the planes say which action is asked on which resource, and turn faults into answers.
 */
import {
  AuthFault,
  bodyHashMatches,
  checkClaim,
  deriveSigningKey,
  expectedSignature,
  readSignatureClaim,
  signaturesEqual,
} from "#aws/sigv4.ts";
import type { RequestFacts, SignatureClaim } from "#aws/sigv4.ts";
import { sessionTokenMatches } from "#identity/session.ts";
import type { Database } from "#metadata/database.ts";
import type { Sealer } from "#sealing/sealer.ts";
import type { Clock } from "#std/clock.ts";
import type { Log } from "#std/log.ts";
import type { Random } from "#std/random.ts";
import { LRUCache } from "lru-cache";
import { createKeyRing } from "./key-ring.ts";
import type { KeyRing, KnownKey } from "./key-ring.ts";
import { createPolicyCache } from "./policy-cache.ts";
import type { PolicyCache } from "./policy-cache.ts";
import { createPrincipalLoader } from "./principal-loading.ts";
import type { PrincipalLoader } from "./principal-loading.ts";
import type { Principal } from "./principal.ts";
import { createResourcePolicies } from "./resource-policies.ts";
import type { ResourcePolicies } from "./resource-policies.ts";
import { openToken, readCredentials, sealToken, tokenLifetimeMs } from "./token.ts";
import type { TokenClaims } from "./token.ts";
import { createUseNotes } from "./use-notes.ts";

/** What decides who asks, for the life of the process. Opaque to the planes. */
export interface Access {
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly dev: boolean;
  readonly defaultAccountId: string;
  readonly regions: ReadonlySet<string>;
  readonly keys: KeyRing;
  readonly principals: PrincipalLoader;
  readonly policies: PolicyCache;
  readonly resources: ResourcePolicies;
  /** Remembers that a key was used; returns at once, and what goes wrong with it is nobody's business but the log's. */
  readonly noteUse: (claim: SignatureClaim, principal: Principal) => void;
  /** Authorization header → its token and principal. Holds only tokens that we sealed, so nobody can fill it with inventions. */
  readonly tokens: LRUCache<string, KnownToken>;
  /** Stands in for the secret of keys that do not exist. */
  readonly nobodysSecret: string;
}

/** A token that was accepted, and the identity epoch of that. */
interface KnownToken {
  readonly claims: TokenClaims;
  readonly principal: Principal;
  readonly epoch: number;
}

/** What {@link createAccess} is made from. */
export interface AccessDeps {
  readonly metadata: Database;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The emulator mode: signatures are parsed and not verified, any access key is accepted. */
  readonly dev: boolean;
  readonly defaultAccountId: string;
  readonly regions: readonly string[];
  /** Repositories may be under keys that another deployment keeps: then a key that is not known here is not therefore nobody's. */
  readonly keysAreElsewhere?: boolean;
}

/** Why a registry token was not accepted. */
export type AccessFaultKind = "missing" | "malformed" | "invalid" | "expired" | "wrong-region";

/** Thrown by {@link authenticateToken}; caught once in the data plane. */
export class AccessFault extends Error {
  override readonly name = "AccessFault";
  readonly kind: AccessFaultKind;
  /** With `wrong-region`: the region that the token is for. */
  readonly region?: string;
  constructor(kind: AccessFaultKind, region?: string) {
    super(kind);
    this.kind = kind;
    if (region !== undefined) this.region = region;
  }
}

const maxTokens = 10_000;
const devKeyIdForm = /^[\w.+=,@:-]{1,128}$/;

/** Makes the access room's state. */
export function createAccess(deps: AccessDeps): Access {
  const { metadata, sealer, clock, dev, defaultAccountId, log } = deps;
  const policies = createPolicyCache(log);
  const principals = createPrincipalLoader(metadata, deps.random, policies);
  const keys = createKeyRing({ metadata, sealer, log, principals });
  return {
    sealer,
    clock,
    dev,
    defaultAccountId,
    regions: new Set(deps.regions),
    keys,
    principals,
    policies,
    resources: createResourcePolicies(
      metadata,
      () => keys.epoch(),
      policies,
      deps.keysAreElsewhere === true ? defaultAccountId : undefined,
    ),
    noteUse: createUseNotes({ metadata, clock, log }),
    tokens: new LRUCache({ max: maxTokens }),
    nobodysSecret: deps.random.bytes(30).toString("base64"),
  };
}

/** A signed request whose body may now be read. */
export interface SignedRequest {
  readonly claim: SignatureClaim;
  /** Finishes the check with the lower-case hex SHA-256 of the body that really came, and says who asks. Throws AuthFault. */
  confirm(bodySha256: string): Promise<Principal>;
}

/**
 * Checks all of a signature that can be checked before the body: its form, scope, key and time, and where the client declared the
 * body's hash (`x-amz-content-sha256`) the signature itself. So nobody without a key makes us hold a body.
 * The order of checks is AWS's (form, scope, key, clock, signature, body), for it decides which fault a client is told. Throws AuthFault.
 */
export async function beginSignedRequest(
  access: Access,
  request: RequestFacts,
  options: { readonly services: readonly string[] },
): Promise<SignedRequest> {
  const claim = readSignatureClaim(request);
  const scope = { regions: access.regions, services: options.services };
  // Held against its own time a claim can only fail by its scope. With `--dev` that is all: clocks of laptops and their VMs drift.
  checkClaim(claim, { ...scope, now: claim.timestamp });
  if (access.dev) return { claim, confirm: () => devPrincipal(access, claim.accessKeyId) };
  await findSigner(access, claim);
  checkClaim(claim, { ...scope, now: access.clock.now() });
  const { declaredBodySha256 } = claim;
  if (declaredBodySha256 !== undefined) await verifySignature(access, request, claim, declaredBodySha256);
  return {
    claim,
    // The key is asked for again: the body may have taken minutes, and the key may have been disabled meanwhile.
    async confirm(bodySha256) {
      const principal = await verifySignature(access, request, claim, bodySha256);
      if (!bodyHashMatches(claim, bodySha256)) throw new AuthFault("invalid-signature");
      access.noteUse(claim, principal);
      return principal;
    },
  };
}

async function verifySignature(access: Access, request: RequestFacts, claim: SignatureClaim, bodySha256: string): Promise<Principal> {
  const key = await findSigner(access, claim);
  const expected = expectedSignature(request, claim, bodySha256, access.keys.signingKey(key, claim));
  if (!signaturesEqual(expected, claim.signature)) throw new AuthFault("invalid-signature");
  return key.principal;
}

/**
 * The active key that the claim names. Unknown and disabled ones, and session tokens that do not belong to the key, get the same answer
 * after the same work as a key whose signature is checked.
 */
async function findSigner(access: Access, claim: SignatureClaim): Promise<KnownKey> {
  const key = await access.keys.find(claim.accessKeyId);
  if (key?.isActive === true && tokenFits(key, claim.sessionToken)) {
    if (isExpired(access, key)) throw new AuthFault("expired-token");
    return key;
  }
  deriveSigningKey(access.nobodysSecret, claim.scopeDate, claim.region, claim.service);
  throw new AuthFault("unrecognized-client");
}

/** Temporary credentials are nothing without their token. With a long-term key a token is a mix-up that AWS refuses too. */
function tokenFits({ session }: KnownKey, sessionToken: string | undefined): boolean {
  if (session === undefined || sessionToken === undefined) return session === undefined && sessionToken === undefined;
  return sessionTokenMatches(session, sessionToken);
}

function isExpired(access: Access, { session }: KnownKey): boolean {
  return session !== undefined && access.clock.now() >= session.expiresAt;
}

/** With `--dev`: a key that exists acts as its owner, 12 digits name an account, anything else is the default account. */
async function devPrincipal(access: Access, accessKeyId: string): Promise<Principal> {
  // The id goes into tokens and logs, so even here it must look like one.
  if (!devKeyIdForm.test(accessKeyId)) throw new AuthFault("unrecognized-client");
  const key = await access.keys.find(accessKeyId);
  if (key !== undefined && isExpired(access, key)) throw new AuthFault("expired-token");
  if (key !== undefined) return key.principal;
  return access.principals.ofRoot({ accountId: /^\d{12}$/.test(accessKeyId) ? accessKeyId : access.defaultAccountId, accessKeyId });
}

/**
 * Says who asks by the Authorization header of a registry request: `Basic base64(AWS:<password>)`, or the same after `Bearer`.
 * Expiry, region and key are checked at every use; a key that was disabled or replaced ends its tokens at once. Throws {@link AccessFault}.
 */
export async function authenticateToken(access: Access, authorizationHeader: string | undefined, region: string): Promise<Principal> {
  if (authorizationHeader === undefined || authorizationHeader === "") throw new AccessFault("missing");
  const known = access.tokens.get(authorizationHeader);
  const claims = known?.claims ?? readToken(access, authorizationHeader);
  if (access.clock.now() >= claims.expiresAt) {
    access.tokens.delete(authorizationHeader);
    throw new AccessFault("expired");
  }
  if (claims.region !== region) throw new AccessFault("wrong-region", claims.region);
  const epoch = await access.keys.epoch();
  if (known?.epoch === epoch) return known.principal;
  const principal = await findTokenOwner(access, claims);
  if (principal === undefined) {
    access.tokens.delete(authorizationHeader);
    throw new AccessFault("invalid");
  }
  access.tokens.set(authorizationHeader, { claims, principal, epoch });
  return principal;
}

function readToken(access: Access, header: string): TokenClaims {
  const credentials = readCredentials(header);
  if (credentials.kind === "malformed") throw new AccessFault("malformed");
  const claims = credentials.kind === "password" ? openToken(access.sealer, credentials.password) : undefined;
  if (claims === undefined) throw new AccessFault("invalid");
  return claims;
}

async function findTokenOwner(access: Access, claims: TokenClaims): Promise<Principal | undefined> {
  const principal = await principalStillActive(access, claims);
  return (principal?.keyVersion ?? "") === claims.keyVersion ? principal : undefined;
}

/**
 * The principal as of now, or undefined when the key it came with is gone, disabled, or someone else's by now.
 * For what was handed out earlier and is used later: tokens and download tickets.
 */
export async function principalStillActive(
  access: Access,
  actor: { readonly principalId: string; readonly accessKeyId?: string | undefined },
): Promise<Principal | undefined> {
  const { accessKeyId } = actor;
  if (accessKeyId === undefined) return undefined;
  const key = await access.keys.find(accessKeyId);
  if (key !== undefined && isExpired(access, key)) return undefined;
  const principal = access.dev ? await devPrincipal(access, accessKeyId) : key?.isActive === true ? key.principal : undefined;
  return principal?.principalId === actor.principalId ? principal : undefined;
}

/**
 * Makes the password for `docker login -u AWS`: good for 12 hours in this region, as long as the principal's key is, and no longer than its
 * session. `expiresAt` in ms.
 */
export function issueToken(
  access: Access,
  principal: Principal,
  region: string,
): { readonly password: string; readonly expiresAt: number } {
  const expiresAt = Math.min(access.clock.now() + tokenLifetimeMs, principal.session?.expiresAt ?? Infinity);
  const { accessKeyId, principalId, keyVersion = "" } = principal;
  return { password: sealToken(access.sealer, { accessKeyId, principalId, keyVersion, region, expiresAt }), expiresAt };
}
