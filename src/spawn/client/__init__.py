"""What talks to the engine."""
