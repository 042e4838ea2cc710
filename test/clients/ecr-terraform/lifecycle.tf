locals {
  expiry_order = var.reversed ? [2, 0, 3, 1] : [0, 1, 2, 3]
  expiry = [
    {
      rulePriority = 1
      description  = "Builds of the ${var.team}."
      selection    = { tagStatus = "tagged", tagPrefixList = ["build-", "ci-"], countType = "imageCountMoreThan", countNumber = local.is_first ? 50 : 60 }
      action       = { type = "expire" }
    },
    {
      rulePriority = 2
      selection    = { tagStatus = "tagged", tagPatternList = ["nightly-*", "*-preview"], countType = "sinceImagePushed", countUnit = "days", countNumber = 30 }
      action       = { type = "expire" }
    },
    {
      rulePriority = 3
      description  = "Without a name."
      selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 7 }
      action       = { type = "expire" }
    },
    {
      rulePriority = 10
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 1000 }
      action       = { type = "expire" }
    },
  ]
}

resource "aws_ecr_lifecycle_policy" "shop" {
  repository = aws_ecr_repository.shop.name
  policy     = jsonencode({ rules = [for index in local.expiry_order : local.expiry[index]] })
}

resource "aws_ecr_lifecycle_policy" "plain" {
  repository = aws_ecr_repository.plain.name
  policy     = data.aws_ecr_lifecycle_policy_document.plain.json
}

data "aws_ecr_lifecycle_policy_document" "plain" {
  rule {
    priority    = 1
    description = "Few of the ${var.team}."
    selection {
      tag_status      = "tagged"
      tag_prefix_list = ["build-"]
      count_type      = "imageCountMoreThan"
      count_number    = 5
    }
    action {
      type = "expire"
    }
  }
  rule {
    priority = 2
    selection {
      tag_status       = "tagged"
      tag_pattern_list = ["nightly-*"]
      count_type       = "sinceImagePushed"
      count_unit       = "days"
      count_number     = 14
    }
  }
}
