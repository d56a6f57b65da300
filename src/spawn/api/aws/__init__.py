"""The AWS door: the wire protocols of AWS Batch and CloudWatch Logs, on the engine's own jobs."""
