"""Two accounts: what crosses between them needs the yes of both."""

import os

from journey import ACCOUNT, IAM, allow, arn_of, client, document, finish, key_of, refused, trust

# The root key of another account of the same deployment.
OTHER = os.environ["JOURNEY_OTHER_ACCOUNT"]
other = {"AccessKeyId": os.environ["JOURNEY_OTHER_KEY_ID"], "SecretAccessKey": os.environ["JOURNEY_OTHER_SECRET"]}
THEIRS = "arn:aws:iam::%s:" % OTHER

iam = client("iam")
their_iam = client("iam", other)
assert arn_of(other) == THEIRS + "root"
guest = their_iam.create_user(UserName="guest")["User"]
key = key_of(their_iam, "guest")
refused("NoSuchEntity", iam.get_user, UserName="guest")
assert "guest" not in [user["UserName"] for user in iam.list_users()["Users"]]


def may(*actions):
    """The one policy of the guest."""
    their_iam.put_user_policy(UserName="guest", PolicyName="p", PolicyDocument=document(allow(list(actions))))


# A role: its trust policy, the guest's own policy, and what they agreed upon.
agreed = {"StringEquals": {"sts:ExternalId": "agreed"}}
iam.create_role(RoleName="Visitor", AssumeRolePolicyDocument=trust({"AWS": THEIRS + "root"}, Condition=agreed))
as_guest = client("sts", key)
visit = {"RoleArn": IAM + "role/Visitor", "RoleSessionName": "visit"}
message = refused("AccessDenied", as_guest.assume_role, ExternalId="agreed", **visit)
assert message.endswith("because no identity-based policy allows the sts:AssumeRole action"), message
may("sts:AssumeRole")
message = refused("AccessDenied", as_guest.assume_role, **visit)
assert message.endswith("because no role trust policy allows the sts:AssumeRole action"), message
session = as_guest.assume_role(ExternalId="agreed", **visit)["Credentials"]
assert arn_of(session) == "arn:aws:sts::%s:assumed-role/Visitor/visit" % ACCOUNT
iam.delete_role(RoleName="Visitor")

# A key.
kms = client("kms")
arn = kms.create_key()["KeyMetadata"]["Arn"]
their_kms = client("kms", key)
may("kms:Encrypt")
refused("AccessDeniedException", their_kms.encrypt, KeyId=arn, Plaintext=b"x")
root = {"Effect": "Allow", "Principal": {"AWS": IAM + "root"}, "Action": "kms:*", "Resource": "*"}
shared = {"Effect": "Allow", "Principal": {"AWS": THEIRS + "root"}, "Action": "kms:Encrypt", "Resource": "*"}
kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=document(root, shared))
sealed = their_kms.encrypt(KeyId=arn, Plaintext=b"across")
assert sealed["KeyId"] == arn and kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"])["Plaintext"] == b"across"
# A grant stands for the key's policy, not for the guest's.
opening = {"CiphertextBlob": sealed["CiphertextBlob"]}
grant = kms.create_grant(KeyId=arn, GranteePrincipal=guest["Arn"], Operations=["Decrypt"])
message = refused("AccessDeniedException", their_kms.decrypt, **opening)
assert message.endswith("because no identity-based policy allows the kms:Decrypt action"), message
may("kms:Encrypt", "kms:Decrypt")
assert their_kms.decrypt(**opening)["Plaintext"] == b"across"
kms.revoke_grant(KeyId=arn, GrantId=grant["GrantId"])
message = refused("AccessDeniedException", their_kms.decrypt, **opening)
assert message.endswith("because no resource-based policy allows the kms:Decrypt action"), message
refused("NotFoundException", their_kms.encrypt, KeyId=arn.rsplit("/", 1)[1], Plaintext=b"x")
kms.schedule_key_deletion(KeyId=arn)

# A repository.
ecr = client("ecr")
ecr.create_repository(repositoryName="shared")
their_ecr = client("ecr", key)
asked = {"registryId": ACCOUNT, "repositoryName": "shared"}
may("ecr:ListImages")
message = refused("AccessDeniedException", their_ecr.list_images, **asked)
assert message.endswith("because no resource-based policy allows the ecr:ListImages action"), message
lets = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "ecr:ListImages"}
ecr.set_repository_policy(repositoryName="shared", policyText=document(lets))
assert their_ecr.list_images(**asked)["imageIds"] == []
may("ecr:DescribeImages")
refused("AccessDeniedException", their_ecr.list_images, **asked)
ecr.delete_repository(repositoryName="shared")

their_iam.delete_user_policy(UserName="guest", PolicyName="p")
their_iam.delete_access_key(UserName="guest", AccessKeyId=key["AccessKeyId"])
their_iam.delete_user(UserName="guest")
finish()
