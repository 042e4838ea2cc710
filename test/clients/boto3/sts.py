"""Sessions: of roles, of those whom an identity provider vouches for, of users, and of those whom users vouch for."""

import os
import tempfile
import time
import urllib.error
import urllib.request

import boto3

from journey import ACCOUNT, IAM, MANAGED, allow, always_refused, arn_of, client, document, finish, key_of, refused, trust

# The identity provider, and a token of it for the audience `sts.amazonaws.com` and the subject `repo:org/app`.
ISSUER = os.environ["JOURNEY_ISSUER"]
TOKEN = os.environ["JOURNEY_TOKEN"]
SESSIONS = "arn:aws:sts::%s:" % ACCOUNT

iam = client("iam")
root = client("sts")
me = root.get_caller_identity()
assert (me["Arn"], me["UserId"], me["Account"]) == (IAM + "root", ACCOUNT, ACCOUNT), me

user = iam.create_user(UserName="captain")["User"]
captain = key_of(iam, "captain")
with_marks = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
role = iam.create_role(RoleName="Helm", AssumeRolePolicyDocument=trust({"AWS": user["Arn"]}, with_marks))["Role"]
iam.put_role_policy(RoleName="Helm", PolicyName="p", PolicyDocument=document(allow(["iam:ListRoles", "iam:ListUsers", "sts:*"])))
helm = role["Arn"]
as_captain = client("sts", captain)
assert as_captain.get_caller_identity()["UserId"] == user["UserId"]

# A role that does not trust the user is refused in the same words as one that does not exist.
iam.create_role(RoleName="Closed", AssumeRolePolicyDocument=trust({"Service": "ec2.amazonaws.com"}))
for statement, reason in [
    (allow("iam:GetUser"), "because no identity-based policy allows the sts:AssumeRole action"),
    (allow("sts:AssumeRole"), "because no role trust policy allows the sts:AssumeRole action"),
]:
    iam.put_user_policy(UserName="captain", PolicyName="p", PolicyDocument=document(statement))
    for name in ["Closed", "none"]:
        sentence = refused("AccessDenied", as_captain.assume_role, RoleArn=IAM + "role/" + name, RoleSessionName="watch")
        expected = "User: %suser/captain is not authorized to perform: sts:AssumeRole on resource: %srole/%s %s" % (IAM, IAM, name, reason)
        assert sentence == expected, sentence
iam.delete_user_policy(UserName="captain", PolicyName="p")
iam.delete_role(RoleName="Closed")

# The trust policy names the user, so no policy of its own is needed; root takes no roles.
refused("AccessDenied", root.assume_role, RoleArn=helm, RoleSessionName="watch")
answer = as_captain.assume_role(
    RoleArn=helm,
    RoleSessionName="watch",
    DurationSeconds=900,
    SourceIdentity="captain",
    Tags=[{"Key": "deck", "Value": "upper"}],
    TransitiveTagKeys=["deck"],
)
assert answer["AssumedRoleUser"] == {"AssumedRoleId": role["RoleId"] + ":watch", "Arn": SESSIONS + "assumed-role/Helm/watch"}, answer
assert answer["SourceIdentity"] == "captain" and answer["PackedPolicySize"] > 0
session = answer["Credentials"]
assert session["AccessKeyId"].startswith("ASIA") and arn_of(session) == SESSIONS + "assumed-role/Helm/watch"
assert 800 < session["Expiration"].timestamp() - time.time() < 905
as_helm = client("iam", session)
assert "Helm" in [listed["RoleName"] for listed in as_helm.list_roles()["Roles"]]
message = refused("AccessDenied", as_helm.list_groups)
assert message.startswith("User: %sassumed-role/Helm/watch is not authorized to perform: iam:ListGroups" % SESSIONS), message
assert iam.get_role(RoleName="Helm")["Role"]["RoleLastUsed"]["Region"] == "us-east-1"
refused("InvalidClientTokenId", client("sts", {**session, "SessionToken": session["SessionToken"][:-8] + "AAAAAAAA"}).get_caller_identity)
refused("InvalidClientTokenId", client("sts", {**session, "SessionToken": None}).get_caller_identity)

# A session policy only takes away.
narrow = document(allow(["iam:ListRoles", "iam:ListGroups"]))
limited = as_captain.assume_role(RoleArn=helm, RoleSessionName="narrow", Policy=narrow)["Credentials"]
assert client("iam", limited).list_roles()["Roles"]
message = refused("AccessDenied", client("iam", limited).list_users)
assert message.endswith("because no session policy allows the iam:ListUsers action"), message
refused("AccessDenied", client("iam", limited).list_groups)
by_arn = as_captain.assume_role(RoleArn=helm, RoleSessionName="arns", PolicyArns=[{"arn": MANAGED + "IAMReadOnlyAccess"}])["Credentials"]
assert client("iam", by_arn).list_users()["Users"]
refused("MalformedPolicyDocument", as_captain.assume_role, RoleArn=helm, RoleSessionName="bad", Policy="{}")
refused("ValidationError", as_captain.assume_role, RoleArn=helm, RoleSessionName="long", DurationSeconds=7200)

# Chains: an hour at most; tags that are passed on, and the source identity, stay.
conditions = {"StringEquals": {"aws:PrincipalTag/deck": "upper", "aws:SourceIdentity": "captain"}}
iam.create_role(RoleName="Lookout", AssumeRolePolicyDocument=trust({"AWS": helm}, with_marks, Condition=conditions))
lookout = IAM + "role/Lookout"
chained = client("sts", session).assume_role(RoleArn=lookout, RoleSessionName="mast")
assert (chained["AssumedRoleUser"]["Arn"], chained["SourceIdentity"]) == (SESSIONS + "assumed-role/Lookout/mast", "captain"), chained
refused("AccessDenied", client("sts", limited).assume_role, RoleArn=lookout, RoleSessionName="mast")
refused("ValidationError", client("sts", session).assume_role, RoleArn=lookout, RoleSessionName="mast", DurationSeconds=3601)

