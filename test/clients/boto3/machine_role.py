"""A role for machines with its instance profile, and one that trusts no machines."""

from journey import allow, client, document, finish, trust

iam = client("iam")
for name, service in [("fleet", "ec2.amazonaws.com"), ("office", "ecr.amazonaws.com")]:
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"Service": service}))
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
named = {"StringEquals": {"aws:PrincipalTag/machine-name": "crane-1"}}
iam.put_role_policy(RoleName="fleet", PolicyName="pull", PolicyDocument=document(allow("ecr:GetAuthorizationToken", Condition=named)))
finish()
