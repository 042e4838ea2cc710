"""Managed policies, what they are attached to, the report of the account, and trying out what policies allow."""

import json

from journey import ACCOUNT, IAM, MANAGED, allow, client, document, finish, key_of, pages, refused, trust

iam = client("iam")
push = document(allow(["ecr:PutImage", "ecr:BatchGetImage"], "arn:aws:ecr:*:%s:repository/ci/*" % ACCOUNT))

# A policy is made, waited for, and shown; its document comes back as it was.
team = [{"Key": "team", "Value": "ci"}]
made = iam.create_policy(PolicyName="Push", Path="/ci/", Description="for CI", PolicyDocument=push, Tags=team)["Policy"]
arn = made["Arn"]
assert (arn, made["DefaultVersionId"], made["AttachmentCount"], made["IsAttachable"]) == (IAM + "policy/ci/Push", "v1", 0, True), made
assert made["PolicyId"].startswith("ANPA") and made["Tags"] == team
iam.get_waiter("policy_exists").wait(PolicyArn=arn, WaiterConfig={"Delay": 1, "MaxAttempts": 2})
assert iam.get_policy(PolicyArn=arn)["Policy"]["Description"] == "for CI"
assert iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"] == json.loads(push)
taken = refused("EntityAlreadyExists", iam.create_policy, PolicyName="push", PolicyDocument=push)
assert taken == "A policy called push already exists. Duplicate names are not allowed.", taken
refused("MalformedPolicyDocument", iam.create_policy, PolicyName="Bad", PolicyDocument='{"Version": "2012-10-17"}')
principal = document({**allow("ecr:PutImage"), "Principal": "*"})
sentence = refused("MalformedPolicyDocument", iam.create_policy, PolicyName="Bad", PolicyDocument=principal)
assert sentence == "Policy document should not specify a principal.", sentence
huge = document(allow("ecr:PutImage", ["arn:aws:ecr:*:*:repository/%s%d" % ("x" * 60, number) for number in range(100)]))
sentence = refused("LimitExceeded", iam.create_policy, PolicyName="Huge", PolicyDocument=huge)
assert sentence == "Cannot exceed quota for PolicySize: 6144", sentence

# Versions: five at most, and the default one stays.
pull = document(allow("ecr:BatchGetImage"))
assert iam.create_policy_version(PolicyArn=arn, PolicyDocument=pull, SetAsDefault=True)["PolicyVersion"]["VersionId"] == "v2"
for number in range(3):
    assert iam.create_policy_version(PolicyArn=arn, PolicyDocument=push)["PolicyVersion"]["IsDefaultVersion"] is False
refused("LimitExceeded", iam.create_policy_version, PolicyArn=arn, PolicyDocument=push)
versions = pages(iam, "list_policy_versions", 5, PolicyArn=arn)
assert [version["VersionId"] for version in versions] == ["v5", "v4", "v3", "v2", "v1"], versions
assert [version["VersionId"] for version in versions if version["IsDefaultVersion"]] == ["v2"]
refused("DeleteConflict", iam.delete_policy_version, PolicyArn=arn, VersionId="v2")
iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v1"
refused("NoSuchEntity", iam.set_default_policy_version, PolicyArn=arn, VersionId="v2")

# Tags.
iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
assert [tag["Key"] for tag in pages(iam, "list_policy_tags", 3, PolicyArn=arn)] == ["a", "b", "team"]
iam.untag_policy(PolicyArn=arn, TagKeys=["a", "b"])
assert iam.list_policy_tags(PolicyArn=arn)["Tags"] == team

# Users, groups and roles get policies and let them go; the policy knows of all of them.
iam.create_user(UserName="ci-user", Path="/ci/")
iam.create_group(GroupName="ci-group", Path="/ci/")
iam.create_role(RoleName="ci-role", Path="/ci/", AssumeRolePolicyDocument=trust({"AWS": ACCOUNT}))
kinds = [("user", "UserName"), ("group", "GroupName"), ("role", "RoleName")]
managed = [arn, MANAGED + "AmazonEC2ContainerRegistryReadOnly", MANAGED + "IAMReadOnlyAccess"]
for kind, member in kinds:
    whom = {member: "ci-" + kind}
    for policy in managed:
        getattr(iam, "attach_%s_policy" % kind)(PolicyArn=policy, **whom)
    refused("NoSuchEntity", getattr(iam, "attach_%s_policy" % kind), PolicyArn=IAM + "policy/none", **whom)
    attached = pages(iam, "list_attached_%s_policies" % kind, 3, **whom)
    assert {policy["PolicyArn"] for policy in attached} == set(managed), attached
    assert getattr(iam, "list_attached_%s_policies" % kind)(PathPrefix="/ci/", **whom)["AttachedPolicies"][0]["PolicyName"] == "Push"
