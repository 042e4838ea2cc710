"""Secrets: their values, versions, labels, tags and policies, their deletion and their return."""

from journey import ACCOUNT, IAM, allow, client, document, finish, key_of, pages, refused

secrets = client("secretsmanager")
iam = client("iam")

# A secret is made and read.
made = secrets.create_secret(Name="prod/db", Description="the database", SecretString="first", Tags=[{"Key": "team", "Value": "data"}])
arn, first = made["ARN"], made["VersionId"]
prefix = "arn:aws:secretsmanager:us-east-1:%s:secret:prod/db-" % ACCOUNT
assert arn.startswith(prefix) and len(arn) == len(prefix) + 6 and made["Name"] == "prod/db", made
value = secrets.get_secret_value(SecretId="prod/db")
assert (value["SecretString"], value["VersionId"], value["VersionStages"]) == ("first", first, ["AWSCURRENT"]), value
assert "SecretBinary" not in value
sentence = refused("ResourceExistsException", secrets.create_secret, Name="prod/db", SecretString="other")
assert sentence == "The operation failed because the secret prod/db already exists.", sentence
sentence = refused("ResourceNotFoundException", secrets.get_secret_value, SecretId="prod/none")
assert sentence == "Secrets Manager can't find the specified secret.", sentence
refused("ValidationException", secrets.create_secret, Name="a b", SecretString="x")
refused("InvalidParameterException", secrets.create_secret, Name="both", SecretString="x", SecretBinary=b"x")

# A new version is the current one, and the one before is remembered; a token makes the same version once.
token = "0123456789abcdef0123456789abcdef"
for _ in range(2):
    put = secrets.put_secret_value(SecretId=arn, SecretBinary=bytes(range(256)), ClientRequestToken=token)
    assert (put["VersionId"], put["VersionStages"]) == (token, ["AWSCURRENT"]), put
refused("ResourceExistsException", secrets.put_secret_value, SecretId=arn, SecretString="other", ClientRequestToken=token)
assert secrets.get_secret_value(SecretId=arn)["SecretBinary"] == bytes(range(256))
assert secrets.get_secret_value(SecretId=arn, VersionStage="AWSPREVIOUS")["SecretString"] == "first"
assert secrets.get_secret_value(SecretId=arn, VersionId=first)["VersionStages"] == ["AWSPREVIOUS"]
missing = refused("ResourceNotFoundException", secrets.get_secret_value, SecretId=arn, VersionStage="NONE")
assert missing == "Secrets Manager can't find the specified secret value for staging label: NONE", missing
secrets.put_secret_value(SecretId=arn, SecretString="candidate", VersionStages=["CANDIDATE"])
updated = secrets.update_secret(SecretId=arn, Description="the new database", SecretString="third")
assert secrets.get_secret_value(SecretId=arn)["VersionId"] == updated["VersionId"]
described = secrets.describe_secret(SecretId="prod/db")
stages = {stage: version for version, listed in described["VersionIdsToStages"].items() for stage in listed}
assert set(stages) == {"AWSCURRENT", "AWSPREVIOUS", "CANDIDATE"} and stages["AWSPREVIOUS"] == token, described
assert (described["Description"], described["Tags"]) == ("the new database", [{"Key": "team", "Value": "data"}])
assert "LastAccessedDate" in described and "DeletedDate" not in described

# Labels move without a value, as a rotation moves them.
move = {"SecretId": arn, "VersionStage": "AWSCURRENT"}
candidate = stages["CANDIDATE"]
sentence = refused("InvalidParameterException", secrets.update_secret_version_stage, MoveToVersionId=candidate, **move)
assert sentence.endswith("so you must explicitly reference that version in RemoveFromVersionId."), sentence
for new, old in [(candidate, updated["VersionId"]), (updated["VersionId"], candidate)]:
    assert secrets.update_secret_version_stage(MoveToVersionId=new, RemoveFromVersionId=old, **move)["ARN"] == arn
    assert secrets.get_secret_value(SecretId=arn)["VersionId"] == new
    assert secrets.get_secret_value(SecretId=arn, VersionStage="AWSPREVIOUS")["VersionId"] == old
