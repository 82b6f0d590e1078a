"""The ports on AWS, one file a service. The only package that imports boto3."""
