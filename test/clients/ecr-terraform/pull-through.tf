# `<account>.dkr.ecr.us-west-2.localhost:<port>`: this deployment's registry of another region.
variable "other_registry" {
  default = ""
}

locals {
  teams = toset(["sea", "shore"])
}

resource "aws_secretsmanager_secret" "hub" {
  for_each                = local.teams
  name                    = "ecr-pullthroughcache/hub-${each.key}"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "hub" {
  for_each      = local.teams
  secret_id     = aws_secretsmanager_secret.hub[each.key].id
  secret_string = jsonencode({ username = each.key, accessToken = "not-a-real-token" })
}

resource "aws_iam_role" "puller" {
  for_each = local.teams
  name     = "puller-${each.key}"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = ["pullthroughcache.ecr.amazonaws.com", "ecr.amazonaws.com"] } }]
  })
}

resource "aws_ecr_pull_through_cache_rule" "public" {
  ecr_repository_prefix = "public"
  upstream_registry_url = "public.ecr.aws"
}

resource "aws_ecr_pull_through_cache_rule" "hub" {
  ecr_repository_prefix = "hub"
  upstream_registry_url = "registry-1.docker.io"
  # The secret's value may come at the same time, or later.
  credential_arn = aws_secretsmanager_secret.hub[var.team].arn
}

resource "aws_ecr_pull_through_cache_rule" "other_region" {
  ecr_repository_prefix      = "west"
  upstream_registry_url      = var.other_registry
  upstream_repository_prefix = "team"
  custom_role_arn            = aws_iam_role.puller[var.team].arn
}

resource "aws_ecr_repository_creation_template" "hub" {
  prefix               = "hub"
  description          = var.bare ? null : "For the ${var.team}."
  applied_for          = local.is_first ? ["PULL_THROUGH_CACHE"] : ["PULL_THROUGH_CACHE", "REPLICATION"]
  custom_role_arn      = var.bare ? null : aws_iam_role.puller[var.team].arn
  image_tag_mutability = var.bare ? null : local.is_first ? "MUTABLE" : "IMMUTABLE"
  resource_tags        = var.bare ? null : { team = var.team, (var.team) = "yes" }
  repository_policy    = var.bare ? null : jsonencode({ Version = "2012-10-17", Statement = [for index in local.reading_order : local.reading[index]] })
  lifecycle_policy     = var.bare ? null : jsonencode({ rules = [for index in local.expiry_order : local.expiry[index]] })
  encryption_configuration {
    encryption_type = local.is_first ? "AES256" : "KMS"
    kms_key         = local.is_first ? null : aws_kms_key.images.arn
  }
}

# What no other template is for, and no more than must be said.
resource "aws_ecr_repository_creation_template" "root" {
  prefix      = "ROOT"
  applied_for = ["REPLICATION"]
}

data "aws_ecr_pull_through_cache_rule" "hub" {
  ecr_repository_prefix = aws_ecr_pull_through_cache_rule.hub.ecr_repository_prefix
  depends_on            = [aws_ecr_pull_through_cache_rule.hub]
}

data "aws_ecr_pull_through_cache_rule" "other_region" {
  ecr_repository_prefix = aws_ecr_pull_through_cache_rule.other_region.ecr_repository_prefix
  depends_on            = [aws_ecr_pull_through_cache_rule.other_region]
}

data "aws_ecr_repository_creation_template" "hub" {
  prefix        = aws_ecr_repository_creation_template.hub.prefix
  resource_tags = aws_ecr_repository_creation_template.hub.resource_tags
  depends_on    = [aws_ecr_repository_creation_template.hub]
}