refused("InvalidParameterException", secrets.update_secret_version_stage, RemoveFromVersionId=updated["VersionId"], **move)
refused("ResourceNotFoundException", secrets.update_secret_version_stage, SecretId=arn, VersionStage="X", MoveToVersionId="0" * 32)

# All versions, a page at a time; botocore has no paginator for them.
seen, more = [], {}
while True:
    page = secrets.list_secret_version_ids(SecretId=arn, IncludeDeprecated=True, MaxResults=2, **more)
    assert len(page["Versions"]) <= 2
    seen += [version["VersionId"] for version in page["Versions"]]
    if "NextToken" not in page:
        break
    more = {"NextToken": page["NextToken"]}
assert len(seen) == len(set(seen)) == 4 and {first, token, updated["VersionId"]} < set(seen), seen
assert first not in [version["VersionId"] for version in secrets.list_secret_version_ids(SecretId=arn)["Versions"]]
refused("InvalidNextTokenException", secrets.list_secret_version_ids, SecretId=arn, NextToken="none")

# Tags, listing and filters.
secrets.tag_resource(SecretId=arn, Tags=[{"Key": "team", "Value": "ops"}, {"Key": "cost", "Value": "1"}])
secrets.untag_resource(SecretId=arn, TagKeys=["cost"])
assert secrets.describe_secret(SecretId=arn)["Tags"] == [{"Key": "team", "Value": "ops"}]
for number in range(4):
    secrets.create_secret(Name="test/%d" % number, SecretString="x")
names = [secret["Name"] for secret in pages(secrets, "list_secrets", 5)]
assert sorted(names) == ["prod/db", "test/0", "test/1", "test/2", "test/3"], names
found = pages(secrets, "list_secrets", 4, Filters=[{"Key": "name", "Values": ["test/"]}], SortOrder="desc")
assert {secret["Name"] for secret in found} == {"test/%d" % number for number in range(4)}, found
assert [secret["Name"] for secret in secrets.list_secrets(Filters=[{"Key": "tag-value", "Values": ["ops"]}])["SecretList"]] == ["prod/db"]

# Several values at once, by name or by filter; what cannot be read says why. botocore has no paginator for them.
batch = secrets.batch_get_secret_value(SecretIdList=["test/1", arn, "test/none"])
assert [value["Name"] for value in batch["SecretValues"]] == ["test/1", "prod/db"], batch
assert [(error["SecretId"], error["ErrorCode"]) for error in batch["Errors"]] == [("test/none", "ResourceNotFoundException")], batch
seen, more = [], {}
while True:
    page = secrets.batch_get_secret_value(Filters=[{"Key": "name", "Values": ["test/"]}], MaxResults=3, **more)
    seen += [value["SecretString"] for value in page["SecretValues"]]
    if "NextToken" not in page:
        break
    more = {"NextToken": page["NextToken"]}
assert seen == ["x"] * 4 and more, seen
refused("InvalidParameterException", secrets.batch_get_secret_value)
refused("InvalidParameterException", secrets.batch_get_secret_value, SecretIdList=[arn], MaxResults=3)
refused("InvalidNextTokenException", secrets.batch_get_secret_value, Filters=[{"Key": "all", "Values": ["x"]}], NextToken="none")

# Passwords.
assert len(secrets.get_random_password()["RandomPassword"]) == 32
plain = secrets.get_random_password(PasswordLength=8, ExcludePunctuation=True, ExcludeUppercase=True, ExcludeCharacters="0")["RandomPassword"]
assert len(plain) == 8 and plain.isalnum() and plain == plain.lower() and "0" not in plain, plain
sentence = refused("InvalidParameterException", secrets.get_random_password, PasswordLength=3)
assert sentence == "Password length is too short based on the required types.", sentence

