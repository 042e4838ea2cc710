"""Roles, the roles of services, instance profiles and identity providers."""

import json

import boto3

from journey import ACCOUNT, IAM, MANAGED, allow, client, document, finish, pages, refused, trust

iam = client("iam")
anyone = trust({"AWS": ACCOUNT})

# A role is made, waited for, shown and changed.
made = iam.create_role(
    RoleName="Builder",
    Path="/yard/",
    AssumeRolePolicyDocument=anyone,
    Description="builds",
    MaxSessionDuration=7200,
    PermissionsBoundary=MANAGED + "PowerUserAccess",
    Tags=[{"Key": "team", "Value": "ci"}],
)["Role"]
assert made["Arn"] == IAM + "role/yard/Builder" and made["RoleId"].startswith("AROA"), made
iam.get_waiter("role_exists").wait(RoleName="Builder", WaiterConfig={"Delay": 1, "MaxAttempts": 2})
shown = iam.get_role(RoleName="builder")["Role"]
assert shown["AssumeRolePolicyDocument"] == json.loads(anyone) and shown["MaxSessionDuration"] == 7200, shown
assert shown["PermissionsBoundary"]["PermissionsBoundaryArn"] == MANAGED + "PowerUserAccess"
assert (shown["Tags"], shown["RoleLastUsed"]) == ([{"Key": "team", "Value": "ci"}], {})
refused("EntityAlreadyExists", iam.create_role, RoleName="BUILDER", AssumeRolePolicyDocument=anyone)
nobody = trust({"AWS": IAM + "user/nobody"})
sentence = refused("MalformedPolicyDocument", iam.create_role, RoleName="Bad", AssumeRolePolicyDocument=nobody)
assert sentence == 'Invalid principal in policy: "AWS":"%suser/nobody"' % IAM, sentence
with_resource = trust({"AWS": ACCOUNT}, Resource="*")
sentence = refused("MalformedPolicyDocument", iam.create_role, RoleName="Bad", AssumeRolePolicyDocument=with_resource)
assert sentence == "Has prohibited field Resource.", sentence
iam.update_role(RoleName="Builder", Description="builds more", MaxSessionDuration=3600)
assert iam.update_role_description(RoleName="Builder", Description="builds most")["Role"]["Description"] == "builds most"
assert iam.get_role(RoleName="Builder")["Role"]["MaxSessionDuration"] == 3600
iam.update_assume_role_policy(RoleName="Builder", PolicyDocument=trust({"Service": "ec2.amazonaws.com"}))
assert iam.get_role(RoleName="Builder")["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}
refused("MalformedPolicyDocument", iam.update_assume_role_policy, RoleName="Builder", PolicyDocument="{")
iam.delete_role_permissions_boundary(RoleName="Builder")
assert "PermissionsBoundary" not in iam.get_role(RoleName="Builder")["Role"]
iam.put_role_permissions_boundary(RoleName="Builder", PermissionsBoundary=MANAGED + "AdministratorAccess")
assert iam.get_role(RoleName="Builder")["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == MANAGED + "AdministratorAccess"

# A trust policy follows a user's name, and shows the id of one that is gone.
gone = iam.create_user(UserName="gone")["User"]
iam.update_assume_role_policy(RoleName="Builder", PolicyDocument=trust({"AWS": gone["Arn"]}))
iam.delete_user(UserName="gone")
shown = iam.get_role(RoleName="Builder")["Role"]["AssumeRolePolicyDocument"]
assert shown["Statement"][0]["Principal"] == {"AWS": gone["UserId"]}, shown

iam.tag_role(RoleName="Builder", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
assert [tag["Key"] for tag in pages(iam, "list_role_tags", 3, RoleName="Builder")] == ["a", "b", "team"]
iam.untag_role(RoleName="Builder", TagKeys=["a", "b"])
assert len(iam.list_role_tags(RoleName="Builder")["Tags"]) == 1
for name in ["p", "q", "r"]:
    iam.put_role_policy(RoleName="Builder", PolicyName=name, PolicyDocument=document(allow("ecr:*")))
assert pages(iam, "list_role_policies", 3, RoleName="Builder") == ["p", "q", "r"]
assert iam.get_role_policy(RoleName="Builder", PolicyName="p")["PolicyDocument"]["Statement"] == [allow("ecr:*")]
refused("NoSuchEntity", iam.get_role_policy, RoleName="Builder", PolicyName="none")
for name in ["Shipper", "Tester"]:
    iam.create_role(RoleName=name, Path="/yard/", AssumeRolePolicyDocument=anyone)
assert [role["RoleName"] for role in pages(iam, "list_roles", 3, PathPrefix="/yard/")] == ["Builder", "Shipper", "Tester"]

# Names, texts and documents of more than letters; and boto3's resources, which load what they are asked for.
odd = "odd+=,.@-_"
quoted = {"StringLike": {"aws:PrincipalTag/größe": 'é + 100% &<>"'}}
text, tags = 'Größe:\n\t<ñ> & "+"', [{"Key": "größe", "Value": "ü +/=:.@"}]
iam.create_role(RoleName=odd, Description=text, AssumeRolePolicyDocument=anyone, Tags=tags)
unescaped = json.dumps({"Version": "2012-10-17", "Statement": [allow("ecr:*", Condition=quoted)]}, ensure_ascii=False)
iam.put_role_policy(RoleName=odd, PolicyName=odd, PolicyDocument=unescaped)
role = boto3.resource("iam").Role(odd)
assert (role.description, role.arn, role.tags) == (text, IAM + "role/" + odd, tags)
assert [policy.policy_document["Statement"] for policy in role.policies.all()] == [[allow("ecr:*", Condition=quoted)]]
role.attach_policy(PolicyArn=MANAGED + "IAMReadOnlyAccess")
assert [policy.policy_name for policy in role.attached_policies.all()] == ["IAMReadOnlyAccess"]
role.detach_policy(PolicyArn=MANAGED + "IAMReadOnlyAccess")
role.Policy(odd).delete()
role.delete()
refused("ValidationError", iam.create_role, RoleName="euro", Description="\u20ac", AssumeRolePolicyDocument=anyone)

# Roles of services are the service's: nobody changes what they may do.
linked = iam.create_service_linked_role(AWSServiceName="replication.ecr.amazonaws.com")["Role"]
assert linked["Arn"] == IAM + "role/aws-service-role/replication.ecr.amazonaws.com/AWSServiceRoleForECRReplication", linked
refused("InvalidInput", iam.create_service_linked_role, AWSServiceName="replication.ecr.amazonaws.com")
refused("InvalidInput", iam.create_service_linked_role, AWSServiceName="unknown.amazonaws.com")
refused("UnmodifiableEntity", iam.attach_role_policy, RoleName=linked["RoleName"], PolicyArn=MANAGED + "AdministratorAccess")
refused("UnmodifiableEntity", iam.update_assume_role_policy, RoleName=linked["RoleName"], PolicyDocument=anyone)
refused("UnmodifiableEntity", iam.delete_role, RoleName=linked["RoleName"])
task = iam.delete_service_linked_role(RoleName=linked["RoleName"])["DeletionTaskId"]
assert task.startswith("task/aws-service-role/replication.ecr.amazonaws.com/AWSServiceRoleForECRReplication/"), task
assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
refused("NoSuchEntity", iam.get_role, RoleName=linked["RoleName"])

# Instance profiles: one role each, and a role in as many as one likes.
for name in ["one", "two", "three"]:
    profile = iam.create_instance_profile(InstanceProfileName=name, Path="/fleet/")["InstanceProfile"]
    assert profile["Arn"] == IAM + "instance-profile/fleet/" + name and profile["Roles"] == [], profile
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName="Builder")
iam.get_waiter("instance_profile_exists").wait(InstanceProfileName="one", WaiterConfig={"Delay": 1, "MaxAttempts": 2})
refused("EntityAlreadyExists", iam.create_instance_profile, InstanceProfileName="ONE")
sentence = refused("LimitExceeded", iam.add_role_to_instance_profile, InstanceProfileName="one", RoleName="Shipper")
assert sentence == "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1", sentence
[role] = iam.get_instance_profile(InstanceProfileName="one")["InstanceProfile"]["Roles"]
assert role["Arn"] == IAM + "role/yard/Builder"
listed = pages(iam, "list_instance_profiles", 3, PathPrefix="/fleet/")
assert [profile["InstanceProfileName"] for profile in listed] == ["one", "three", "two"]
assert len(pages(iam, "list_instance_profiles_for_role", 3, RoleName="Builder")) == 3
refused("DeleteConflict", iam.delete_instance_profile, InstanceProfileName="one")
iam.tag_instance_profile(InstanceProfileName="one", Tags=[{"Key": key, "Value": "1"} for key in ["c", "a", "b"]])
assert [tag["Key"] for tag in pages(iam, "list_instance_profile_tags", 3, InstanceProfileName="one")] == ["a", "b", "c"]
iam.untag_instance_profile(InstanceProfileName="one", TagKeys=["a", "B"])
assert iam.get_instance_profile(InstanceProfileName="one")["InstanceProfile"]["Tags"] == [{"Key": "c", "Value": "1"}]
twice = [{"Key": key, "Value": "1"} for key in ["x", "X"]]
sentence = refused("InvalidInput", iam.tag_instance_profile, InstanceProfileName="one", Tags=twice)
assert sentence == "Duplicate tag keys found. Please note that Tag keys are case insensitive.", sentence
refused("NoSuchEntity", iam.list_instance_profile_tags, InstanceProfileName="none")

# A role goes when nothing hangs on it.
for take_away in [
    lambda: [iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName="Builder") for name in ["one", "two", "three"]],
    lambda: [iam.delete_role_policy(RoleName="Builder", PolicyName=name) for name in ["p", "q", "r"]],
]:
    refused("DeleteConflict", iam.delete_role, RoleName="Builder")
    take_away()
for name in ["one", "two", "three"]:
    iam.delete_instance_profile(InstanceProfileName=name)
refused("NoSuchEntity", iam.get_instance_profile, InstanceProfileName="one")
for name in ["Builder", "Shipper", "Tester"]:
    iam.delete_role(RoleName=name)
refused("NoSuchEntity", iam.delete_role, RoleName="Builder")

# Identity providers.
thumbprint = "990f4193972f2becf12ddeda5237f9c952f20d9e"
made = iam.create_open_id_connect_provider(
    Url="https://token.actions.githubusercontent.com",
    ClientIDList=["sts.amazonaws.com"],
    ThumbprintList=[thumbprint],
    Tags=[{"Key": "team", "Value": "ci"}],
)
provider = {"OpenIDConnectProviderArn": made["OpenIDConnectProviderArn"]}
assert provider["OpenIDConnectProviderArn"] == IAM + "oidc-provider/token.actions.githubusercontent.com", made
assert made["Tags"] == [{"Key": "team", "Value": "ci"}]
refused("EntityAlreadyExists", iam.create_open_id_connect_provider, Url="https://token.actions.githubusercontent.com")
refused("ValidationError", iam.create_open_id_connect_provider, Url="http://token.actions.githubusercontent.com")
iam.add_client_id_to_open_id_connect_provider(ClientID="other", **provider)
iam.remove_client_id_from_open_id_connect_provider(ClientID="sts.amazonaws.com", **provider)
iam.update_open_id_connect_provider_thumbprint(ThumbprintList=["a" * 40, "b" * 40], **provider)
refused("InvalidInput", iam.update_open_id_connect_provider_thumbprint, ThumbprintList=["a" * 40] * 6, **provider)
shown = iam.get_open_id_connect_provider(**provider)
assert shown["Url"] == "token.actions.githubusercontent.com" and shown["ClientIDList"] == ["other"], shown
assert shown["ThumbprintList"] == ["a" * 40, "b" * 40]
iam.tag_open_id_connect_provider(Tags=[{"Key": "cost", "Value": "1"}, {"Key": "TEAM", "Value": "ops"}], **provider)
assert [tag["Value"] for tag in pages(iam, "list_open_id_connect_provider_tags", 2, size=1, **provider)] == ["1", "ops"]
iam.untag_open_id_connect_provider(TagKeys=["cost", "none"], **provider)
assert iam.get_open_id_connect_provider(**provider)["Tags"] == [{"Key": "TEAM", "Value": "ops"}]
many = [{"Key": "k%d" % number, "Value": ""} for number in range(50)]
assert refused("LimitExceeded", iam.tag_open_id_connect_provider, Tags=many, **provider) == "Cannot exceed quota for TagsPerResource: 50"
assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == [{"Arn": provider["OpenIDConnectProviderArn"]}]
iam.delete_open_id_connect_provider(**provider)
refused("NoSuchEntity", iam.get_open_id_connect_provider, **provider)
refused("NoSuchEntity", iam.list_open_id_connect_provider_tags, **provider)
finish()
