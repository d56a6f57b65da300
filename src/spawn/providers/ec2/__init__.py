"""The provider `ec2`: attempts run on instances that record, end and clean up after themselves."""