# A policy on the secret lets a user read it, and its Deny is stronger than what the user may.
user = iam.create_user(UserName="reader")["User"]
key = key_of(iam, "reader")
as_reader = client("secretsmanager", key)
message = refused("AccessDeniedException", as_reader.get_secret_value, SecretId="prod/db")
# The action of a caller who may not know of the secret is on the name that it gave.
assert message.startswith("User: %suser/reader is not authorized to perform: secretsmanager:GetSecretValue on resource: " % IAM), message
assert message.endswith("because no identity-based policy allows the secretsmanager:GetSecretValue action"), message
refused("ResourceNotFoundException", secrets.get_resource_policy, SecretId="none")
assert "ResourcePolicy" not in secrets.get_resource_policy(SecretId=arn)
policy = document({"Effect": "Allow", "Principal": {"AWS": user["Arn"]}, "Action": "secretsmanager:GetSecretValue", "Resource": "*"})
assert secrets.put_resource_policy(SecretId=arn, ResourcePolicy=policy, BlockPublicPolicy=True)["ARN"] == arn
assert secrets.get_resource_policy(SecretId=arn)["ResourcePolicy"] == policy
assert as_reader.get_secret_value(SecretId="prod/db")["SecretString"] == "third"
refused("AccessDeniedException", as_reader.put_secret_value, SecretId="prod/db", SecretString="mine")
iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=document(allow("secretsmanager:*")))
as_reader.put_secret_value(SecretId="prod/db", SecretString="mine")
deny = document({"Effect": "Deny", "Principal": {"AWS": user["Arn"]}, "Action": "secretsmanager:PutSecretValue", "Resource": "*"})
secrets.put_resource_policy(SecretId=arn, ResourcePolicy=deny)
message = refused("AccessDeniedException", as_reader.put_secret_value, SecretId=arn, SecretString="mine")
assert message.endswith("with an explicit deny in a resource-based policy"), message
public = document({"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"})
refused("PublicPolicyException", secrets.put_resource_policy, SecretId=arn, ResourcePolicy=public, BlockPublicPolicy=True)
refused("MalformedPolicyDocumentException", secrets.put_resource_policy, SecretId=arn, ResourcePolicy="{")
assert secrets.validate_resource_policy(SecretId=arn, ResourcePolicy=policy)["PolicyValidationPassed"] is True
judged = secrets.validate_resource_policy(ResourcePolicy=public)
assert (judged["PolicyValidationPassed"], len(judged["ValidationErrors"])) == (False, 1), judged
refused("MalformedPolicyDocumentException", secrets.validate_resource_policy, ResourcePolicy="{")
secrets.delete_resource_policy(SecretId=arn)
as_reader.put_secret_value(SecretId=arn, SecretString="mine")
iam.delete_user_policy(UserName="reader", PolicyName="p")
iam.delete_access_key(UserName="reader", AccessKeyId=key["AccessKeyId"])
iam.delete_user(UserName="reader")

# Deletion waits, and can be taken back; at once is for good.
gone = secrets.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
assert gone["ARN"] == arn and 6 < (gone["DeletionDate"] - described["CreatedDate"]).days + 1 <= 8, gone
sentence = refused("InvalidRequestException", secrets.get_secret_value, SecretId=arn)
assert sentence == "You can't perform this operation on the secret because it was marked for deletion.", sentence
refused("InvalidRequestException", secrets.create_secret, Name="prod/db", SecretString="x")
assert "DeletedDate" in secrets.describe_secret(SecretId=arn)
assert secrets.restore_secret(SecretId=arn)["Name"] == "prod/db"
assert secrets.get_secret_value(SecretId=arn)["SecretString"] == "mine"
refused("InvalidParameterException", secrets.delete_secret, SecretId=arn, RecoveryWindowInDays=3)
refused("InvalidParameterException", secrets.delete_secret, SecretId=arn, RecoveryWindowInDays=7, ForceDeleteWithoutRecovery=True)
for name in ["prod/db"] + ["test/%d" % number for number in range(4)]:
    secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
refused("ResourceNotFoundException", secrets.describe_secret, SecretId=arn)
assert secrets.list_secrets(IncludePlannedDeletion=True)["SecretList"] == []
finish()
