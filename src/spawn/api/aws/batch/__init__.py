"""What each operation of AWS Batch does."""
