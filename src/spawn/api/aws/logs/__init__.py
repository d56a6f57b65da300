"""The reading half of CloudWatch Logs: the logs of attempts."""
