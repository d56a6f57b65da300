"""spored on an EC2 instance: takes its part of an array, runs it under a runner of its own, records it in the bucket, and ends the machine."""
