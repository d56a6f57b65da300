"""The provider ec2."""
