terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  region                      = "us-east-1"
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = false
  skip_credentials_validation = false
}

# What is applied a second time with another value changes without being made anew.
variable "team" {
  default = "sea"
}

data "aws_caller_identity" "me" {}

resource "aws_iam_policy" "push" {
  name        = "push"
  path        = "/team/"
  description = "May push."
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "login", Effect = "Allow", Action = "ecr:GetAuthorizationToken", Resource = "*" },
      { Effect = "Allow", Action = ["ecr:PutImage", "ecr:BatchGetImage"], Resource = "arn:aws:ecr:us-east-1:${data.aws_caller_identity.me.account_id}:repository/team/*" },
    ]
  })
  tags = { team = var.team, (var.team) = "yes" }
}

resource "aws_iam_user" "ci" {
  name                 = "ci"
  path                 = "/robots/"
  permissions_boundary = aws_iam_policy.push.arn
  force_destroy        = true
  tags                 = { team = var.team, stage = "test" }
}

resource "aws_iam_access_key" "ci" {
  user = aws_iam_user.ci.name
}

resource "aws_iam_user_policy" "own" {
  name   = "own"
  user   = aws_iam_user.ci.name
  policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "ecr:Describe*", Resource = "*" }] })
}

resource "aws_iam_user_policy_attachment" "push" {
  user       = aws_iam_user.ci.name
  policy_arn = aws_iam_policy.push.arn
}

resource "aws_iam_group" "robots" {
  name = "robots"
}

resource "aws_iam_user_group_membership" "ci" {
  user   = aws_iam_user.ci.name
  groups = [aws_iam_group.robots.name]
}

resource "aws_iam_group_policy" "read" {
  name   = "read"
  group  = aws_iam_group.robots.name
  policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "ecr:ListImages", Resource = "*" }] })
}

resource "aws_iam_group_policy_attachment" "readonly" {
  group      = aws_iam_group.robots.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
}

resource "aws_iam_openid_connect_provider" "github" {
  url             = "https://token.actions.githubusercontent.com"
  client_id_list  = ["sts.amazonaws.com"]
  thumbprint_list = ["6938fd4d98bab03faadb97b34396831e3780aea1"]
  tags            = { team = var.team, (var.team) = "yes" }
}

resource "aws_iam_role" "push" {
  name                 = "push"
  path                 = "/ci/"
  description          = "Pushed by workflows."
  max_session_duration = 7200
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = aws_iam_openid_connect_provider.github.arn }
      Condition = {
        StringEquals = { "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com" }
        StringLike   = { "token.actions.githubusercontent.com:sub" = "repo:acme/shop:ref:refs/heads/main" }
      }
    }]
  })
  tags = { team = var.team }
}

resource "aws_iam_role_policy" "own" {
  name   = "own"
  role   = aws_iam_role.push.name
  policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "ecr:*", Resource = "*" }] })
}

resource "aws_iam_role_policy_attachment" "push" {
  role       = aws_iam_role.push.name
  policy_arn = aws_iam_policy.push.arn
}

resource "aws_iam_role" "node" {
  name               = "node"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }] })
}

resource "aws_iam_instance_profile" "node" {
  name = "node"
  role = aws_iam_role.node.name
  tags = { team = var.team, (var.team) = "yes" }
}

resource "aws_kms_key" "images" {
  description             = "For images."
  enable_key_rotation     = true
  deletion_window_in_days = 7
  tags                    = { team = "sea" }
}

resource "aws_kms_alias" "images" {
  name          = "alias/images"
  target_key_id = aws_kms_key.images.key_id
}

resource "aws_ecr_repository" "shop" {
  name                 = "team/shop"
  image_tag_mutability = "IMMUTABLE"
  tags                 = { team = "sea" }
}

resource "aws_ecr_repository_policy" "shop" {
  repository = aws_ecr_repository.shop.name
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = "pull", Effect = "Allow", Principal = { AWS = aws_iam_role.push.arn }, Action = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"] }]
  })
}
