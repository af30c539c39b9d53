# masshook with Terraform: uploads the function and the config of a release, and creates the stack of its template, with every
# alarm and permission.
#
#   tar xzf masshook-VERSION-aws-arm64.tar.gz       # a bundle of the release; edit its layer/masshook.yaml
#   (cd masshook-VERSION-aws-arm64/layer && zip -X ../layer.zip masshook.yaml)
#   terraform apply -var bundle=masshook-VERSION-aws-arm64 -var bucket=my-artifacts \
#     -var 'inbound_secret_arns=["arn:aws:secretsmanager:…"]' -var 'worker_secret_arns=["arn:aws:secretsmanager:…"]'

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "bundle" {
  type        = string
  description = "The folder of an unpacked bundle, with layer.zip in it."
}

variable "bucket" {
  type        = string
  description = "An existing S3 bucket of this account and region, for the artifacts."
}

variable "name" {
  type        = string
  default     = "masshook"
  description = "The name of the stack."
}

variable "inbound_secret_arns" {
  type        = list(string)
  description = "The ARNs of the secrets that verify webhooks, and of the key of /jobs."
}

variable "worker_secret_arns" {
  type        = list(string)
  description = "The ARNs of the Zoho credentials and of the secret that signs callbacks."
}

variable "parameters" {
  type        = map(string)
  default     = {}
  description = "Other parameters of the template, such as { Deployment = \"Canary10Percent5Minutes\" }."
}

locals {
  template = replace(
    replace(
      file("${var.bundle}/template.yaml"),
      "CodeUri: function.zip",
      "CodeUri: s3://${aws_s3_object.function.bucket}/${aws_s3_object.function.key}",
    ),
    "ContentUri: layer/",
    "ContentUri: s3://${aws_s3_object.layer.bucket}/${aws_s3_object.layer.key}",
  )
}

# The keys contain the content, so that a change of it is a change of the stack.
resource "aws_s3_object" "function" {
  bucket = var.bucket
  key    = "${var.name}/${filesha256("${var.bundle}/function.zip")}.zip"
  source = "${var.bundle}/function.zip"
}

resource "aws_s3_object" "layer" {
  bucket = var.bucket
  key    = "${var.name}/${filesha256("${var.bundle}/layer.zip")}.zip"
  source = "${var.bundle}/layer.zip"
}

# Too large for a request of CloudFormation.
resource "aws_s3_object" "template" {
  bucket       = var.bucket
  key          = "${var.name}/${sha256(local.template)}.yaml"
  content      = local.template
  content_type = "application/yaml"
}

resource "aws_cloudformation_stack" "masshook" {
  name         = var.name
  template_url = "https://${aws_s3_object.template.bucket}.s3.amazonaws.com/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
  parameters = merge(
    {
      InboundSecretArns = join(",", var.inbound_secret_arns)
      WorkerSecretArns  = join(",", var.worker_secret_arns)
    },
    var.parameters,
  )
}

output "webhook_url" {
  description = "The webhook URL to enter at a sender. Replace ROUTE by the name of the route."
  value       = aws_cloudformation_stack.masshook.outputs["WebhookUrl"]
}

output "outputs" {
  description = "Every output of the stack, such as TableName and QueueUrl for `masshook jobs`."
  value       = aws_cloudformation_stack.masshook.outputs
}
