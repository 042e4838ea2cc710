"""A SAML identity provider, and the session of somebody for whom it vouches."""

import os

from journey import ACCOUNT, IAM, allow, arn_of, client, document, finish, pages, refused, trust

# The identity provider's metadata, and a response of it that pairs the role Crew with the provider Idp.
METADATA = os.environ["JOURNEY_SAML_METADATA"]
RESPONSE = os.environ["JOURNEY_SAML_RESPONSE"]

iam = client("iam")
sts = client("sts")
made = iam.create_saml_provider(Name="Idp", SAMLMetadataDocument=METADATA, Tags=[{"Key": "team", "Value": "deck"}])
provider = {"SAMLProviderArn": made["SAMLProviderArn"]}
assert provider["SAMLProviderArn"] == IAM + "saml-provider/Idp" and made["Tags"] == [{"Key": "team", "Value": "deck"}], made
refused("EntityAlreadyExists", iam.create_saml_provider, Name="Idp", SAMLMetadataDocument=METADATA)
refused("InvalidInput", iam.create_saml_provider, Name="Bad", SAMLMetadataDocument="x" * 1000)
shown = iam.get_saml_provider(**provider)
assert shown["SAMLMetadataDocument"] == METADATA and shown["ValidUntil"].year > shown["CreateDate"].year + 90, shown
assert [listed["Arn"] for listed in iam.list_saml_providers()["SAMLProviderList"]] == [provider["SAMLProviderArn"]]
assert iam.update_saml_provider(SAMLMetadataDocument=METADATA, **provider)["SAMLProviderArn"] == provider["SAMLProviderArn"]
iam.tag_saml_provider(Tags=[{"Key": "Team", "Value": "bridge"}, {"Key": "ship", "Value": "1"}, {"Key": "sea", "Value": "2"}], **provider)
assert [tag["Key"] for tag in pages(iam, "list_saml_provider_tags", least=3, **provider)] == ["sea", "ship", "Team"]
iam.untag_saml_provider(TagKeys=["ship", "sea"], **provider)
assert iam.list_saml_provider_tags(**provider)["Tags"] == [{"Key": "Team", "Value": "bridge"}]

condition = {"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}}
by_assertion = trust({"Federated": provider["SAMLProviderArn"]}, ["sts:AssumeRoleWithSAML"], Condition=condition)
role = iam.create_role(RoleName="Crew", AssumeRolePolicyDocument=by_assertion)["Role"]
asked = {"RoleArn": role["Arn"], "PrincipalArn": provider["SAMLProviderArn"], "SAMLAssertion": RESPONSE}
answer = sts.assume_role_with_saml(**asked)
assert (answer["Subject"], answer["SubjectType"]) == ("alice@example.com", "persistent"), answer
assert arn_of(answer["Credentials"]) == "arn:aws:sts::%s:assumed-role/Crew/alice" % ACCOUNT
own = document(allow("iam:ListSAMLProviders", Condition={"StringEquals": {"saml:sub": "alice@example.com"}}))
iam.put_role_policy(RoleName="Crew", PolicyName="p", PolicyDocument=own)
assert client("iam", answer["Credentials"]).list_saml_providers()["SAMLProviderList"]
refused("InvalidIdentityToken", sts.assume_role_with_saml, **{**asked, "SAMLAssertion": RESPONSE[:-8] + "AAAAAAAA"})
refused("InvalidIdentityToken", sts.assume_role_with_saml, **{**asked, "PrincipalArn": IAM + "saml-provider/None"})
refused("ValidationError", sts.assume_role_with_saml, **{**asked, "DurationSeconds": 43200})

iam.delete_saml_provider(**provider)
refused("NoSuchEntity", iam.get_saml_provider, **provider)
refused("InvalidIdentityToken", sts.assume_role_with_saml, **asked)
iam.delete_role_policy(RoleName="Crew", PolicyName="p")
iam.delete_role(RoleName="Crew")
finish()
