locals {
  arriving_order = var.reversed ? [1, 0] : [0, 1]
  # No more than the older scope of registry policies allows, because the scope changes at the same time.
  arriving = [
    {
      Sid       = "replicate"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::111122223333:root" }
      Action    = var.reversed ? ["ecr:ReplicateImage", "ecr:CreateRepository"] : ["ecr:CreateRepository", "ecr:ReplicateImage"]
      Resource  = "arn:aws:ecr:us-east-1:${local.account}:repository/team/*"
    },
    {
      Sid       = var.team
      Effect    = "Allow"
      Principal = { AWS = aws_iam_role.build.arn }
      Action    = "ecr:BatchImportUpstreamImage"
      Resource  = "arn:aws:ecr:us-east-1:${local.account}:repository/*"
    },
  ]
  settings = {
    BASIC_SCAN_TYPE_VERSION = local.is_first ? "AWS_NATIVE" : "CLAIR"
    REGISTRY_POLICY_SCOPE   = local.is_first ? "V2" : "V1"
  }
}

resource "aws_ecr_registry_policy" "arriving" {
  policy = jsonencode({ Version = "2012-10-17", Statement = [for index in local.arriving_order : local.arriving[index]] })
}

resource "aws_ecr_account_setting" "every" {
  for_each = local.settings
  name     = each.key
  value    = each.value
}

resource "aws_ecr_registry_scanning_configuration" "all" {
  scan_type = local.is_first ? "BASIC" : "ENHANCED"
  rule {
    scan_frequency = "SCAN_ON_PUSH"
    repository_filter {
      filter      = "team/*"
      filter_type = "WILDCARD"
    }
    repository_filter {
      filter      = "library/${var.team}-*"
      filter_type = "WILDCARD"
    }
  }
  rule {
    scan_frequency = local.is_first ? "MANUAL" : "CONTINUOUS_SCAN"
    repository_filter {
      filter      = "attic/*"
      filter_type = "WILDCARD"
    }
  }
}

resource "aws_ecr_replication_configuration" "away" {
  replication_configuration {
    rule {
      destination {
        region      = "us-west-2"
        registry_id = local.account
      }
      destination {
        region      = local.is_first ? "eu-west-1" : "us-east-1"
        registry_id = local.is_first ? local.account : "111122223333"
      }
      repository_filter {
        filter      = "away/${var.team}"
        filter_type = "PREFIX_MATCH"
      }
      repository_filter {
        filter      = "everywhere/"
        filter_type = "PREFIX_MATCH"
      }
    }
    rule {
      destination {
        region      = "us-west-2"
        registry_id = "111122223333"
      }
      repository_filter {
        filter      = "given/"
        filter_type = "PREFIX_MATCH"
      }
    }
  }
}
