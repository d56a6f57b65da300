"""The whole program on EC2: the real command line, engine and agent, in a laboratory whose instances really boot."""