# Tokens of an identity provider.
provider = iam.create_open_id_connect_provider(Url="https://" + ISSUER, ClientIDList=["sts.amazonaws.com"])["OpenIDConnectProviderArn"]
subject = {"StringEquals": {ISSUER + ":aud": "sts.amazonaws.com"}, "StringLike": {ISSUER + ":sub": "repo:org/*"}}
by_token = trust({"Federated": provider}, ["sts:AssumeRoleWithWebIdentity"], Condition=subject)
iam.create_role(RoleName="Ci", AssumeRolePolicyDocument=by_token)
web = {"RoleArn": IAM + "role/Ci", "RoleSessionName": "run", "WebIdentityToken": TOKEN}
answer = root.assume_role_with_web_identity(**web)
assert (answer["Provider"], answer["Audience"]) == (provider, "sts.amazonaws.com"), answer
assert answer["SubjectFromWebIdentityToken"] == "repo:org/app"
assert arn_of(answer["Credentials"]) == SESSIONS + "assumed-role/Ci/run"
refused("InvalidIdentityToken", root.assume_role_with_web_identity, **{**web, "WebIdentityToken": TOKEN[:-8] + "AAAAAAAA"})
sentence = refused("AccessDenied", root.assume_role_with_web_identity, **{**web, "RoleArn": helm})
assert sentence == "Not authorized to perform sts:AssumeRoleWithWebIdentity", sentence

# Pods are given the token in a file, and boto3 finds its way alone.
with tempfile.NamedTemporaryFile("w") as file:
    file.write(TOKEN)
    file.flush()
    keys = {name: os.environ.pop(name) for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]}
    os.environ.update(AWS_ROLE_ARN=IAM + "role/Ci", AWS_WEB_IDENTITY_TOKEN_FILE=file.name, AWS_ROLE_SESSION_NAME="pod")
    assert boto3.Session().client("sts").get_caller_identity()["Arn"] == SESSIONS + "assumed-role/Ci/pod"
    for name in ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME"]:
        del os.environ[name]
    os.environ.update(keys)

# Sessions of a user, and of those whom it vouches for; only its key makes them.
own = document(allow(["sts:GetFederationToken", "ecr:*", "iam:ListUsers"]))
iam.put_user_policy(UserName="captain", PolicyName="p", PolicyDocument=own)
own = as_captain.get_session_token(DurationSeconds=900)["Credentials"]
assert arn_of(own) == user["Arn"]
client("ecr", own).describe_repositories()
# Without a second factor such a session does not reach IAM.
refused("InvalidClientTokenId", client("iam", own).list_users)
sentence = refused("AccessDenied", client("sts", own).get_session_token)
assert sentence == "Cannot call GetSessionToken with session credentials", sentence
guest = as_captain.get_federation_token(Name="guest", Policy=document(allow("ecr:DescribeRepositories")), DurationSeconds=900)
assert guest["FederatedUser"] == {"FederatedUserId": ACCOUNT + ":guest", "Arn": SESSIONS + "federated-user/guest"}, guest
assert arn_of(guest["Credentials"]) == SESSIONS + "federated-user/guest"
client("ecr", guest["Credentials"]).describe_repositories()
refused("AccessDeniedException", client("ecr", guest["Credentials"]).create_repository, repositoryName="guest")

# Presigned, as a proof of who one is: boto3 signs a POST unless it is told otherwise.
for method in ["GET", "POST"]:
    url = as_captain.generate_presigned_url("get_caller_identity", HttpMethod=method, ExpiresIn=60)
    with urllib.request.urlopen(urllib.request.Request(url, method=method)) as proof:
        assert user["Arn"] in proof.read().decode()
try:
    urllib.request.urlopen(urllib.request.Request(url.replace("GetCallerIdentity", "GetSessionToken"), method="POST"))
    raise AssertionError("another operation than the signed one was answered")
except urllib.error.HTTPError as error:
    assert error.code == 403 and b"<Code>SignatureDoesNotMatch</Code>" in error.read()

# Whose a key is, and messages that nobody encoded.
for key in [captain, session]:
    assert root.get_access_key_info(AccessKeyId=key["AccessKeyId"])["Account"] == ACCOUNT
refused("ValidationError", root.get_access_key_info, AccessKeyId="AKIA0000000000000000")
refused("InvalidAuthorizationMessageException", root.decode_authorization_message, EncodedMessage="none")
always_refused("sts", "DecodeAuthorizationMessage")

# What is gone takes its sessions along.
iam.delete_role_policy(RoleName="Helm", PolicyName="p")
refused("AccessDenied", as_helm.list_roles)
iam.delete_role(RoleName="Helm")
refused("InvalidClientTokenId", client("sts", session).get_caller_identity)
iam.delete_access_key(UserName="captain", AccessKeyId=captain["AccessKeyId"])
iam.delete_user_policy(UserName="captain", PolicyName="p")
iam.delete_user(UserName="captain")
for credentials in [own, guest["Credentials"]]:
    refused("InvalidClientTokenId", client("sts", credentials).get_caller_identity)
for name in ["Lookout", "Ci"]:
    iam.delete_role(RoleName=name)
iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)
finish()
