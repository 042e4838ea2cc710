/**
 * Signatures of the registry before judges that are not ours: boto3 pushes and reads, python's `cryptography` verifies signature and certificate,
 * and openssl the chain.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startServerProcess } from "../server-process.ts";
import type { ServerProcess } from "../server-process.ts";
import { json, mustRun, needs } from "./tool.ts";

const hasPython = spawnSync("python3", ["-c", "import boto3, cryptography"]).status === 0;
const installed = hasPython ? needs("openssl") : { skip: "not installed: python3's boto3 and cryptography" };
let server: ServerProcess;
before(async () => {
  server = await startServerProcess();
});
after(() => server.close());

const script = `
import base64, boto3, datetime, hashlib, json, time, urllib.request
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

name, ecr, kms = "signed/app", boto3.client("ecr"), boto3.client("kms")
account, region = boto3.client("sts").get_caller_identity()["Account"], ecr.meta.region_name
ecr.create_repository(repositoryName=name)
key = kms.create_key(Description="signs images")["KeyMetadata"]["KeyId"]
kms.create_alias(AliasName="alias/signer/release", TargetKeyId=key)
profile = "arn:aws:signer:%s:%s:/signing-profiles/release" % (region, account)
ecr.put_signing_configuration(signingConfiguration={"rules": [
    {"signingProfileArn": profile, "repositoryFilters": [{"filter": "signed/*", "filterType": "WILDCARD_MATCH"}]}]})

def put(data):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    upload = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    ecr.upload_layer_part(repositoryName=name, uploadId=upload, partFirstByte=0, partLastByte=len(data) - 1, layerPartBlob=data)
    ecr.complete_layer_upload(repositoryName=name, uploadId=upload, layerDigests=[digest])
    return {"digest": digest, "size": len(data)}
manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **put(b'{"os":"linux","architecture":"amd64"}')},
    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **put(bytes(1024))}]})
digest = ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag="v1")["image"]["imageId"]["imageDigest"]
deadline = time.time() + 60
while True:
    status = ecr.describe_image_signing_status(repositoryName=name, imageId={"imageTag": "v1"})["signingStatuses"]
    if status[0]["status"] != "IN_PROGRESS" or time.time() > deadline: break
    time.sleep(0.2)
assert [(s["signingProfileArn"], s["status"]) for s in status] == [(profile, "COMPLETE")], status

[referrer] = ecr.list_image_referrers(repositoryName=name, subjectId={"imageDigest": digest},
    filter={"artifactTypes": ["application/vnd.cncf.notary.signature"]})["referrers"]
[image] = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageDigest": referrer["digest"]}])["images"]
signature = json.loads(image["imageManifest"])
[layer] = signature["layers"]
assert layer["mediaType"] == "application/jose+json"
assert signature["subject"] == {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": len(manifest)}
assert signature["config"] == {"mediaType": "application/vnd.cncf.notary.signature", "size": 2,
    "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}
url = ecr.get_download_url_for_layer(repositoryName=name, layerDigest=layer["digest"])["downloadUrl"]
raw = urllib.request.urlopen(url).read()
assert "sha256:" + hashlib.sha256(raw).hexdigest() == layer["digest"]
envelope = json.loads(raw)
assert set(envelope) == {"payload", "protected", "header", "signature"}, "the flattened form and nothing else"

def decode(text): return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
[encoded] = envelope["header"]["x5c"]
certificate = x509.load_der_x509_certificate(base64.b64decode(encoded))
header = json.loads(decode(envelope["protected"]))
assert header["alg"] == "ES384" and isinstance(certificate.public_key().curve, ec.SECP384R1)
assert header["cty"] == "application/vnd.cncf.notary.payload.v1+json"
assert header["crit"] == ["io.cncf.notary.signingScheme"] and header["io.cncf.notary.signingScheme"] == "notary.x509"
signed_at = datetime.datetime.strptime(header["io.cncf.notary.signingTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
assert certificate.not_valid_before_utc <= signed_at <= certificate.not_valid_after_utc
raw_signature = decode(envelope["signature"])
assert len(raw_signature) == 96
der = encode_dss_signature(int.from_bytes(raw_signature[:48], "big"), int.from_bytes(raw_signature[48:], "big"))
def verify(protected): certificate.public_key().verify(der, (protected + "." + envelope["payload"]).encode("ascii"), ec.ECDSA(hashes.SHA384()))
verify(envelope["protected"])
try:
    verify(envelope["protected"][:-1])
    raise AssertionError("a signature of something else")
except InvalidSignature: pass
target = json.loads(decode(envelope["payload"]))
assert target == {"targetArtifact": signature["subject"]}

# Notary Project signature specification, "Certificate Requirements", for a chain of one.
certificate.verify_directly_issued_by(certificate)
extensions = certificate.extensions
usage = extensions.get_extension_for_class(x509.KeyUsage)
assert usage.critical and usage.value.digital_signature
assert not (usage.value.key_cert_sign or usage.value.crl_sign or usage.value.key_encipherment or usage.value.data_encipherment or usage.value.key_agreement)
assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CODE_SIGNING]
subject = {attribute.oid: attribute.value for attribute in certificate.subject}
assert subject[NameOID.COMMON_NAME] == "release" and subject[NameOID.ORGANIZATIONAL_UNIT_NAME] == account
assert all(oid in subject for oid in (NameOID.COUNTRY_NAME, NameOID.STATE_OR_PROVINCE_NAME, NameOID.ORGANIZATION_NAME)), "trust policies need them"
thumbprint = certificate.fingerprint(hashes.SHA256()).hex().upper()
assert json.loads(signature["annotations"]["io.cncf.notary.x509chain.thumbprint#S256"]) == [thumbprint]
print(json.dumps({"pem": certificate.public_bytes(serialization.Encoding.PEM).decode()}))
`;

test("python's cryptography and openssl accept a signature that the server has made for a push of boto3's", installed, async () => {
  const { pem } = json<{ pem: string }>(await mustRun(["python3", "-c", script], { environment: server.awsEnvironment }));
  const folder = mkdtempSync(join(tmpdir(), "signing-"));
  const file = join(folder, "certificate.pem");
  writeFileSync(file, pem);
  assert.match(await mustRun(["openssl", "verify", "-x509_strict", "-check_ss_sig", "-CAfile", file, file]), /: OK/);
  rmSync(folder, { recursive: true });
});
