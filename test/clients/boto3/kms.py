"""Keys: what is done with them and who may, their aliases, grants, rotations and tags, their end."""

from journey import ACCOUNT, IAM, allow, client, document, finish, key_of, pages, refused

kms = client("kms")
iam = client("iam")
KEYS = "arn:aws:kms:us-east-1:%s:" % ACCOUNT

# A key is made and shown.
made = kms.create_key(Description="cargo", Tags=[{"TagKey": "team", "TagValue": "cargo"}])["KeyMetadata"]
key, arn = made["KeyId"], made["Arn"]
assert arn == KEYS + "key/" + key
assert (made["KeyState"], made["Enabled"]) == ("Enabled", True), made
assert (made["KeyUsage"], made["KeySpec"]) == ("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT")
assert (made["KeyManager"], made["Origin"], made["AWSAccountId"], made["MultiRegion"]) == ("CUSTOMER", "AWS_KMS", ACCOUNT, False)
kms.update_key_description(KeyId=key, Description="cargo of the day")
assert kms.describe_key(KeyId=arn)["KeyMetadata"]["Description"] == "cargo of the day"
nowhere = "00000000-0000-0000-0000-000000000000"
sentence = refused("NotFoundException", kms.describe_key, KeyId=nowhere)
assert sentence == "Key '%skey/%s' does not exist" % (KEYS, nowhere), sentence
refused("UnsupportedOperationException", kms.create_key, KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
second = kms.create_key()["KeyMetadata"]["KeyId"]
third = kms.create_key()["KeyMetadata"]["KeyId"]
assert {key, second, third} <= {listed["KeyId"] for listed in pages(kms, "list_keys", 3)}

# Encrypting: the ciphertext names its key, and opens only in its context.
context = {"ship": "Supercargo", "hold": "3"}
sealed = kms.encrypt(KeyId=key, Plaintext=b"spice", EncryptionContext=context)
assert (sealed["KeyId"], sealed["EncryptionAlgorithm"]) == (arn, "SYMMETRIC_DEFAULT"), sealed
opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
assert (opened["Plaintext"], opened["KeyId"]) == (b"spice", arn), opened
for wrong in [{}, {"ship": "Supercargo"}, {**context, "hold": "4"}]:
    refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=wrong)
broken = sealed["CiphertextBlob"][:-1] + bytes([sealed["CiphertextBlob"][-1] ^ 1])
refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=broken, EncryptionContext=context)
refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=b"nothing of ours")
refused("IncorrectKeyException", kms.decrypt, KeyId=second, CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
refused("DryRunOperationException", kms.encrypt, KeyId=key, Plaintext=b"spice", DryRun=True)
moved = kms.re_encrypt(CiphertextBlob=sealed["CiphertextBlob"], SourceEncryptionContext=context, DestinationKeyId=second)
assert (moved["SourceKeyId"], moved["KeyId"]) == (arn, KEYS + "key/" + second), moved
assert kms.decrypt(CiphertextBlob=moved["CiphertextBlob"])["Plaintext"] == b"spice"

# Data keys and random bytes.
data = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context)
assert len(data["Plaintext"]) == 32
assert kms.decrypt(CiphertextBlob=data["CiphertextBlob"], EncryptionContext=context)["Plaintext"] == data["Plaintext"]
hidden = kms.generate_data_key_without_plaintext(KeyId=key, NumberOfBytes=64)
assert "Plaintext" not in hidden and len(kms.decrypt(CiphertextBlob=hidden["CiphertextBlob"])["Plaintext"]) == 64
refused("ValidationException", kms.generate_data_key, KeyId=key)
assert len(kms.generate_random(NumberOfBytes=33)["Plaintext"]) == 33
assert kms.generate_random(NumberOfBytes=33)["Plaintext"] != kms.generate_random(NumberOfBytes=33)["Plaintext"]

# Aliases.
for name in ["cargo", "mail", "post"]:
    kms.create_alias(AliasName="alias/" + name, TargetKeyId=key)