of_service = MANAGED + "aws-service-role/ECRReplicationServiceRolePolicy"
refused("PolicyNotAttachable", iam.attach_user_policy, UserName="ci-user", PolicyArn=of_service)
iam.create_user(UserName="bounded", Path="/ci/", PermissionsBoundary=arn)
assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 3
assert iam.get_policy(PolicyArn=arn)["Policy"]["PermissionsBoundaryUsageCount"] == 1
entities = pages(iam, "list_entities_for_policy", 4, PolicyArn=arn)
names = sorted(entity[member] for entity in entities for _, member in kinds if member in entity)
assert names == ["bounded", "ci-group", "ci-role", "ci-user"], names
[user] = iam.list_entities_for_policy(PolicyArn=arn, PolicyUsageFilter="PermissionsBoundary")["PolicyUsers"]
assert user["UserName"] == "bounded"
assert refused("DeleteConflict", iam.delete_policy, PolicyArn=arn) == "Cannot delete a policy attached to entities."
iam.delete_user(UserName="bounded")

# Listing: AWS's own and the account's.
for name in ["Second", "Third"]:
    iam.create_policy(PolicyName=name, PolicyDocument=pull)
own = [policy["PolicyName"] for policy in pages(iam, "list_policies", 3, Scope="Local")]
assert sorted(own) == ["Push", "Second", "Third"], own
theirs = {policy["PolicyName"] for policy in pages(iam, "list_policies", 10, Scope="AWS")}
assert {"AdministratorAccess", "PowerUserAccess", "AmazonEC2ContainerRegistryPullOnly"} <= theirs, theirs
assert len(pages(iam, "list_policies", 3, OnlyAttached=True)) == 3
refused("AccessDenied", iam.delete_policy, PolicyArn=MANAGED + "AdministratorAccess")

# The report of the account.
# A page has identities or policies, not both.
report = pages(iam, "get_account_authorization_details", 6, partly=1, Filter=["User", "Group", "Role", "LocalManagedPolicy"])
assert {entry[member] for entry in report for _, member in kinds if member in entry} == {"ci-user", "ci-group", "ci-role"}
users = iam.get_account_authorization_details(Filter=["User"])
assert users["GroupDetailList"] == [] and users["UserDetailList"][0]["Arn"] == IAM + "user/ci/ci-user"
whole = iam.get_account_authorization_details(Filter=["LocalManagedPolicy"])["Policies"]
documents = {policy["PolicyName"]: policy["PolicyVersionList"][-1]["Document"] for policy in whole}
assert documents["Push"] == json.loads(push), documents

# Trying out: a principal's policies, and policies that are nobody's yet.
images = ["arn:aws:ecr:us-east-1:%s:repository/%s" % (ACCOUNT, name) for name in ["ci/app", "other"]]


def decisions(results):
    return {(result["EvalActionName"], result["EvalResourceName"]): result["EvalDecision"] for result in results}


