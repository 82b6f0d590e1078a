"""The CDK app: what `deploy.sh` makes on an AWS account."""
