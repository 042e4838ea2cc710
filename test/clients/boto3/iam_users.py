"""Users: their keys, groups, passwords, tags and inline policies, from the first to the last."""

from journey import IAM, MANAGED, allow, arn_of, client, document, finish, key_of, pages, refused

iam = client("iam")

# A user is made, waited for, shown, renamed and moved; its id stays.
made = iam.create_user(UserName="Alice", Path="/crew/", Tags=[{"Key": "team", "Value": "deck"}])["User"]
assert (made["Arn"], made["Path"], made["UserName"]) == (IAM + "user/crew/Alice", "/crew/", "Alice"), made
assert made["UserId"].startswith("AIDA") and made["Tags"] == [{"Key": "team", "Value": "deck"}]
iam.get_waiter("user_exists").wait(UserName="Alice", WaiterConfig={"Delay": 1, "MaxAttempts": 2})
assert "User with name alice already exists." == refused("EntityAlreadyExists", iam.create_user, UserName="alice")
iam.update_user(UserName="Alice", NewUserName="alice", NewPath="/crew/deck/")
shown = iam.get_user(UserName="ALICE")["User"]
assert (shown["Arn"], shown["UserId"]) == (IAM + "user/crew/deck/alice", made["UserId"])
assert shown["CreateDate"] == made["CreateDate"] and "PasswordLastUsed" not in shown
assert refused("NoSuchEntity", iam.get_user, UserName="nobody") == "The user with name nobody cannot be found."
for name in ["bob", "carol", "dave", "eve"]:
    iam.create_user(UserName=name, Path="/crew/")
names = [user["UserName"] for user in pages(iam, "list_users", 5, PathPrefix="/crew/")]
assert names == ["alice", "bob", "carol", "dave", "eve"], names

# Tags are one without regard to case.
iam.tag_user(UserName="alice", Tags=[{"Key": "Team", "Value": "bridge"}, {"Key": "cost", "Value": "1"}, {"Key": "rank", "Value": ""}])
tags = {tag["Key"]: tag["Value"] for tag in pages(iam, "list_user_tags", 3, UserName="alice")}
assert tags == {"Team": "bridge", "cost": "1", "rank": ""}, tags
iam.untag_user(UserName="alice", TagKeys=["cost", "rank", "none"])
assert iam.list_user_tags(UserName="alice")["Tags"] == [{"Key": "Team", "Value": "bridge"}]
twice = [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]
refused("InvalidInput", iam.tag_user, UserName="alice", Tags=twice)
many = [{"Key": "key%d" % number, "Value": "v"} for number in range(50)]
refused("LimitExceeded", iam.tag_user, UserName="alice", Tags=many)

# Keys: two at most; what a policy allows holds from the next request, and an inactive key opens nothing.
first, second = key_of(iam, "alice"), key_of(iam, "alice")
assert first["Status"] == "Active" and first["UserName"] == "alice" and len(first["SecretAccessKey"]) == 40
assert refused("LimitExceeded", iam.create_access_key, UserName="alice") == "Cannot exceed quota for AccessKeysPerUser: 2"
assert iam.get_access_key_last_used(AccessKeyId=second["AccessKeyId"])["AccessKeyLastUsed"]["ServiceName"] == "N/A"
assert arn_of(first) == IAM + "user/crew/deck/alice"
as_alice = client("iam", first)
message = refused("AccessDenied", as_alice.list_users)
assert message == (
    "User: %suser/crew/deck/alice is not authorized to perform: iam:ListUsers on resource: %suser/ "
    "because no identity-based policy allows the iam:ListUsers action" % (IAM, IAM)
), message
own = document(allow(["iam:GetUser", "iam:*AccessKey*", "iam:List*"], IAM + "user/crew/deck/${aws:username}"))
iam.put_user_policy(UserName="alice", PolicyName="own", PolicyDocument=own)
assert as_alice.get_user()["User"]["UserName"] == "alice"
refused("AccessDenied", as_alice.get_user, UserName="bob")
last = as_alice.get_access_key_last_used(AccessKeyId=first["AccessKeyId"])
assert last["UserName"] == "alice" and last["AccessKeyLastUsed"]["ServiceName"] in ("iam", "sts"), last
as_alice.update_access_key(AccessKeyId=second["AccessKeyId"], Status="Inactive")
refused("InvalidClientTokenId", client("sts", second).get_caller_identity)
listed = {key["AccessKeyId"]: key["Status"] for key in pages(as_alice, "list_access_keys", 2, size=1)}
assert listed == {first["AccessKeyId"]: "Active", second["AccessKeyId"]: "Inactive"}
iam.delete_access_key(UserName="alice", AccessKeyId=second["AccessKeyId"])
refused("NoSuchEntity", iam.delete_access_key, UserName="alice", AccessKeyId=second["AccessKeyId"])

