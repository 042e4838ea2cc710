resource "aws_secretsmanager_secret" "upstream" {
  name                    = "ecr-pullthroughcache/hub"
  description             = "A password for another registry."
  recovery_window_in_days = 0
  tags                    = { team = var.team }
}

# The second time, the candidate becomes what readers get.
resource "aws_secretsmanager_secret_version" "first" {
  secret_id      = aws_secretsmanager_secret.upstream.id
  secret_string  = jsonencode({ username = "robot", accessToken = "not-a-real-token" })
  version_stages = var.team == "sea" ? ["AWSCURRENT", "blue"] : ["AWSPREVIOUS"]
}

resource "aws_secretsmanager_secret_version" "candidate" {
  secret_id      = aws_secretsmanager_secret.upstream.id
  secret_string  = jsonencode({ username = "robot", accessToken = "not-a-real-token-either" })
  version_stages = var.team == "sea" ? ["candidate"] : ["AWSCURRENT", "candidate", "green"]
  depends_on     = [aws_secretsmanager_secret_version.first]
}

resource "aws_secretsmanager_secret_policy" "upstream" {
  secret_arn          = aws_secretsmanager_secret.upstream.arn
  block_public_policy = true
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = var.team, Effect = "Allow", Principal = { AWS = aws_iam_role.push.arn }, Action = "secretsmanager:GetSecretValue", Resource = "*" }]
  })
}

resource "aws_secretsmanager_secret" "drawn" {
  name                    = "drawn"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "drawn" {
  secret_id     = aws_secretsmanager_secret.drawn.id
  secret_string = data.aws_secretsmanager_random_password.drawn.random_password
  lifecycle {
    ignore_changes = [secret_string]
  }
}

data "aws_secretsmanager_random_password" "drawn" {
  password_length     = 40
  exclude_punctuation = true
  include_space       = false
}

data "aws_secretsmanager_secret" "upstream" {
  name       = aws_secretsmanager_secret.upstream.name
  depends_on = [aws_secretsmanager_secret_policy.upstream]
}

data "aws_secretsmanager_secrets" "upstream" {
  filter {
    name   = "name"
    values = [aws_secretsmanager_secret.upstream.name]
  }
}

data "aws_secretsmanager_secret_version" "candidate" {
  secret_id     = aws_secretsmanager_secret.upstream.id
  version_stage = "candidate"
  depends_on    = [aws_secretsmanager_secret_version.candidate]
}

data "aws_secretsmanager_secret_versions" "upstream" {
  secret_id  = aws_secretsmanager_secret.upstream.id
  depends_on = [aws_secretsmanager_secret_version.candidate]
}
