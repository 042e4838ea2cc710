/**
 * Signing profiles. A profile `arn:aws:signer:<region>:<account>:/signing-profiles/<name>` is there when its account has a key with the alias
 * `alias/signer/<name>` in the key management service. That key encrypts a data key, and the private key of the profile is derived from
 * the data key for each signature and kept nowhere: whoever disables or deletes the key, or takes back its grant, ends the signing at once.
 *
 * Invariant: a profile has one certificate for as long as its alias stays on one key, so that a trust store can hold it.
 */
import { createECDH, createPrivateKey, createPublicKey, hkdfSync } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { addSigningCertificate, findSigningCertificate } from "#metadata/signing-certificates.ts";
import type { SigningCertificate } from "#metadata/signing-certificates.ts";
import type { RegistryCore, RegistryRef } from "#registry/context.ts";
import type { KeyUse } from "#registry/key-service.ts";
import { KeyRefusal } from "#registry/key-service.ts";
import { assert } from "#std/assert.ts";
import { makeCertificate } from "./certificate.ts";
import type { Signer } from "./envelope.ts";

/** What profiles need of the process. */
export type ProfileCore = Pick<RegistryCore, "metadata" | "keys" | "clock" | "random">;

interface Profile extends RegistryRef {
  readonly arn: string;
  readonly name: string;
}

/** As the signatures of Amazon Signer's profiles: 135 months, of thirty days and a half each. */
const validityMs = 135 * 30.5 * 86_400_000;
const arnForm = /^arn:aws(?:-[a-z]+)*:signer:([a-z0-9-]+):([0-9]{12}):\/signing-profiles\/(\w{2,200})$/;
/** Of the group of P-384 (SEC 2, section 2.5.1). */
const groupOrder = BigInt("0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973");
const coordinateBytes = 48;
/** As long as the order and 64 bits: what is left over by the division is even enough (FIPS 186-5, appendix A.2.1). */
const scalarBytes = 56;

/**
 * The certificate and key of a profile, made when it signs for the first time. Throws KeyRefusal with the code that Amazon Signer or the key
 * management service has for it: there is no such profile, its key is disabled or deleted, the grant on it is gone, its certificate has ended.
 */
export async function openProfile(core: ProfileCore, arn: string): Promise<Signer> {
  const profile = parseProfile(arn);
  const keyArn = await keyOf(core, profile);
  const kept = (await findSigningCertificate(core.metadata, { profileArn: arn, keyArn })) ?? (await makeFirst(core, profile, keyArn));
  if (kept.createdAt + validityMs <= core.clock.now())
    throw new KeyRefusal("ValidationException", `The certificate of ${arn} has expired: move the alias of its key to a new key.`);
  const dataKey = await core.keys.unwrap(useOf(profile, kept), kept.wrappedKey);
  const { privateKey } = deriveKeys(dataKey, arn);
  return { privateKey, certificate: kept.certificate };
}

function parseProfile(arn: string): Profile {
  const [, region, accountId, name] = arnForm.exec(arn) ?? [];
  assert(region !== undefined && accountId !== undefined && name !== undefined, "the ARN of a signing profile");
  return { arn, region, accountId, name };
}

async function keyOf({ keys }: ProfileCore, { arn, accountId, region, name }: Profile): Promise<string> {
  try {
    return await keys.resolve({ accountId, region }, `alias/signer/${name}`);
  } catch (error) {
    if (!(error instanceof KeyRefusal) || error.kmsError !== "NotFoundException") throw error;
    throw new KeyRefusal("ResourceNotFoundException", `The signing profile ${arn} does not exist. (${error.message})`);
  }
}

function useOf({ arn, region }: Profile, { keyArn, contentGrantId }: Pick<SigningCertificate, "keyArn" | "contentGrantId">): KeyUse {
  return { keyArn, grantId: contentGrantId, region, repositoryArn: arn };
}

/** Of several who make the first certificate at the same time, one is kept. */
async function makeFirst(core: ProfileCore, profile: Profile, keyArn: string): Promise<SigningCertificate> {
  const { keys, metadata, clock, random } = core;
  const grants = await keys.grant(keyArn, profile, profile.arn);
  try {
    const { plain, wrapped } = await keys.wrap(useOf(profile, { keyArn, ...grants }));
    const createdAt = Math.floor(clock.now() / 1_000) * 1_000;
    const certificate = makeCertificate({
      ...deriveKeys(plain, profile.arn),
      // "ZZ" is nobody's country; trust policies of the Notary Project need the three of country, state and organization.
      subject: { country: "ZZ", state: profile.region, organization: "Supercargo", unit: profile.accountId, commonName: profile.name },
      serial: random.bytes(16),
      notBefore: createdAt,
      notAfter: createdAt + validityMs,
    });
    const made = { profileArn: profile.arn, keyArn, ...grants, wrappedKey: wrapped, certificate, createdAt };
    if (await addSigningCertificate(metadata, made)) return made;
  } catch (error) {
    await keys.retire(keyArn, grants);
    throw error;
  }
  await keys.retire(keyArn, grants);
  const kept = await findSigningCertificate(metadata, { profileArn: profile.arn, keyArn });
  assert(kept !== undefined, "somebody else's certificate was kept");
  return kept;
}

/** The same keys for the same data key and profile, always. */
function deriveKeys(dataKey: Uint8Array, profileArn: string): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  const bytes = Buffer.from(hkdfSync("sha512", dataKey, new Uint8Array(), `supercargo signing key 1 ${profileArn}`, scalarBytes));
  const scalar = (BigInt(`0x${bytes.toString("hex")}`) % (groupOrder - 1n)) + 1n;
  const d = Buffer.from(scalar.toString(16).padStart(coordinateBytes * 2, "0"), "hex");
  const curve = createECDH("secp384r1");
  curve.setPrivateKey(d);
  // 04, then the two coordinates.
  const point = curve.getPublicKey();
  const text = (part: Buffer): string => part.toString("base64url");
  const x = text(point.subarray(1, 1 + coordinateBytes));
  const y = text(point.subarray(1 + coordinateBytes));
  const privateKey = createPrivateKey({ key: { kty: "EC", crv: "P-384", x, y, d: text(d) }, format: "jwk" });
  return { privateKey, publicKey: createPublicKey(privateKey) };
}