# Inline policies: documents come back as they were; what is none, or too long, is not taken.
for name in ["a", "b"]:
    iam.put_user_policy(UserName="alice", PolicyName=name, PolicyDocument=document(allow("ecr:GetAuthorizationToken")))
assert pages(iam, "list_user_policies", 3, UserName="alice") == ["a", "b", "own"]
shown = iam.get_user_policy(UserName="alice", PolicyName="a")
assert (shown["UserName"], shown["PolicyName"]) == ("alice", "a")
assert shown["PolicyDocument"] == {"Version": "2012-10-17", "Statement": [allow("ecr:GetAuthorizationToken")]}, shown
for text, sentence in [
    ("{", "Syntax errors in policy."),
    (document(allow("GetUser")), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
    (document(allow("iam:GetUser", "user/alice")), 'Resource user/alice must be in ARN format or "*".'),
    (document(allow("iam:GetUser"), version="2008-10-17"), "Policy document must be version 2012-10-17 or greater."),
    (document({"Effect": "Allow", "Resource": "*"}), "Policy statement must contain actions."),
]:
    got = refused("MalformedPolicyDocument", iam.put_user_policy, UserName="alice", PolicyName="bad", PolicyDocument=text)
    assert got == sentence, got
long = document(allow(["ecr:Get%d" % number for number in range(200)]))
refused("LimitExceeded", iam.put_user_policy, UserName="alice", PolicyName="long", PolicyDocument=long)
iam.delete_user_policy(UserName="alice", PolicyName="b")
refused("NoSuchEntity", iam.get_user_policy, UserName="alice", PolicyName="b")

# Groups: members have what their group may.
for name in ["Stewards", "Pilots", "Cooks"]:
    group = iam.create_group(GroupName=name, Path="/crew/")["Group"]
    assert group["Arn"] == IAM + "group/crew/" + name and group["GroupId"].startswith("AGPA")
    iam.add_user_to_group(GroupName=name, UserName="alice")
for name in ["bob", "carol", "dave"]:
    iam.add_user_to_group(GroupName="pilots", UserName=name)
assert [user["UserName"] for user in pages(iam, "get_group", 4, GroupName="Pilots")] == ["alice", "bob", "carol", "dave"]
assert iam.get_group(GroupName="Cooks")["Group"]["GroupName"] == "Cooks"
assert [group["GroupName"] for group in pages(iam, "list_groups", 3, PathPrefix="/crew/")] == ["Cooks", "Pilots", "Stewards"]
assert len(pages(iam, "list_groups_for_user", 3, UserName="alice")) == 3
iam.update_group(GroupName="Cooks", NewGroupName="Chefs", NewPath="/galley/")
assert iam.get_group(GroupName="chefs")["Group"]["Arn"] == IAM + "group/galley/Chefs"
refused("EntityAlreadyExists", iam.create_group, GroupName="CHEFS")
refused("NoSuchEntity", iam.add_user_to_group, GroupName="Cooks", UserName="alice")
for name in ["x", "y", "z"]:
    iam.put_group_policy(GroupName="Pilots", PolicyName=name, PolicyDocument=document(allow("iam:ListGroups")))
assert pages(iam, "list_group_policies", 3, GroupName="Pilots") == ["x", "y", "z"]
assert iam.get_group_policy(GroupName="Pilots", PolicyName="x")["PolicyDocument"]["Statement"] == [allow("iam:ListGroups")]
bob = key_of(iam, "bob")
assert len(client("iam", bob).list_groups()["Groups"]) == 3
iam.remove_user_from_group(GroupName="Pilots", UserName="bob")
refused("AccessDenied", client("iam", bob).list_groups)
refused("NoSuchEntity", iam.remove_user_from_group, GroupName="Pilots", UserName="bob")

# A boundary takes away what it does not allow.
iam.attach_user_policy(UserName="bob", PolicyArn=MANAGED + "AdministratorAccess")
iam.put_user_permissions_boundary(UserName="bob", PermissionsBoundary=MANAGED + "IAMReadOnlyAccess")
assert iam.get_user(UserName="bob")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == MANAGED + "IAMReadOnlyAccess"
as_bob = client("iam", bob)
assert len(as_bob.list_groups()["Groups"]) == 3
message = refused("AccessDenied", as_bob.create_group, GroupName="mutineers")
assert message.endswith("because no permissions boundary allows the iam:CreateGroup action"), message
iam.delete_user_permissions_boundary(UserName="bob")
as_bob.create_group(GroupName="mutineers")
as_bob.delete_group(GroupName="mutineers")
assert iam.list_attached_user_policies(UserName="bob")["AttachedPolicies"][0]["PolicyName"] == "AdministratorAccess"

# Passwords, and the account's rules for them.
refused("NoSuchEntity", iam.get_account_password_policy)
refused("PasswordPolicyViolation", iam.create_login_profile, UserName="alice", Password="short")
profile = iam.create_login_profile(UserName="alice", Password="Harbour-Lights-1", PasswordResetRequired=True)["LoginProfile"]
assert profile["UserName"] == "alice" and profile["PasswordResetRequired"] is True
refused("EntityAlreadyExists", iam.create_login_profile, UserName="alice", Password="Harbour-Lights-1")
refused("AccessDenied", as_alice.change_password, OldPassword="Harbour-Lights-1", NewPassword="Harbour-Lights-2")
iam.update_account_password_policy(MinimumPasswordLength=14, RequireNumbers=True, AllowUsersToChangePassword=True)
rules = iam.get_account_password_policy()["PasswordPolicy"]
assert (rules["MinimumPasswordLength"], rules["RequireNumbers"], rules["RequireSymbols"]) == (14, True, False), rules
refused("PasswordPolicyViolation", as_alice.change_password, OldPassword="Harbour-Lights-1", NewPassword="Harbour-Lights")
as_alice.change_password(OldPassword="Harbour-Lights-1", NewPassword="Harbour-Lights-2")
refused("AccessDenied", as_alice.change_password, OldPassword="Harbour-Lights-1", NewPassword="Harbour-Lights-3")
assert iam.get_login_profile(UserName="alice")["LoginProfile"]["PasswordResetRequired"] is False
iam.update_login_profile(UserName="alice", Password="Harbour-Lights-4")
as_alice.change_password(OldPassword="Harbour-Lights-4", NewPassword="Harbour-Lights-5")
iam.delete_account_password_policy()
refused("NoSuchEntity", iam.delete_account_password_policy)

# What users do not have here is empty, and said about users that exist.
for method in ["list_mfa_devices", "list_ssh_public_keys", "list_signing_certificates"]:
    assert pages(iam, method, 0, UserName="alice") == []
    refused("NoSuchEntity", getattr(iam, method), UserName="nobody")
assert iam.list_service_specific_credentials(UserName="alice")["ServiceSpecificCredentials"] == []
assert pages(iam, "list_virtual_mfa_devices", 0, AssignmentStatus="Assigned") == []

# The account.
iam.create_account_alias(AccountAlias="supercargo")
assert pages(iam, "list_account_aliases", 1) == ["supercargo"]
refused("NoSuchEntity", iam.delete_account_alias, AccountAlias="other")
iam.delete_account_alias(AccountAlias="supercargo")
assert iam.list_account_aliases()["AccountAliases"] == []
summary = iam.get_account_summary()["SummaryMap"]
assert (summary["Users"], summary["Groups"], summary["AccessKeysPerUserQuota"]) == (5, 3, 2), summary
assert summary["AccountAccessKeysPresent"] == 1 and summary["AccountMFAEnabled"] == 0

# Nothing goes while something hangs on it.
conflicts = [
    ("must delete access keys first", lambda: iam.delete_access_key(UserName="alice", AccessKeyId=first["AccessKeyId"])),
    ("must delete login profile first", lambda: iam.delete_login_profile(UserName="alice")),
    ("must delete policies first", lambda: [iam.delete_user_policy(UserName="alice", PolicyName=name) for name in ["a", "own"]]),
    (
        "must remove users from group first",
        lambda: [iam.remove_user_from_group(GroupName=name, UserName="alice") for name in ["Chefs", "Pilots", "Stewards"]],
    ),
]
left = {sentence for sentence, _ in conflicts}
by_sentence = dict(conflicts)
while left:
    message = refused("DeleteConflict", iam.delete_user, UserName="alice")
    sentence = next((sentence for sentence in left if sentence in message), None)
    assert sentence is not None, message
    by_sentence[sentence]()
    left.remove(sentence)
iam.delete_user(UserName="alice")
refused("NoSuchEntity", iam.delete_user, UserName="alice")
refused("InvalidClientTokenId", client("sts", first).get_caller_identity)
refused("DeleteConflict", iam.delete_group, GroupName="Pilots")
for name in ["x", "y", "z"]:
    iam.delete_group_policy(GroupName="Pilots", PolicyName=name)
for name in ["carol", "dave"]:
    iam.remove_user_from_group(GroupName="Pilots", UserName=name)
for name in ["Pilots", "Chefs", "Stewards"]:
    iam.delete_group(GroupName=name)
iam.detach_user_policy(UserName="bob", PolicyArn=MANAGED + "AdministratorAccess")
iam.delete_access_key(UserName="bob", AccessKeyId=bob["AccessKeyId"])
for name in ["bob", "carol", "dave", "eve"]:
    iam.delete_user(UserName=name)
assert iam.list_users()["Users"] == [] and iam.list_groups()["Groups"] == []
finish()