assert kms.encrypt(KeyId="alias/cargo", Plaintext=b"x")["KeyId"] == arn
assert [alias["AliasName"] for alias in pages(kms, "list_aliases", 3, KeyId=key)] == ["alias/cargo", "alias/mail", "alias/post"]
assert len(pages(kms, "list_aliases", 3)) >= 3
sentence = refused("AlreadyExistsException", kms.create_alias, AliasName="alias/cargo", TargetKeyId=second)
assert sentence == "An alias with the name %salias/cargo already exists" % KEYS, sentence
refused("InvalidAliasNameException", kms.create_alias, AliasName="cargo", TargetKeyId=second)
kms.update_alias(AliasName="alias/mail", TargetKeyId=second)
[alias] = kms.list_aliases(KeyId=second)["Aliases"]
assert (alias["AliasName"], alias["AliasArn"], alias["TargetKeyId"]) == ("alias/mail", KEYS + "alias/mail", second), alias
for name in ["mail", "post"]:
    kms.delete_alias(AliasName="alias/" + name)
sentence = refused("NotFoundException", kms.describe_key, KeyId="alias/mail")
assert sentence == "Alias %salias/mail is not found." % KEYS, sentence

# Tags.
kms.tag_resource(KeyId=key, Tags=[{"TagKey": "a", "TagValue": "1"}, {"TagKey": "b", "TagValue": ""}])
tags = {tag["TagKey"]: tag["TagValue"] for tag in pages(kms, "list_resource_tags", 3, KeyId=key)}
assert tags == {"a": "1", "b": "", "team": "cargo"}, tags
kms.untag_resource(KeyId=key, TagKeys=["a", "b"])
assert len(kms.list_resource_tags(KeyId=key)["Tags"]) == 1
refused("TagException", kms.tag_resource, KeyId=key, Tags=[{"TagKey": "aws:x", "TagValue": ""}])

# Rotation: what was encrypted before opens afterwards.
kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=180)
status = kms.get_key_rotation_status(KeyId=key)
assert (status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (True, 180), status
assert 179 <= (status["NextRotationDate"] - made["CreationDate"]).days <= 181
for _ in range(3):
    assert kms.rotate_key_on_demand(KeyId=key)["KeyId"] == key
rotations = pages(kms, "list_key_rotations", 3, KeyId=key)
assert [rotation["RotationType"] for rotation in rotations] == ["ON_DEMAND"] * 3, rotations
assert len({rotation["KeyMaterialId"] for rotation in rotations}) == 3
reopened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
assert reopened["Plaintext"] == b"spice" and reopened["KeyMaterialId"] == opened["KeyMaterialId"]
assert kms.decrypt(CiphertextBlob=kms.encrypt(KeyId=key, Plaintext=b"y")["CiphertextBlob"])["KeyMaterialId"] != opened["KeyMaterialId"]
kms.disable_key_rotation(KeyId=key)
assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False

# The key's policy decides: the account's own lets IAM policies count.
assert pages(kms, "list_key_policies", 1, KeyId=key) == ["default"]
usual = kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
assert '"AWS":"%sroot"' % IAM in usual.replace(" ", "").replace("\n", ""), usual
user = iam.create_user(UserName="clerk")["User"]
credentials = key_of(iam, "clerk")
as_clerk = client("kms", credentials)
message = refused("AccessDeniedException", as_clerk.encrypt, KeyId=key, Plaintext=b"x")
assert message == (
    "User: %s is not authorized to perform: kms:Encrypt on resource: %s "
    "because no identity-based policy allows the kms:Encrypt action" % (user["Arn"], arn)
), message
iam.put_user_policy(UserName="clerk", PolicyName="p", PolicyDocument=document(allow("kms:Encrypt", KEYS + "key/*")))
assert as_clerk.encrypt(KeyId="alias/cargo", Plaintext=b"x")["KeyId"] == arn
# Everything but what the clerk is asked for below: the account's IAM policies do not count for kms:Encrypt.
actions = ["kms:Put*", "kms:Get*", "kms:CreateGrant", "kms:*Key*", "kms:List*", "kms:Re*", "kms:Decrypt"]
root = {"Effect": "Allow", "Principal": {"AWS": IAM + "root"}, "Action": actions, "Resource": "*"}
clerk = {"Effect": "Allow", "Principal": {"AWS": user["Arn"]}, "Action": "kms:Decrypt", "Resource": "*"}
kms.put_key_policy(KeyId=key, PolicyName="default", Policy=document(root, clerk))
assert as_clerk.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)["Plaintext"] == b"spice"
message = refused("AccessDeniedException", as_clerk.encrypt, KeyId=key, Plaintext=b"x")
assert message.endswith("because no resource-based policy allows the kms:Encrypt action"), message
refused("MalformedPolicyDocumentException", kms.put_key_policy, KeyId=key, PolicyName="default", Policy="{")
# A policy under which nobody could change it again is not taken.
refused("MalformedPolicyDocumentException", kms.put_key_policy, KeyId=key, PolicyName="default", Policy=document(clerk))
kms.put_key_policy(KeyId=key, PolicyName="default", Policy=document(root))
refused("AccessDeniedException", as_clerk.decrypt, CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)

