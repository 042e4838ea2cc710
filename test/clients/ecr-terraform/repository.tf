terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
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

# Whether the image that the data sources look for has been pushed.
variable "pushed" {
  default = false
}

# Takes away again what need not be said.
variable "bare" {
  default = false
}

# The same policies with their lists in another order are no change.
variable "reversed" {
  default = false
}

data "aws_caller_identity" "me" {}

locals {
  reading_order = var.reversed ? [1, 0] : [0, 1]

  account  = data.aws_caller_identity.me.account_id
  is_first = var.team == "sea"
  reading = [
    {
      Sid       = "read"
      Effect    = "Allow"
      Principal = { AWS = var.reversed ? [aws_iam_role.build.arn, local.account] : [local.account, aws_iam_role.build.arn] }
      Action    = var.reversed ? ["ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"] : ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    },
    {
      Sid       = var.team
      Effect    = "Allow"
      Principal = "*"
      Action    = "ecr:DescribeImages"
      Condition = { StringEquals = { "aws:PrincipalAccount" = local.account } }
    },
  ]
}

resource "aws_kms_key" "images" {
  description             = "For images."
  deletion_window_in_days = 7
}

resource "aws_iam_role" "build" {
  name               = "build"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }] })
}

resource "aws_ecr_repository" "shop" {
  name                 = "team/shop"
  image_tag_mutability = var.bare ? null : local.is_first ? "MUTABLE" : "IMMUTABLE"
  force_delete         = !local.is_first
  tags                 = var.bare ? null : { team = var.team, (var.team) = "yes" }
  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.images.arn
  }
  image_scanning_configuration {
    scan_on_push = local.is_first
  }
  timeouts {
    delete = "2m"
  }
}

# Of each thing no more than its name.
resource "aws_ecr_repository" "plain" {
  name = "team/plain"
}

# The account's own key of ECR is made when it is first needed.
resource "aws_ecr_repository" "managed" {
  name = "team/managed"
  encryption_configuration {
    encryption_type = "KMS"
  }
}

resource "aws_ecr_repository_policy" "shop" {
  repository = aws_ecr_repository.shop.name
  policy     = jsonencode({ Version = "2012-10-17", Statement = [for index in local.reading_order : local.reading[index]] })
}

resource "aws_ecr_repository" "twice" {
  name = "team/twice"
  encryption_configuration {
    encryption_type = "KMS_DSSE"
    kms_key         = aws_kms_key.images.arn
  }
}

data "aws_ecr_repository" "shop" {
  name        = aws_ecr_repository.shop.name
  registry_id = local.account
  tags        = aws_ecr_repository.shop.tags
}

data "aws_ecr_repositories" "all" {
  depends_on = [aws_ecr_repository.shop, aws_ecr_repository.plain, aws_ecr_repository.managed, aws_ecr_repository.twice]
}

data "aws_ecr_authorization_token" "push" {
  registry_id = local.account
}

data "aws_ecr_image" "by_tag" {
  count           = var.pushed ? 1 : 0
  registry_id     = local.account
  repository_name = aws_ecr_repository.shop.name
  image_tag       = "v1"
}

data "aws_ecr_image" "by_digest" {
  count           = var.pushed ? 1 : 0
  repository_name = aws_ecr_repository.shop.name
  image_digest    = data.aws_ecr_image.by_tag[0].image_digest
}

data "aws_ecr_image" "latest" {
  count           = var.pushed ? 1 : 0
  repository_name = aws_ecr_repository.shop.name
  most_recent     = true
}