asked = {"PolicySourceArn": IAM + "user/ci/ci-user", "ActionNames": ["ecr:PutImage", "iam:GetUser"], "ResourceArns": images}
simulated = pages(iam, "simulate_principal_policy", 4, **asked)
assert decisions(simulated) == {
    ("ecr:PutImage", images[0]): "allowed",
    ("ecr:PutImage", images[1]): "implicitDeny",
    ("iam:GetUser", images[0]): "allowed",
    ("iam:GetUser", images[1]): "allowed",
}, simulated
[matched] = [s for r in simulated if r["EvalActionName"] == "ecr:PutImage" for s in r["MatchedStatements"]]
assert (matched["SourcePolicyId"], matched["SourcePolicyType"]) == ("Push", "user-managed"), matched
refused("NoSuchEntity", iam.simulate_principal_policy, PolicySourceArn=IAM + "user/ci/nobody", ActionNames=["ecr:PutImage"])
insecure = {"Bool": {"aws:SecureTransport": "false"}}
mostly = document(allow("ecr:*"), {"Effect": "Deny", "Action": "ecr:Delete*", "Resource": "*", "Condition": insecure})
asked = {"PolicyInputList": [mostly], "ActionNames": ["ecr:PutImage", "ecr:DeleteRepository", "kms:Decrypt"]}
entry = {"ContextKeyName": "aws:SecureTransport", "ContextKeyValues": ["false"], "ContextKeyType": "boolean"}
tried = pages(iam, "simulate_custom_policy", 3, ContextEntries=[entry], **asked)
assert [result["EvalDecision"] for result in tried] == ["allowed", "explicitDeny", "implicitDeny"], tried
missing = iam.simulate_custom_policy(**asked)["EvaluationResults"][1]
assert (missing["EvalDecision"], missing["MissingContextValues"]) == ("allowed", ["aws:SecureTransport"]), missing
within = iam.simulate_custom_policy(PermissionsBoundaryPolicyInputList=[pull], **asked)["EvaluationResults"][0]
assert within["EvalDecision"] == "implicitDeny"
assert within["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}, within

# What a simulation is to be told.
asked = iam.get_context_keys_for_custom_policy(PolicyInputList=[mostly, document(allow("s3:*", "arn:aws:s3:::${aws:username}/*"))])
assert asked["ContextKeyNames"] == ["aws:SecureTransport", "aws:username"], asked
refused("InvalidInput", iam.get_context_keys_for_custom_policy, PolicyInputList=["{"])
arns = {"PolicySourceArn": IAM + "user/ci/ci-user", "PolicyInputList": [mostly]}
assert iam.get_context_keys_for_principal_policy(**arns)["ContextKeyNames"] == ["aws:SecureTransport"]
refused("NoSuchEntity", iam.get_context_keys_for_principal_policy, PolicySourceArn=IAM + "user/ci/nobody")

# What was simulated is what is done.
ecr = client("ecr", key_of(iam, "ci-user"))
root = client("ecr")
for name in ["ci/app", "other"]:
    root.create_repository(repositoryName=name)
got = ecr.batch_get_image(repositoryName="other", imageIds=[{"imageTag": "none"}])
assert got["failures"][0]["failureCode"] == "ImageNotFound"
message = refused("AccessDeniedException", ecr.put_image, repositoryName="other", imageManifest="{}", imageTag="v1")
assert "ecr:PutImage on resource: %s because no identity-based policy allows" % images[1] in message, message
refused("AccessDeniedException", ecr.delete_repository, repositoryName="ci/app")
for name in ["ci/app", "other"]:
    root.delete_repository(repositoryName=name)

# And everything goes, in the order that IAM wants.
for kind, member in kinds:
    whom = {member: "ci-" + kind}
    if kind == "user":
        for key in iam.list_access_keys(**whom)["AccessKeyMetadata"]:
            iam.delete_access_key(AccessKeyId=key["AccessKeyId"], **whom)
    sentence = refused("DeleteConflict", getattr(iam, "delete_" + kind), **whom)
    assert sentence == "Cannot delete entity, must detach all policies first.", sentence
    for policy in managed:
        getattr(iam, "detach_%s_policy" % kind)(PolicyArn=policy, **whom)
    refused("NoSuchEntity", getattr(iam, "detach_%s_policy" % kind), PolicyArn=arn, **whom)
    getattr(iam, "delete_" + kind)(**whom)
assert "more than one version" in refused("DeleteConflict", iam.delete_policy, PolicyArn=arn)
for version in ["v3", "v4", "v5"]:
    iam.delete_policy_version(PolicyArn=arn, VersionId=version)
for name in ["ci/Push", "Second", "Third"]:
    iam.delete_policy(PolicyArn=IAM + "policy/" + name)
refused("NoSuchEntity", iam.get_policy, PolicyArn=arn)
assert iam.list_policies(Scope="Local")["Policies"] == []
finish()
