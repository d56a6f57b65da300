"""What AWS Batch promises, asked over HTTP by boto3."""
