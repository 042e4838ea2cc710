resource "aws_iam_account_alias" "harbour" {
  account_alias = "harbour"
}

resource "aws_iam_account_password_policy" "long" {
  minimum_password_length        = 16
  require_numbers                = true
  require_lowercase_characters   = true
  allow_users_to_change_password = true
}

resource "aws_iam_user_login_profile" "ci" {
  user            = aws_iam_user.ci.name
  password_length = 24
  depends_on      = [aws_iam_account_password_policy.long]
}

data "aws_iam_openid_connect_provider" "by_url" {
  url        = "https://${aws_iam_openid_connect_provider.github.url}"
  depends_on = [aws_iam_openid_connect_provider.github]
}

data "aws_iam_openid_connect_provider" "by_arn" {
  arn = aws_iam_openid_connect_provider.github.arn
}

data "aws_iam_instance_profile" "node" {
  name = aws_iam_instance_profile.node.name
}

data "aws_iam_instance_profiles" "of_role" {
  role_name  = aws_iam_role.node.name
  depends_on = [aws_iam_instance_profile.node]
}

data "aws_iam_policy" "by_name" {
  name       = aws_iam_policy.push.name
  depends_on = [aws_iam_policy.push]
}

data "aws_iam_policy" "of_aws" {
  arn = "arn:aws:iam::aws:policy/PowerUserAccess"
}

data "aws_iam_role" "push" {
  name = aws_iam_role.push.name
}

data "aws_iam_roles" "ci" {
  path_prefix = aws_iam_role.push.path
}

data "aws_iam_user" "ci" {
  user_name = aws_iam_user.ci.name
}

data "aws_iam_users" "robots" {
  path_prefix = aws_iam_user.ci.path
}

data "aws_iam_group" "robots" {
  group_name = one(aws_iam_user_group_membership.ci.groups)
}

data "aws_iam_access_keys" "ci" {
  user = aws_iam_access_key.ci.user
}

data "aws_iam_account_alias" "harbour" {
  depends_on = [aws_iam_account_alias.harbour]
}

data "aws_iam_session_context" "me" {
  arn = data.aws_caller_identity.me.arn
}

data "aws_iam_principal_policy_simulation" "push" {
  action_names      = ["ecr:PutImage"]
  policy_source_arn = aws_iam_user.ci.arn
  resource_arns     = [aws_ecr_repository.shop.arn]
  depends_on        = [aws_iam_user_policy_attachment.push]
  lifecycle {
    postcondition {
      condition     = self.all_allowed
      error_message = "The user may not push."
    }
  }
}