# Grants: for one operation, in one context, until they are taken back.
grant = {"KeyId": key, "GranteePrincipal": user["Arn"], "RetiringPrincipal": user["Arn"], "Operations": ["Decrypt", "RetireGrant"]}
granted = kms.create_grant(Name="night", Constraints={"EncryptionContextSubset": {"hold": "3"}}, **grant)
assert len(granted["GrantId"]) == 64
assert as_clerk.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)["Plaintext"] == b"spice"
other = kms.generate_data_key(KeyId=key, KeySpec="AES_128")["CiphertextBlob"]
refused("AccessDeniedException", as_clerk.decrypt, CiphertextBlob=other)
day = kms.create_grant(Name="day", **grant)
assert kms.create_grant(Name="day", **grant)["GrantId"] == day["GrantId"]
dusk = kms.create_grant(Name="dusk", **grant)
grants = {listed["Name"]: listed for listed in pages(kms, "list_grants", 3, KeyId=key)}
assert set(grants) == {"night", "day", "dusk"} and grants["night"]["Constraints"] == {"EncryptionContextSubset": {"hold": "3"}}, grants
assert grants["night"]["GranteePrincipal"] == user["Arn"] and grants["night"]["RetiringPrincipal"] == user["Arn"]
retirable = pages(kms, "list_retirable_grants", 3, RetiringPrincipal=user["Arn"])
assert [(listed["Name"], listed["KeyId"]) for listed in retirable] == [("night", arn), ("day", arn), ("dusk", arn)], retirable
refused("InvalidArnException", kms.list_retirable_grants, RetiringPrincipal=user["Arn"] + "-none")
assert as_clerk.decrypt(CiphertextBlob=other, GrantTokens=[day["GrantToken"]])["KeyId"] == arn
for listed in [day, dusk]:
    kms.revoke_grant(KeyId=key, GrantId=listed["GrantId"])
refused("AccessDeniedException", as_clerk.decrypt, CiphertextBlob=other)
as_clerk.retire_grant(GrantToken=granted["GrantToken"])
assert kms.list_grants(KeyId=key)["Grants"] == []
refused("NotFoundException", kms.revoke_grant, KeyId=key, GrantId=granted["GrantId"])
iam.delete_user_policy(UserName="clerk", PolicyName="p")
iam.delete_access_key(UserName="clerk", AccessKeyId=credentials["AccessKeyId"])
iam.delete_user(UserName="clerk")

# Off, on, and the long way to the end, which can be left.
kms.disable_key(KeyId=key)
assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
assert refused("DisabledException", kms.generate_data_key, KeyId=key, KeySpec="AES_256") == arn + " is disabled."
refused("DisabledException", kms.decrypt, CiphertextBlob=other)
kms.enable_key(KeyId=key)
assert kms.decrypt(CiphertextBlob=other)["KeyId"] == arn
refused("KMSInvalidStateException", kms.cancel_key_deletion, KeyId=key)
for listed in [key, second, third]:
    scheduled = kms.schedule_key_deletion(KeyId=listed, PendingWindowInDays=7)
    assert (scheduled["KeyState"], scheduled["PendingWindowInDays"]) == ("PendingDeletion", 7), scheduled
    assert 6 <= (scheduled["DeletionDate"] - made["CreationDate"]).days <= 8
assert refused("KMSInvalidStateException", kms.decrypt, CiphertextBlob=other) == arn + " is pending deletion."
refused("KMSInvalidStateException", kms.enable_key, KeyId=key)
refused("ValidationException", kms.schedule_key_deletion, KeyId=second, PendingWindowInDays=31)
assert kms.cancel_key_deletion(KeyId=key)["KeyId"] == arn
assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
finish()
